//! What can happen to a leader. A closed list: a new cause is a new variant.

use std::ops::Range;

use liftbridge_types::{AckPolicy, BrokerId, Offset, Timestamp};

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
    /// A replica (this one too) has everything before `end` on stable storage.
    DurableEnd {
        /// Which one.
        replica: BrokerId,
        /// The end of what it has.
        end: Offset,
    },
    /// Publishes are refused from now on, or taken again.
    SetReadonly(bool),
    /// Another minimum of in-sync replicas applies; `None` = a majority.
    SetInSyncMin(Option<u32>),
    /// Other in-sync replicas were proposed to the controller: until it has answered, either set may be the valid one.
    InSyncProposed(Vec<BrokerId>),
    /// The controller's word on the in-sync replicas.
    InSyncAgreed(Vec<BrokerId>),
    /// This leadership is over: fenced, moved away, closed. Final.
    Resigned,
}
