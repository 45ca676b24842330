//! The memory that what subscriptions have read and not yet delivered may take together. Owns the count; a subscription that gets
//! no share of it holds a few records and no more.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bound, and what is left of it.
#[derive(Debug)]
pub(crate) struct ReadBudget {
    free: Arc<Semaphore>,
}

impl ReadBudget {
    /// Nothing held yet, of at most `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))) }
    }

    /// The right to hold `bytes`; `None` when there is no room for so many.
    pub(crate) fn share(&self, bytes: usize) -> Option<ReadShare> {
        acquire(&self.free, bytes).map(ReadShare)
    }
}

/// What one subscription may hold; given back when dropped.
#[derive(Debug)]
pub(crate) struct ReadShare(OwnedSemaphorePermit);

impl ReadShare {
    /// The right to hold `bytes`, or more where it was larger already; `None`, and nothing is held, when there is no room for so
    /// many.
    pub(crate) fn grow_to(mut self, bytes: usize) -> Option<Self> {
        let missing = bytes.saturating_sub(self.0.num_permits());
        if missing > 0 {
            let more = acquire(self.0.semaphore(), missing)?;
            self.0.merge(more);
        }
        Some(self)
    }
}

fn acquire(free: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(free).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back() {
        let budget = ReadBudget::new(100);
        let one = budget.share(60).unwrap();
        assert!(budget.share(41).is_none());
        let two = budget.share(20).unwrap().grow_to(40).unwrap();
        assert!(budget.share(1).is_none());
        drop(one);
        let two = two.grow_to(100).unwrap().grow_to(1).unwrap();
        assert!(budget.share(1).is_none(), "a share never shrinks");
        assert!(two.grow_to(101).is_none());
        assert!(budget.share(100).is_some(), "what was refused more holds nothing");
    }
}
