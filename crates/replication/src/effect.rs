//! What a leader decides. The driver carries effects out in the order they were given.

use liftbridge_types::{BrokerId, LeaderEpoch, Offset, PartitionEpoch, Timestamp};

use crate::assignment::BrokerLife;
use crate::event::ProposalId;
use crate::message::Message;

/// One decision of a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Send this. It may be lost.
    Send {
        /// To which broker.
        to: BrokerId,
        /// What.
        message: Box<Message>,
    },
    /// Read batches from the log and send them as [`Leader::append_message`](crate::Leader::append_message) says, then report
    /// [`Event::Pushed`](crate::Event::Pushed).
    Push {
        /// To which follower.
        to: BrokerId,
        /// The first offset it needs.
        start: Offset,
        /// About how much at most, but at least one batch.
        bytes_max: usize,
    },
    /// Read the batches with these offsets, or the first of them, and send them as [`Body::Repair`](crate::Body::Repair).
    Repair {
        /// To which follower.
        to: BrokerId,
        /// What it found damaged.
        offsets: std::ops::Range<Offset>,
    },
    /// Ask the controller for other in-sync replicas. It may be lost; [`Event::InSyncRefused`](crate::Event::InSyncRefused) is
    /// reported only if it is certain that it was not agreed on and never will be.
    ProposeInSync(Box<InSyncChange>),
}

/// Other in-sync replicas, to be compared with what is agreed on and then set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InSyncChange {
    /// Which leadership wants it.
    pub leader_epoch: LeaderEpoch,
    /// Which version of the agreed partition it follows. Any other there is by then refuses it.
    pub epoch: PartitionEpoch,
    /// The in-sync replicas from then on, in those of their lives that were seen to have everything.
    pub in_sync: Vec<BrokerLife>,
    /// Replicas that said they cannot read all they had: none of them may lead.
    pub damaged: Vec<BrokerId>,
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
    /// The leader cannot be sure any more that it leads: another may, and cut away what is stored here.
    Lapsed,
    /// Its batch could not be written.
    NotAppended,
    /// The leadership ended before the message was committed: whether it stays is unknown.
    Resigned,
}
