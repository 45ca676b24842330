//! Connections that other servers make to this one. Owns that nothing but a greeting is answered before its end; never what
//! a call does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use liftbridge_proto::v1::peer_greeting_server::PeerGreetingServer;
use liftbridge_proto::v1::peer_server::PeerServer;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::ServiceExt;
use tracing::debug;

use crate::connection::Connection;
use crate::lifetime::Lifetime;
use crate::listener::Serve;
use crate::peer::greeting::GreetingService;
use crate::peer::service::PeerService;
use crate::peer::session::Session;
use crate::peer::{BOUNDS, MESSAGE_BYTES_MAX};

/// The largest part of a greeting: names and nonces.
const GREETING_BYTES_MAX: usize = 4096;
/// How long a connection may stay without a greeting that was believed.
const GREETING_TIME_MAX: Duration = Duration::from_secs(5);

/// Serves other servers.
#[derive(Clone)]
pub(crate) struct PeerListenerServer {
    routes: Routes,
}

impl PeerListenerServer {
    /// A server of these greetings and calls.
    pub(crate) fn new(greeting: GreetingService, service: PeerService) -> Self {
        let greeting = PeerGreetingServer::new(greeting).max_decoding_message_size(GREETING_BYTES_MAX);
        let service = PeerServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Self { routes: Routes::new(greeting).add_service(service).prepare() }
    }
}

impl Serve for PeerListenerServer {
    async fn serve(&self, connection: Connection, lifetime: Lifetime) {
        let session = Arc::new(Session::new(connection.identity()));
        let service = service_fn(|mut request: Request<Incoming>| {
            let admitted = session.caller().is_some() || is_greeting(request.uri().path());
            let answered = admitted.then(|| {
                request.extensions_mut().insert(Arc::clone(&session));
                self.routes.clone().oneshot(request.map(Body::new))
            });
            async move {
                match answered {
                    Some(answered) => answered.await,
                    None => Ok(stranger()),
                }
            }
        });
        let calls = TaskTracker::new();
        let served = BOUNDS.server(&lifetime.tasks, &calls).serve_connection(TokioIo::new(connection), service);
        let served = lifetime.until_stopped(served, &calls);
        let ended = tokio::select! {
            ended = served => ended,
            () = stays_a_stranger(&session) => return debug!("a connection without a greeting is closed"),
        };
        if let Err(error) = ended {
            debug!(%error, caller = ?session.caller(), "connection broke");
        }
    }
}

impl fmt::Debug for PeerListenerServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerListenerServer").finish_non_exhaustive()
    }
}

/// Returns when a caller has had its time and is not known.
async fn stays_a_stranger(session: &Session) {
    tokio::time::sleep(GREETING_TIME_MAX).await;
    if session.caller().is_some() {
        std::future::pending::<()>().await;
    }
}

fn is_greeting(path: &str) -> bool {
    let name = PeerGreetingServer::<GreetingService>::NAME;
    path.strip_prefix('/').and_then(|path| path.strip_prefix(name)).is_some_and(|rest| rest.starts_with('/'))
}

/// The answer to a call of somebody unknown. Its message is not read.
fn stranger() -> Response<Body> {
    Status::unauthenticated("a greeting comes first").into_http()
}
