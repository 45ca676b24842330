//! How much may wait to be stored on this node. Owns the bound in bytes; never what the bytes are.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a waiting publish costs besides its payload: its place in a queue and the answer it is owed. Without it, empty
/// messages would be free and the queues unbounded.
const PROPOSAL_OVERHEAD_BYTES: usize = 512;

/// The node's bound. Publishers beyond it wait, in the order they came.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    free: Arc<Semaphore>,
    limit: u32,
}

/// The right to have some bytes waiting; given back when dropped.
#[must_use = "dropping it gives the bytes back"]
#[derive(Debug)]
pub(crate) struct AdmissionPermit {
    /// `None` for what the server publishes where no bound applies.
    _held: Option<OwnedSemaphorePermit>,
}

impl AdmissionPermit {
    /// The right to publish outside the bound.
    #[cfg(test)]
    pub(crate) fn unbounded() -> Self {
        Self { _held: None }
    }
}

impl Admission {
    /// Room for `bytes` of waiting messages.
    pub(crate) fn new(bytes: usize) -> Self {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let limit = u32::try_from(bytes.clamp(1, most)).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(limit as usize)), limit }
    }

    /// Waits for room for a message with this much payload. One larger than the whole bound gets through alone. Cancel safe:
    /// a publisher that stops waiting has taken nothing.
    pub(crate) async fn acquire(&self, payload_bytes: usize) -> AdmissionPermit {
        let cost = u32::try_from(payload_bytes.saturating_add(PROPOSAL_OVERHEAD_BYTES)).unwrap_or(u32::MAX);
        let held = Arc::clone(&self.free).acquire_many_owned(cost.min(self.limit)).await;
        AdmissionPermit { _held: Some(held.expect("the semaphore is never closed")) }
    }

    /// Bytes that wait now.
    pub(crate) fn waiting_bytes(&self) -> usize {
        (self.limit as usize).saturating_sub(self.free.available_permits())
    }
}
