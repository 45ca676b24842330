//! What a subscriber asks for. Owns positions as the subscriber means them; never their numbers on the wire.

use liftbridge_types::{Offset, PartitionId, Timestamp};

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// After the newest message.
    #[default]
    NewOnly,
    /// At this offset, or at the oldest message when that one is later.
    Offset(Offset),
    /// At the oldest message.
    Earliest,
    /// At the newest message.
    Latest,
    /// At the first message received at or after this time.
    Time(Timestamp),
}

/// Where a subscription ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// Nowhere.
    #[default]
    OnCancel,
    /// After this offset.
    Offset(Offset),
    /// After the message that is the newest when the subscription begins.
    Latest,
    /// After the last message received at or before this time.
    Time(Timestamp),
}

/// A partition to read: by default partition 0, from now on, without end.
#[derive(Clone, Debug)]
#[must_use]
pub struct Subscribe {
    pub(crate) stream: String,
    pub(crate) partition: PartitionId,
    pub(crate) start: Start,
    pub(crate) stop: Stop,
    pub(crate) reverse: bool,
    pub(crate) resume: bool,
    pub(crate) read_isr_replica: bool,
}

impl Subscribe {
    /// Reads this stream.
    pub fn new(stream: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            partition: PartitionId::default(),
            start: Start::default(),
            stop: Stop::default(),
            reverse: false,
            resume: false,
            read_isr_replica: false,
        }
    }

    /// Reads this partition.
    pub fn partition(mut self, partition: PartitionId) -> Self {
        self.partition = partition;
        self
    }

    /// Where to begin.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Where to end.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Reads from newer to older: from the start position down to the stop position or the oldest message.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Wakes the partition if it is paused.
    pub fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// Reads from any in-sync replica instead of the leader. It may lag a little.
    pub fn read_isr_replica(mut self) -> Self {
        self.read_isr_replica = true;
        self
    }

    /// The rest of this subscription once `last` has been delivered; `None` when there is none.
    pub(crate) fn after(&self, last: Offset) -> Option<Self> {
        let next = if self.reverse { last.previous()? } else { last.next() };
        let reached = matches!(self.stop, Stop::Offset(stop) if stop == last);
        (!reached).then(|| self.clone().start(Start::Offset(next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(subscribe: &Subscribe, last: u64, expected: Option<u64>) {
        let rest = subscribe.after(Offset::new(last)).map(|rest| rest.start);
        assert_eq!(rest, expected.map(|next| Start::Offset(Offset::new(next))));
    }

    #[test]
    fn the_rest_begins_after_the_last_message_in_the_direction_of_reading() {
        let forward = Subscribe::new("foo").start(Start::Earliest);
        check(&forward, 7, Some(8));
        check(&forward.clone().reverse(), 7, Some(6));
        check(&forward.clone().reverse(), 0, None);
        check(&forward.stop(Stop::Offset(Offset::new(7))), 7, None);
    }
}
