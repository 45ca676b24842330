//! The least a follower could do: what comes over the same call, from a process like its leader's, goes into a file and is
//! synced now and then. Bounds of the connection are those between servers.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use liftbridge_proto::v1;
use liftbridge_proto::v1::link_message::Message;
use liftbridge_proto::v1::peer_server::{Peer, PeerServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::Failure;

/// What may be received and not synced: a leader sends no more to a follower before it hears that it has it.
const UNSYNCED_BYTES_MAX: usize = 2 * 1024 * 1024;
pub(crate) const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const FRAME_BYTES_MAX: u32 = 64 * 1024;
/// More than any message is.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Serves until killed, and says where in one line.
///
/// # Errors
/// When it cannot listen.
pub fn run(file: &Path) -> Result<(), Failure> {
    let receiver = Receiver(Arc::new(File::create(file)?));
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        println!("file-receiver ready: grpc={}", listener.local_addr()?);
        Server::builder()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .add_service(PeerServer::new(receiver).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await?;
        Ok(())
    })
}

struct Receiver(Arc<File>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Writes everything that comes, and syncs it as often as a follower has to and at the end.
async fn receive(file: &File, mut messages: Streaming<v1::LinkMessage>) -> Result<v1::LinkEnd, Status> {
    let mut unsynced = 0;
    while let Some(message) = messages.message().await? {
        let Some(Message::Raft(bytes)) = message.message else { return Err(Status::invalid_argument("not a chunk")) };
        unsynced += bytes.len();
        tokio::task::block_in_place(|| {
            let mut file = file;
            file.write_all(&bytes)?;
            if unsynced >= UNSYNCED_BYTES_MAX {
                unsynced = 0;
                file.sync_data()?;
            }
            std::io::Result::Ok(())
        })?;
    }
    tokio::task::block_in_place(|| file.sync_data())?;
    Ok(v1::LinkEnd {})
}

#[tonic::async_trait]
impl Peer for Receiver {
    type LinkStream = Answers<v1::LinkEnd>;
    type PublishStream = Answers<v1::ForwardedOutcome>;

    async fn link(&self, request: Request<Streaming<v1::LinkMessage>>) -> Result<Response<Self::LinkStream>, Status> {
        let file = Arc::clone(&self.0);
        let received = async move { receive(&file, request.into_inner()).await };
        Ok(Response::new(stream::once(received).boxed()))
    }

    async fn join(&self, _: Request<v1::JoinRequest>) -> Result<Response<v1::JoinAnswer>, Status> {
        not_served()
    }

    async fn heartbeat(&self, _: Request<v1::HeartbeatRequest>) -> Result<Response<v1::HeartbeatAnswer>, Status> {
        not_served()
    }

    async fn propose(&self, _: Request<v1::ProposeRequest>) -> Result<Response<v1::ProposeAnswer>, Status> {
        not_served()
    }

    async fn publish(
        &self,
        _: Request<Streaming<v1::ForwardedPublish>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        not_served()
    }
}

fn not_served<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("nothing is measured with this call"))
}
