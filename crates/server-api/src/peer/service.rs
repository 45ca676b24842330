//! Service `liftbridge.v1.Peer`: what other servers say, handed on. Owns how long a call of theirs lasts; never what is
//! done about it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use liftbridge_proto::v1;
use liftbridge_proto::v1::peer_server::Peer;
use liftbridge_types::BrokerId;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::grpc::deadline;
use crate::peer::forwarded::{Outcomes, take_in};
use crate::peer::greeting::session;
use crate::peer::inbox::Inbox;
use crate::peer::links::Links;
use crate::peer::pairs::Pairs;

/// Answers other servers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PeerService {
    pub(crate) inbox: Inbox,
    pub(crate) pairs: Arc<Pairs>,
    pub(crate) links: Arc<Links>,
    /// Cancelled when the server begins to stop, for calls that would otherwise never end.
    pub(crate) stopping: CancellationToken,
}

/// The answers of a link: only its end.
type LinkEnds = Pin<Box<dyn Stream<Item = Result<v1::LinkEnd, Status>> + Send>>;

#[tonic::async_trait]
impl Peer for PeerService {
    type LinkStream = LinkEnds;
    type PublishStream = Outcomes;

    async fn link(&self, request: Request<Streaming<v1::LinkMessage>>) -> Result<Response<LinkEnds>, Status> {
        let from = caller(&request)?;
        let incoming = Incoming::begin(&self.pairs, from);
        // It is there again, so it can be called too.
        self.links.heard(&incoming.from);
        let inbox = self.inbox.clone();
        let mut messages = request.into_inner();
        let stopping = self.stopping.clone();
        let read = async move {
            let reading = async {
                while let Some(message) = messages.message().await? {
                    inbox.on_message(&incoming.from, message);
                }
                Ok(v1::LinkEnd {})
            };
            stopping.run_until_cancelled(reading).await.unwrap_or_else(|| Err(stopped()))
        };
        Ok(Response::new(stream::once(read).boxed()))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinAnswer>, Status> {
        let from = caller(&request)?;
        within_deadline(request, |request| async move { self.inbox.join(&from, request).await }).await
    }

    async fn heartbeat(&self, request: Request<v1::HeartbeatRequest>) -> Result<Response<v1::HeartbeatAnswer>, Status> {
        let from = caller(&request)?;
        within_deadline(request, |request| async move { self.inbox.heartbeat(&from, &request).await }).await
    }

    async fn propose(&self, request: Request<v1::ProposeRequest>) -> Result<Response<v1::ProposeAnswer>, Status> {
        caller(&request)?;
        within_deadline(request, |request| async move { self.inbox.propose(request).await }).await
    }

    async fn publish(&self, request: Request<Streaming<v1::ForwardedPublish>>) -> Result<Response<Outcomes>, Status> {
        caller(&request)?;
        let taken_in = take_in(self.inbox.clone(), request.into_inner(), self.stopping.clone());
        Ok(Response::new(taken_in))
    }
}

impl fmt::Debug for PeerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerService").finish_non_exhaustive()
    }
}

/// A peer's link for as long as it is read.
struct Incoming {
    pairs: Arc<Pairs>,
    from: BrokerId,
}

impl Incoming {
    fn begin(pairs: &Arc<Pairs>, from: BrokerId) -> Self {
        pairs.incoming_begins(&from);
        Self { pairs: Arc::clone(pairs), from }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.pairs.incoming_ends(&self.from);
    }
}

/// Who calls. The connection lets nobody else in; a call that came another way is nobody's.
fn caller<T>(request: &Request<T>) -> Result<BrokerId, Status> {
    let caller = session(request)?.caller().cloned();
    caller.ok_or_else(|| Status::unauthenticated("a greeting comes first"))
}

/// Answers within the caller's deadline; at it, the call is dropped where it waits.
async fn within_deadline<T, A, F>(request: Request<T>, answer: impl FnOnce(T) -> F) -> Result<Response<A>, Status>
where
    F: Future<Output = A>,
{
    let deadline = deadline(&request)?;
    let answering = answer(request.into_inner());
    let answered = match deadline {
        None => Some(answering.await),
        Some(deadline) => tokio::time::timeout_at(deadline, answering).await.ok(),
    };
    answered.map(Response::new).ok_or_else(|| Status::deadline_exceeded("the caller's time is over"))
}

/// What a call is told that the server does not finish.
pub(crate) fn stopped() -> Status {
    Status::unavailable("server is shutting down")
}
