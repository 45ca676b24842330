//! What a leader decides. The driver carries effects out in the order they were given.

use liftbridge_types::{Offset, Timestamp};

use crate::event::ProposalId;

/// One decision of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The message goes into the batch being built, after those let in before it.
    AddToBatch {
        /// Whose message.
        id: ProposalId,
    },
    /// What its policy asked for has happened to the message: tell its publisher, and forget the id.
    Acknowledge {
        /// Whom to tell.
        id: ProposalId,
        /// The offset the message got.
        offset: Offset,
        /// The time it is stored under.
        received_at: Timestamp,
        /// The time of this acknowledgement.
        acknowledged_at: Timestamp,
    },
    /// The message was not stored, or nobody can say whether it will stay: tell its publisher, and forget the id.
    Refuse {
        /// Whom to tell.
        id: ProposalId,
        /// Why.
        refusal: Refusal,
    },
    /// Everything before `end` is committed: subscribers may see it.
    AdvanceHighWatermark {
        /// The new high watermark, larger than the one before.
        end: Offset,
    },
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The partition takes no publishes.
    Readonly,
    /// The message would not get the offset its publisher expects.
    IncorrectOffset {
        /// The offset it would have got.
        next: Offset,
    },
    /// `ALL` cannot be promised with this few in-sync replicas.
    TooFewInSync {
        /// How many there are.
        in_sync_count: usize,
        /// How many it takes.
        minimum: usize,
    },
    /// Its batch could not be written.
    NotAppended,
    /// The leadership ended before the message was committed: whether it stays is unknown.
    Resigned,
}
