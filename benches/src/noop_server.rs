//! A server of the same API that answers the same messages without doing anything: what the transport alone can do.
//!
//! Publishes are acknowledged with what they brought along, subscribers get one and the same message again and again.
//! Threads, windows and socket options are those of the real server, as far as the transport lets them be set.

use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use liftbridge_proto::api;
use liftbridge_proto::api::api_server::{Api, ApiServer};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::Failure;

/// Bytes of every message's value.
pub(crate) const VALUE: Bytes = Bytes::from_static(&[7; 256]);
/// Any time will do.
const TIME: i64 = 1_700_000_000_000_000_000;
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const FRAME_BYTES_MAX: u32 = 64 * 1024;

/// Serves until killed, and says where in one line.
///
/// # Errors
/// When it cannot listen.
pub fn run() -> Result<(), Failure> {
    runtime()?.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        println!("noop-server ready: grpc={}", listener.local_addr()?);
        let incoming = TcpListenerStream::new(listener).map(|accepted| {
            let stream = accepted?;
            stream.set_nodelay(true)?;
            std::io::Result::Ok(stream)
        });
        Server::builder()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .add_service(ApiServer::new(Noop))
            .serve_with_incoming(incoming)
            .await?;
        Ok(())
    })
}

fn runtime() -> std::io::Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

struct Noop;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The ack a real server would give.
fn ack(request: api::PublishRequest) -> api::PublishResponse {
    let ack = api::Ack {
        stream: request.stream.clone(),
        partition_subject: request.stream.clone(),
        msg_subject: request.stream,
        offset: 1,
        correlation_id: request.correlation_id.clone(),
        ack_policy: request.ack_policy,
        reception_timestamp: TIME,
        commit_timestamp: TIME,
        ..api::Ack::default()
    };
    api::PublishResponse { ack: Some(ack), async_error: None, correlation_id: request.correlation_id }
}

/// The message a real server would send, but for its offset.
fn message(request: &api::SubscribeRequest) -> api::Message {
    let headers = [("subject", Bytes::from(request.stream.clone())), ("reply", Bytes::new())];
    api::Message {
        value: VALUE,
        timestamp: TIME,
        stream: request.stream.clone(),
        partition: request.partition,
        subject: request.stream.clone(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        ..api::Message::default()
    }
}

#[tonic::async_trait]
impl Api for Noop {
    type SubscribeStream = Answers<api::Message>;
    type PublishAsyncStream = Answers<api::PublishResponse>;

    async fn publish_async(
        &self,
        request: Request<Streaming<api::PublishRequest>>,
    ) -> Result<Response<Self::PublishAsyncStream>, Status> {
        Ok(Response::new(Box::pin(request.into_inner().map(|received| received.map(ack)))))
    }

    async fn subscribe(
        &self,
        request: Request<api::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let request = request.into_inner();
        let template = message(&request);
        let messages = (0..=request.stop_offset).map(move |offset| Ok(api::Message { offset, ..template.clone() }));
        let greeting = Ok(api::Message::default());
        Ok(Response::new(Box::pin(stream::iter(std::iter::once(greeting).chain(messages)))))
    }

    async fn create_stream(
        &self,
        _: Request<api::CreateStreamRequest>,
    ) -> Result<Response<api::CreateStreamResponse>, Status> {
        Ok(Response::new(api::CreateStreamResponse::default()))
    }

    async fn delete_stream(
        &self,
        _: Request<api::DeleteStreamRequest>,
    ) -> Result<Response<api::DeleteStreamResponse>, Status> {
        not_served()
    }

    async fn pause_stream(
        &self,
        _: Request<api::PauseStreamRequest>,
    ) -> Result<Response<api::PauseStreamResponse>, Status> {
        not_served()
    }

    async fn set_stream_readonly(
        &self,
        _: Request<api::SetStreamReadonlyRequest>,
    ) -> Result<Response<api::SetStreamReadonlyResponse>, Status> {
        not_served()
    }

    async fn fetch_metadata(
        &self,
        _: Request<api::FetchMetadataRequest>,
    ) -> Result<Response<api::FetchMetadataResponse>, Status> {
        not_served()
    }

    async fn fetch_partition_metadata(
        &self,
        _: Request<api::FetchPartitionMetadataRequest>,
    ) -> Result<Response<api::FetchPartitionMetadataResponse>, Status> {
        not_served()
    }

    async fn publish(&self, _: Request<api::PublishRequest>) -> Result<Response<api::PublishResponse>, Status> {
        not_served()
    }

    async fn publish_to_subject(
        &self,
        _: Request<api::PublishToSubjectRequest>,
    ) -> Result<Response<api::PublishToSubjectResponse>, Status> {
        not_served()
    }

    async fn set_cursor(&self, _: Request<api::SetCursorRequest>) -> Result<Response<api::SetCursorResponse>, Status> {
        not_served()
    }

    async fn fetch_cursor(
        &self,
        _: Request<api::FetchCursorRequest>,
    ) -> Result<Response<api::FetchCursorResponse>, Status> {
        not_served()
    }

    async fn join_consumer_group(
        &self,
        _: Request<api::JoinConsumerGroupRequest>,
    ) -> Result<Response<api::JoinConsumerGroupResponse>, Status> {
        not_served()
    }

    async fn leave_consumer_group(
        &self,
        _: Request<api::LeaveConsumerGroupRequest>,
    ) -> Result<Response<api::LeaveConsumerGroupResponse>, Status> {
        not_served()
    }

    async fn fetch_consumer_group_assignments(
        &self,
        _: Request<api::FetchConsumerGroupAssignmentsRequest>,
    ) -> Result<Response<api::FetchConsumerGroupAssignmentsResponse>, Status> {
        not_served()
    }

    async fn report_consumer_group_coordinator(
        &self,
        _: Request<api::ReportConsumerGroupCoordinatorRequest>,
    ) -> Result<Response<api::ReportConsumerGroupCoordinatorResponse>, Status> {
        not_served()
    }
}

fn not_served<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("nothing is measured with this call"))
}
