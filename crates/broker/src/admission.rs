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

/// The right to have some bytes waiting. Its clones are one and the same right, given back with the last of them.
#[must_use = "dropping it gives the bytes back"]
#[derive(Clone, Debug)]
pub(crate) struct AdmissionPermit {
    _held: Arc<OwnedSemaphorePermit>,
}

impl AdmissionPermit {
    /// A right to nothing.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        let none = Arc::new(Semaphore::new(0)).try_acquire_many_owned(0);
        Self::of(none.expect("nothing is always free"))
    }

    fn of(held: OwnedSemaphorePermit) -> Self {
        Self { _held: Arc::new(held) }
    }
}

/// What a waiting message with this much payload counts for.
pub(crate) fn cost_bytes(payload_bytes: usize) -> usize {
    payload_bytes.saturating_add(PROPOSAL_OVERHEAD_BYTES)
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
        self.acquire_cost(cost_bytes(payload_bytes)).await
    }

    /// Waits for room for several messages, whose [`cost_bytes`] add up to `cost`. Cancel safe.
    pub(crate) async fn acquire_cost(&self, cost: usize) -> AdmissionPermit {
        let held = Arc::clone(&self.free).acquire_many_owned(self.permits(cost)).await;
        AdmissionPermit::of(held.expect("the semaphore is never closed"))
    }

    /// The same without waiting; `None` when there is no room now, or others wait for it.
    pub(crate) fn try_acquire_cost(&self, cost: usize) -> Option<AdmissionPermit> {
        Arc::clone(&self.free).try_acquire_many_owned(self.permits(cost)).ok().map(AdmissionPermit::of)
    }

    /// What is taken of the bound for this cost: all of it for one that is larger.
    fn permits(&self, cost: usize) -> u32 {
        u32::try_from(cost).unwrap_or(u32::MAX).min(self.limit)
    }

    /// Bytes that wait now.
    pub(crate) fn waiting_bytes(&self) -> usize {
        (self.limit as usize).saturating_sub(self.free.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn try_acquire(admission: &Admission, payload_bytes: usize) -> Option<AdmissionPermit> {
        tokio::time::timeout(Duration::ZERO, admission.acquire(payload_bytes)).await.ok()
    }

    #[tokio::test]
    async fn publishers_beyond_the_bound_wait_until_bytes_are_given_back() {
        let admission = Admission::new(10_000);
        let first = try_acquire(&admission, 6_000).await;
        assert!(first.is_some());
        assert!(try_acquire(&admission, 6_000).await.is_none());
        assert_eq!(admission.waiting_bytes(), 6_000 + PROPOSAL_OVERHEAD_BYTES, "who gave up has taken nothing");
        drop(first);
        assert_eq!(admission.waiting_bytes(), 0);
        assert!(try_acquire(&admission, 6_000).await.is_some());
    }

    #[tokio::test]
    async fn a_message_larger_than_the_bound_gets_through_alone() {
        let admission = Admission::new(10_000);
        let small = try_acquire(&admission, 1).await;
        assert!(try_acquire(&admission, 1_000_000).await.is_none());
        drop(small);
        let large = try_acquire(&admission, 1_000_000).await;
        assert!(large.is_some());
        assert!(try_acquire(&admission, 1).await.is_none());
    }

    #[tokio::test]
    async fn empty_messages_are_not_free() {
        let admission = Admission::new(10 * PROPOSAL_OVERHEAD_BYTES);
        let mut held = Vec::new();
        while let Some(permit) = try_acquire(&admission, 0).await {
            held.push(permit);
        }
        assert_eq!(held.len(), 10);
    }
}
