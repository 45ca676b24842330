//! What can happen to a leader. A closed list: a new cause is a new variant.

use std::ops::Range;
use std::time::Duration;

use liftbridge_types::{AckPolicy, BrokerId, Offset, PartitionEpoch, Timestamp};

use crate::assignment::Assignment;
use crate::message::Message;

/// The driver's name for a publish that is owed an answer. Means nothing to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProposalId(usize);

impl ProposalId {
    /// The id with this number. It may be used again once its proposal was answered.
    pub const fn new(number: usize) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn get(self) -> usize {
        self.0
    }
}

/// A message that wants to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What its answer will be addressed to.
    pub id: ProposalId,
    /// When it may be acknowledged. [`AckPolicy::None`] is answered like [`AckPolicy::Leader`], so that the driver can let go
    /// of what it holds for it.
    pub ack_policy: AckPolicy,
    /// The offset it must get; `None` = any.
    pub expected_offset: Option<Offset>,
}

/// What can happen to a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A publisher wants a message stored.
    Proposed(Proposal),
    /// The batch of everything let in since the last one was written, not necessarily durably.
    Appended {
        /// The offsets it got: from the leader's log end, one for each message let in.
        offsets: Range<Offset>,
        /// The time of its first record; record `n` has `n` nanoseconds more.
        time: Timestamp,
    },
    /// That batch could not be written; nothing of it is in the log.
    AppendFailed,
    /// This replica has everything before `end` on stable storage.
    DurableEnd {
        /// The end of what it has.
        end: Offset,
    },
    /// Publishes are refused from now on, or taken again.
    SetReadonly(bool),
    /// Everything before this was removed from the log.
    Trimmed {
        /// Where the log starts now.
        start: Offset,
    },
    /// So much time has passed on the driver's monotonic clock. Reported before anything else that happens at another time, and
    /// when [`Leader::next_tick`](crate::Leader::next_tick) has come. A sole replica can do without.
    Tick {
        /// Time since the clock began.
        elapsed: Duration,
    },
    /// Another broker said something.
    Received {
        /// Which one.
        from: BrokerId,
        /// What.
        message: Message,
    },
    /// The way to another broker opened, or closed.
    Link {
        /// Which one.
        to: BrokerId,
        /// Whether messages get through from now on.
        up: bool,
    },
    /// What [`Effect::Push`](crate::Effect::Push) asked for was read and sent.
    Pushed {
        /// To which follower.
        to: BrokerId,
        /// The offset after the last record sent.
        end: Offset,
        /// How much it was; 0 = nothing could be read.
        bytes: usize,
    },
    /// The controller's word on this partition, in this same leadership.
    Assigned(Box<Assignment>),
    /// What [`Effect::ProposeInSync`](crate::Effect::ProposeInSync) asked for was not agreed on, and never will be.
    InSyncRefused {
        /// Which version of the agreed partition it was meant to follow.
        epoch: PartitionEpoch,
    },
    /// The controller has not been heard of for so long that it may have given the lead to another broker.
    Lapsed,
    /// The controller was heard of: until now nobody else led.
    Renewed,
    /// This leadership is over: fenced, moved away, closed. Final.
    Resigned,
}
