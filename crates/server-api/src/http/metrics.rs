//! The page Prometheus reads.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::HttpState;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted, with what is read instead of counted brought up to date first.
pub(super) async fn metrics(State(state): State<HttpState>) -> Response {
    let Ok(permit) = state.rendering.clone().acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    // A page over many thousand partitions takes long enough to be in the way of requests.
    let rendered = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let Some(broker) = state.broker.get() else { return state.page.render() };
        broker.refresh_metrics();
        state.page.render_with(|| broker.show_streams())
    });
    match rendered.await {
        Ok(page) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
