//! Outcomes on their way to one publisher that has many publishes under way. Owns that none is lost and that the publisher is
//! woken once for many; never what they say.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::publish_reply::PublishOutcome;

/// The outcome of one of many publishes that share a queue.
#[derive(Debug)]
pub struct QueuedOutcome {
    /// What the publisher knows this publish by.
    pub ticket: usize,
    /// What became of it.
    pub outcome: PublishOutcome,
}

#[derive(Debug, Default)]
struct Waiting {
    outcomes: VecDeque<QueuedOutcome>,
    /// Whom to wake when there are outcomes again; only while there are none.
    publisher: Option<Waker>,
}

/// The queue. Cheap to clone; every clone is the same. Its length is bounded by the publishes under way.
#[derive(Clone, Debug, Default)]
pub struct ReplyQueue(Arc<Mutex<Waiting>>);

impl ReplyQueue {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&self, outcome: QueuedOutcome) {
        let mut waiting = self.0.lock();
        waiting.outcomes.push_back(outcome);
        let publisher = waiting.publisher.take();
        drop(waiting);
        if let Some(publisher) = publisher {
            publisher.wake();
        }
    }

    /// Gives memory back that a burst left behind.
    pub fn shrink(&self) {
        self.0.lock().outcomes.shrink_to_fit();
    }

    /// Exchanges everything that waits for `taken`, which must be empty. When nothing waits, whoever asks is woken once
    /// something does.
    pub fn poll_take(&self, context: &mut Context<'_>, taken: &mut VecDeque<QueuedOutcome>) -> Poll<()> {
        debug_assert!(taken.is_empty(), "what was not looked at would come after what is newer");
        let mut waiting = self.0.lock();
        if waiting.outcomes.is_empty() {
            waiting.publisher = Some(context.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut waiting.outcomes, taken);
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::errors::PublishError;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn many_outcomes_wake_their_publisher_once() {
        let (queue, wakes) = (ReplyQueue::new(), Arc::new(Wakes::default()));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let mut taken = VecDeque::new();
        for round in 1..=2 {
            assert_eq!(queue.poll_take(&mut context, &mut taken), Poll::Pending);
            for ticket in 0..3 {
                queue.push(QueuedOutcome { ticket, outcome: Err(PublishError::Closed) });
            }
            assert_eq!(wakes.0.load(Ordering::SeqCst), round);
            assert_eq!(queue.poll_take(&mut context, &mut taken), Poll::Ready(()));
            assert_eq!(taken.drain(..).map(|outcome| outcome.ticket).collect::<Vec<_>>(), [0, 1, 2]);
        }
    }
}
