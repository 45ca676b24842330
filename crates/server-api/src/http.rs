//! The HTTP listener: whether the process lives, whether it takes requests, what it counts.
//!
//! Owns the routes and their bounds. It answers while the broker is still starting, so that a slow start can be told
//! from a dead process.

mod health;
mod metrics;
mod under_way;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use liftbridge_broker::Broker;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::debug;

use crate::connection::Connection;
use crate::lifetime::Lifetime;
use crate::listener::Serve;
use crate::metrics_page::MetricsPage;
use under_way::UnderWay;

/// Most connections at once: some probes and scrapers, with room to spare.
pub(crate) const CONNECTIONS_MAX: usize = 1024;
/// What a client that is one too many is told.
pub(crate) const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 21\r\n\r\ntoo many connections\n";
/// How long a client may take to send the head of a request, and may stay connected between two.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What the routes look at.
#[derive(Clone, Debug)]
pub(crate) struct HttpState {
    /// Empty while the broker is starting.
    pub(crate) broker: Arc<OnceLock<Broker>>,
    pub(crate) lifetime: Lifetime,
    pub(crate) page: MetricsPage,
    /// One page is made at a time.
    pub(crate) rendering: Arc<Semaphore>,
}

/// Serves the routes.
#[derive(Clone, Debug)]
pub(crate) struct HttpServer {
    routes: Router,
}

impl HttpServer {
    /// Routes that look at `state`.
    pub(crate) fn new(state: HttpState) -> Self {
        let routes = Router::new()
            .route("/health", get(health::health))
            .route("/ready", get(health::ready))
            .route("/metrics", get(metrics::metrics))
            .layer(middleware::from_fn(within_time))
            .with_state(state);
        Self { routes }
    }
}

impl Serve for HttpServer {
    async fn serve(&self, connection: Connection, lifetime: Lifetime) {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_BYTES_MAX);
        let requests = TaskTracker::new();
        let service = service_fn(|request: http::Request<Incoming>| {
            let (under_way, answered) = (requests.token(), self.routes.clone().oneshot(request));
            async move { answered.await.map(|answer| answer.map(|body| UnderWay::new(body, under_way))) }
        });
        let served = builder.serve_connection(TokioIo::new(connection), service);
        if let Err(error) = lifetime.until_stopped(served, &requests).await {
            debug!(%error, "connection broke");
        }
    }
}

async fn within_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the answer took too long\n").into_response(),
    }
}
