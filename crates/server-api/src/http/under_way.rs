//! An answer whose request counts as under way until all of it was taken. Owns the count; never what is answered.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The body of such an answer.
#[derive(Debug)]
pub(super) struct UnderWay {
    body: Body,
    _request: TaskTrackerToken,
}

impl UnderWay {
    /// The answer to `request`.
    pub(super) fn new(body: Body, request: TaskTrackerToken) -> Self {
        Self { body, _request: request }
    }
}

impl hyper::body::Body for UnderWay {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
