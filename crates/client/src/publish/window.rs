//! How much may be outstanding at once. Owns the counting; never knows what is being waited for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::PublishError;

/// What a message costs beyond its payload, in bytes: roughly what is kept to wait for its ack.
const OVERHEAD_BYTES: usize = 256;

/// How many messages, and how many bytes of them, may wait for acks. Publishing waits while the window is full. A message
/// larger than the whole window is let through alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerWindow {
    /// Messages; at least 1. Default: 4096.
    pub messages: u32,
    /// Bytes of keys, values and headers; at least 1. Default: 64 MiB.
    pub bytes: u32,
}

impl Default for ProducerWindow {
    fn default() -> Self {
        Self { messages: 4096, bytes: 64 * 1024 * 1024 }
    }
}

/// A window in use.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    size: ProducerWindow,
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A place in the window, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _message: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Window {
    pub(crate) fn new(size: ProducerWindow) -> Self {
        let size = ProducerWindow { messages: size.messages.max(1), bytes: size.bytes.max(1) };
        let semaphore =
            |permits: u32| Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { size, messages: semaphore(size.messages), bytes: semaphore(size.bytes) }
    }

    /// Waits for a place for a message of so many bytes.
    pub(crate) async fn enter(&self, payload_bytes: usize) -> Result<Place, PublishError> {
        let cost = u32::try_from(payload_bytes + OVERHEAD_BYTES).unwrap_or(u32::MAX).min(self.size.bytes);
        // Always in this order, so that two publishers never wait for each other.
        let message = Arc::clone(&self.messages).acquire_owned().await.map_err(|_| PublishError::Closed)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(cost).await.map_err(|_| PublishError::Closed)?;
        Ok(Place { _message: message, _bytes: bytes })
    }

    /// Waits until the window is empty.
    pub(crate) async fn drained(&self) {
        // The semaphore is never closed; were it, nothing would be outstanding.
        let _ = self.messages.acquire_many(self.size.messages).await;
    }
}
