//! Whether the process lives and whether it takes requests.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::HttpState;

/// The process answers, so it lives.
pub(super) async fn health() -> Response {
    answer(StatusCode::OK, &json!({ "status": "alive", "version": env!("CARGO_PKG_VERSION") }))
}

/// Whether requests are taken, and what is waited for if not.
pub(super) async fn ready(State(state): State<HttpState>) -> Response {
    match readiness(&state) {
        Ok(()) => answer(StatusCode::OK, &json!({ "ready": true })),
        Err(reason) => answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ready": false, "reason": reason })),
    }
}

fn readiness(state: &HttpState) -> Result<(), String> {
    if state.lifetime.stopping.is_cancelled() {
        return Err("the server is stopping".to_owned());
    }
    let broker = state.broker.get().ok_or("the broker is starting")?;
    broker.ready()
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
