//! Publishing without waiting for each ack. Owns a window of outstanding messages; everything else is shared with the client.

use std::sync::Arc;

use crate::error::PublishError;
use crate::publish::window::Window;
use crate::publish::{AckFuture, Outgoing, ProducerWindow, Publisher};

/// A pipelined publisher. Cheap to clone; clones share the window.
///
/// Messages for one partition are stored in the order of the calls to [`Producer::publish`] that were awaited one after the other.
/// A message that fails does not stop those behind it. When the connection breaks, what is outstanding gets
/// [`PublishError::OutcomeUnknown`] and is not repeated; the next message opens a new stream.
#[derive(Clone, Debug)]
pub struct Producer {
    publisher: Arc<Publisher>,
    window: Window,
}

impl Producer {
    pub(crate) fn new(publisher: Arc<Publisher>, window: ProducerWindow) -> Self {
        Self { publisher, window: Window::new(window) }
    }

    /// Hands a message over, waiting while the window is full. What became of it is known from the returned future.
    ///
    /// # Errors
    /// When no broker can be found to hand it to, or the client is closed.
    pub async fn publish(&self, stream: &str, message: Outgoing) -> Result<AckFuture, PublishError> {
        self.publisher.send(stream, message, &self.window).await
    }

    /// Waits until nothing is outstanding. Acks are to be had from the futures that were returned.
    pub async fn flush(&self) {
        self.window.drained().await;
    }
}
