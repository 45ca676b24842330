//! A call's body that is waited for only as long as the server runs: what has not arrived by then is nothing to finish. Owns
//! that end; never what arrives.

use std::pin::Pin;
use std::task::Context;

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::watched_body::{Polled, Watch, WatchedBody};

/// A body that ends with an error when it is waited for while the server stops.
pub(super) type ArrivingBody<B> = WatchedBody<B, UntilStop>;

impl<B> ArrivingBody<B> {
    /// A body that is waited for until `stopping`.
    pub(super) fn until(stopping: CancellationToken, body: B) -> Self {
        Self::new(body, UntilStop { stopping, stopped: None })
    }
}

/// The end of waiting.
pub(super) struct UntilStop {
    stopping: CancellationToken,
    /// There once the body has been waited for: those that come with their request never are.
    stopped: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Watch for UntilStop {
    fn on_polled(&mut self, polled: Polled, context: &mut Context<'_>) -> Polled {
        if polled.is_ready() {
            return polled;
        }
        let stopped = self.stopped.get_or_insert_with(|| Box::pin(self.stopping.clone().cancelled_owned()));
        stopped.as_mut().poll(context).map(|()| Some(Err(Status::unavailable("server is shutting down"))))
    }
}
