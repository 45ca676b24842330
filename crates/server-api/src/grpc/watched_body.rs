//! A call's body that is looked at while it comes. Owns how frames pass; never what is looked for.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tonic::Status;

/// What a body says when it is asked for its next frame.
pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// What is made of what a body says.
pub(super) trait Watch {
    /// The body was asked for its next frame; what its reader is told. Whoever makes the reader wait where the body did not has
    /// it woken.
    fn on_polled(&mut self, polled: Polled, context: &mut Context<'_>) -> Polled;
}

/// A body that says what its watch makes of it.
pub(super) struct WatchedBody<B, W> {
    body: B,
    watch: W,
}

impl<B, W> WatchedBody<B, W> {
    /// A body with this watch.
    pub(super) fn new(body: B, watch: W) -> Self {
        Self { body, watch }
    }
}

impl<B, W> Body for WatchedBody<B, W>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    W: Watch + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let polled = polled.map(|frame| frame.map(|frame| frame.map_err(|error| Status::from_error(error.into()))));
        this.watch.on_polled(polled, context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
