//! What is due later, for all partitions of a node: one queue, one timer. Owns when; never what a duty does.
//!
//! A partition without a duty in the queue costs nothing. Weak references: a partition that is gone is skipped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Clock;

/// What can be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Duty {
    /// A batch has waited for company long enough.
    Append,
    /// What was written is to be forced to the medium.
    Sync,
    /// Retention is to be enforced.
    Clean,
    /// The leader or follower has something to say, or the leader to decide, though nothing happens.
    Tick,
    /// Nothing may have happened for a while: files and caches may be closed.
    Park,
}

/// Something that has duties.
pub(crate) trait OnDuty: Send + Sync + 'static {
    /// The duty is due.
    fn on_duty(self: Arc<Self>, duty: Duty);
}

/// The duties of a node's partitions, by time.
#[derive(Debug)]
pub(crate) struct Upkeep<P> {
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue<P>>,
    earlier: Notify,
}

#[derive(Debug)]
struct Queue<P> {
    entries: BinaryHeap<Reverse<Entry<P>>>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry<P> {
    due: Duration,
    /// Breaks ties in the order they were scheduled.
    sequence: u64,
    duty: Duty,
    partition: Weak<P>,
}

impl<P> Entry<P> {
    fn rank(&self) -> (Duration, u64) {
        (self.due, self.sequence)
    }
}

impl<P> PartialEq for Entry<P> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<P> Eq for Entry<P> {}

impl<P> PartialOrd for Entry<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Entry<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl<P: OnDuty> Upkeep<P> {
    /// Nothing is due.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let queue = Queue { entries: BinaryHeap::new(), sequence: 0 };
        Self { clock, queue: Mutex::new(queue), earlier: Notify::new() }
    }

    /// Has `partition` reminded of `duty` in `wait`.
    pub(crate) fn schedule(&self, wait: Duration, duty: Duty, partition: Weak<P>) {
        let due = self.clock.elapsed().saturating_add(wait);
        let mut queue = self.queue.lock();
        let is_earliest = queue.entries.peek().is_none_or(|Reverse(first)| due < first.due);
        let sequence = queue.sequence;
        queue.sequence += 1;
        queue.entries.push(Reverse(Entry { due, sequence, duty, partition }));
        drop(queue);
        if is_earliest {
            self.earlier.notify_one();
        }
    }

    /// Reminds everybody who is due; returns how long it is until the next duty, `None` without one.
    pub(crate) fn run_due(&self) -> Option<Duration> {
        loop {
            let now = self.clock.elapsed();
            let mut queue = self.queue.lock();
            let next = queue.entries.peek().map(|Reverse(entry)| entry.due)?;
            if next > now {
                return Some(next - now);
            }
            let due = queue.entries.pop();
            drop(queue);
            if let Some(Reverse(entry)) = due
                && let Some(partition) = entry.partition.upgrade()
            {
                partition.on_duty(entry.duty);
            }
        }
    }

    /// Reminds for ever. The one timer of a node; ended by aborting its task, which loses nothing.
    pub(crate) async fn run(&self) {
        loop {
            let next = self.run_due();
            let earlier = self.earlier.notified();
            match next {
                None => earlier.await,
                Some(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = earlier => {}
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::testing::TestClock;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<Duty>>);

    impl OnDuty for Recorder {
        fn on_duty(self: Arc<Self>, duty: Duty) {
            self.0.lock().push(duty);
        }
    }

    #[test]
    fn duties_come_when_they_are_due_and_in_that_order() {
        let clock = TestClock::new();
        let upkeep = Upkeep::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let recorder = Arc::new(Recorder::default());
        let seconds = Duration::from_secs;
        upkeep.schedule(seconds(9), Duty::Clean, Arc::downgrade(&recorder));
        upkeep.schedule(seconds(3), Duty::Park, Arc::downgrade(&recorder));
        upkeep.schedule(seconds(3), Duty::Sync, Arc::downgrade(&recorder));
        assert_eq!(upkeep.run_due(), Some(seconds(3)));
        clock.advance(seconds(4));
        assert_eq!(upkeep.run_due(), Some(seconds(5)));
        assert_eq!(*recorder.0.lock(), [Duty::Park, Duty::Sync]);
        clock.advance(seconds(5));
        assert_eq!(upkeep.run_due(), None);
        assert_eq!(recorder.0.lock().len(), 3);
    }

    #[test]
    fn who_is_gone_is_not_reminded() {
        let clock = TestClock::new();
        let upkeep = Upkeep::new(Arc::clone(&clock) as Arc<dyn Clock>);
        upkeep.schedule(Duration::ZERO, Duty::Park, Arc::downgrade(&Arc::new(Recorder::default())));
        assert_eq!(upkeep.run_due(), None);
    }
}
