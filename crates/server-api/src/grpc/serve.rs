//! HTTP/2 connections that carry the API. Owns their bounds and the routing to services; never what a call does.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use liftbridge_proto::api::api_server::ApiServer;
use tokio_util::task::TaskTracker;
use tonic::Code;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::ServiceExt;
use tracing::debug;

use super::ApiService;
use super::publish_async::PublishAsyncRoute;
use super::request_body::CountedBody;
use super::request_budget::RequestBudget;
use crate::connection::Connection;
use crate::lifetime::Lifetime;
use crate::listener::Serve;

/// Most calls at once on one connection. Clients open a subscription per partition, so it is generous; what calls hold
/// is bounded by the windows below before it is read, and by the [`RequestBudget`] from then on.
const STREAMS_PER_CONNECTION_MAX: u32 = 8192;
/// How much a client may send on one call before the server has read it.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// How much a client may send on all calls of a connection before the server has read it.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// How much of a call's answers waits in memory for a slow client.
const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Frames larger than the protocol's 16 KiB save work on fast connections and are still small enough to be fair.
const FRAME_BYTES_MAX: u32 = 64 * 1024;
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// How long a connection may be silent before it is asked whether it is there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long the answer may take before it is given up.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What a request may have around its message: a stream's name, headers' lengths, an id. A message that is over its own
/// limit by less than this gets the broker's answer; a larger one is not even read.
const MESSAGE_SLACK_BYTES: usize = 4 * 1024 * 1024;

/// Empty settings, then a GOAWAY with code ENHANCE_YOUR_CALM and the text "too many connections".
pub(crate) const REFUSAL: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x1c\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0btoo many connections";

/// Serves the API and its health service.
#[derive(Clone)]
pub(crate) struct GrpcServer {
    routes: Routes,
    health: HealthReporter,
    budget: Arc<RequestBudget>,
}

impl GrpcServer {
    /// Services that answer for the API, with the largest message it stores.
    pub(crate) async fn new(service: ApiService, message_bytes_max: usize) -> Self {
        let request_bytes_max = message_bytes_max.saturating_add(MESSAGE_SLACK_BYTES);
        let publish_async = PublishAsyncRoute::new(service.clone(), request_bytes_max);
        let api = ApiServer::new(service).max_decoding_message_size(request_bytes_max);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<ApiServer<ApiService>>().await;
        let router = Routes::new(api).add_service(health_service).into_axum_router();
        let router = router.route_service(&PublishAsyncRoute::path(), publish_async);
        Self { routes: Routes::from(router).prepare(), health, budget: RequestBudget::new(request_bytes_max) }
    }

    /// Tells whoever asks for the server's health that it takes no more requests.
    pub(crate) async fn set_not_serving(&self) {
        for service in ["", ApiServer::<ApiService>::NAME] {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
    }
}

impl Serve for GrpcServer {
    async fn serve(&self, connection: Connection, lifetime: Lifetime) {
        let identity = connection.identity();
        let budget = self.budget.connection();
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(identity.clone());
            let counted = request.map(|body| Body::new(CountedBody::new(body, budget.share())));
            let answered = self.routes.clone().oneshot(counted);
            async move { answered.await.map(blame_the_client_for_oversize) }
        });
        let served = http2(&lifetime.tasks).serve_connection(TokioIo::new(connection), service);
        if let Err(error) = lifetime.until_stopped(served).await {
            // Clients that break off are everyday life.
            debug!(%error, %identity, "connection broke");
        }
    }
}

impl fmt::Debug for GrpcServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcServer").finish_non_exhaustive()
    }
}

fn http2(tasks: &TaskTracker) -> http2::Builder<TrackedExecutor> {
    let mut builder = http2::Builder::new(TrackedExecutor(tasks.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    builder
}

/// Runs the calls of a connection where the server can wait for them.
#[derive(Clone, Debug)]
struct TrackedExecutor(TaskTracker);

impl<F> Executor<F> for TrackedExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}

/// The transport calls a message it does not read out of range; to the API it is an invalid argument. Nothing else here
/// ever answers "out of range".
fn blame_the_client_for_oversize(mut response: Response<Body>) -> Response<Body> {
    const STATUS: &str = "grpc-status";
    let is_oversize =
        response.headers().get(STATUS).is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::OutOfRange);
    if is_oversize {
        response.headers_mut().insert(STATUS, HeaderValue::from(Code::InvalidArgument as i32));
    }
    response
}
