//! The memory that the in-memory tails of all partitions may take together. Owns the count; each partition lets go of its
//! own tail when it is told that there is too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bound and how much of it is used.
#[derive(Debug)]
pub(crate) struct TailBudget {
    held_bytes: AtomicUsize,
    bytes_max: usize,
}

impl TailBudget {
    /// Nothing held yet, of at most `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { held_bytes: AtomicUsize::new(0), bytes_max })
    }

    /// A share of it, empty so far.
    pub(crate) fn share(self: &Arc<Self>) -> TailShare {
        TailShare { budget: Arc::clone(self), held_bytes: 0 }
    }
}

/// What one partition holds of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct TailShare {
    budget: Arc<TailBudget>,
    held_bytes: usize,
}

impl TailShare {
    /// Notes that the partition's tail has `bytes` now. Returns whether all tails together stay within the bound.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let budget = &self.budget;
        if bytes >= self.held_bytes {
            budget.held_bytes.fetch_add(bytes - self.held_bytes, Ordering::Relaxed);
        } else {
            budget.held_bytes.fetch_sub(self.held_bytes - bytes, Ordering::Relaxed);
        }
        self.held_bytes = bytes;
        budget.held_bytes.load(Ordering::Relaxed) <= budget.bytes_max
    }
}

impl Drop for TailShare {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back() {
        let budget = TailBudget::new(100);
        let (mut one, mut two) = (budget.share(), budget.share());
        assert!(one.resize(60));
        assert!(!two.resize(60));
        assert!(two.resize(0));
        assert!(two.resize(40));
        drop(one);
        assert!(two.resize(100));
        assert!(!two.resize(101));
    }
}
