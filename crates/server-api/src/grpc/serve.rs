//! HTTP/2 connections that carry the API. Owns their bounds and the routing to services; never what a call does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use liftbridge_proto::api::api_server::ApiServer;
use liftbridge_proto::v1::admin_server::AdminServer;
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
use super::arriving_body::ArrivingBody;
use super::publish_async::PublishAsyncRoute;
use super::request_body::CountedBody;
use super::request_budget::RequestBudget;
use crate::connection::Connection;
use crate::http2::Http2Bounds;
use crate::lifetime::Lifetime;
use crate::listener::Serve;

/// Clients open a subscription per partition, so calls are generous; what they hold is bounded by the windows before it is
/// read, and by the [`RequestBudget`] from then on.
const BOUNDS: Http2Bounds = Http2Bounds {
    streams_max: 8192,
    stream_window_bytes: 1024 * 1024,
    connection_window_bytes: 4 * 1024 * 1024,
    send_buffer_bytes_max: 256 * 1024,
    keepalive_interval: Duration::from_secs(20),
    keepalive_timeout: Duration::from_secs(20),
};
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
    /// The path of the call whose messages come for as long as its client likes.
    publish_async: Arc<str>,
}

impl GrpcServer {
    /// Services that answer for the API, with the largest message it stores.
    pub(crate) async fn new(service: ApiService, message_bytes_max: usize) -> Self {
        let request_bytes_max = message_bytes_max.saturating_add(MESSAGE_SLACK_BYTES);
        let publish_async = PublishAsyncRoute::new(service.clone(), request_bytes_max);
        let admin = AdminServer::new(service.clone());
        let api = ApiServer::new(service).max_decoding_message_size(request_bytes_max);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<ApiServer<ApiService>>().await;
        let router = Routes::new(api).add_service(admin).add_service(health_service).into_axum_router();
        let path = PublishAsyncRoute::path();
        let routes = Routes::from(router.route_service(&path, publish_async)).prepare();
        Self { routes, health, budget: RequestBudget::new(request_bytes_max), publish_async: path.into() }
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
        // Of its own, so that calls on different connections do not wait for each other to wait.
        let stopping = lifetime.stopping.child_token();
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(identity.clone());
            // That call never has arrived, and ends in an orderly way by itself.
            let arrives = *request.uri().path() != *self.publish_async;
            let request = request.map(|body| match arrives {
                true => Body::new(CountedBody::counted(budget.share(), ArrivingBody::until(stopping.clone(), body))),
                false => Body::new(CountedBody::counted(budget.share(), body)),
            });
            let answered = self.routes.clone().oneshot(request);
            async move { answered.await.map(blame_the_client_for_oversize) }
        });
        let calls = TaskTracker::new();
        let served = BOUNDS.server(&lifetime.tasks, &calls).serve_connection(TokioIo::new(connection), service);
        if let Err(error) = lifetime.until_stopped(served, &calls).await {
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
