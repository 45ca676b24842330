//! A call's body that is waited for only as long as the server runs: what has not arrived by then is nothing to finish. Owns
//! that end; never what arrives.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

/// A body that ends with an error when it is waited for while the server stops.
pub(super) struct ArrivingBody<B> {
    body: B,
    stopping: CancellationToken,
    /// There once the body has been waited for: those that come with their request never are.
    stopped: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl<B> ArrivingBody<B> {
    /// A body that is waited for until `stopping`.
    pub(super) fn new(body: B, stopping: CancellationToken) -> Self {
        Self { body, stopping, stopped: None }
    }
}

impl<B> Body for ArrivingBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Poll::Ready(arrived) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(arrived.map(|frame| frame.map_err(|error| Status::from_error(error.into()))));
        }
        let stopped = this.stopped.get_or_insert_with(|| Box::pin(this.stopping.clone().cancelled_owned()));
        stopped.as_mut().poll(context).map(|()| Some(Err(Status::unavailable("server is shutting down"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
