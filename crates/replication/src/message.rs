//! What the leader and the followers of a partition tell each other. Owns the words; never how they travel, nor which
//! partition they are about: that is on the envelope.
//!
//! Any of them may be lost, doubled, late or overtaken. Nothing here relies on order: a follower takes an append only where
//! its log ends, and an answer about its log only while that is still the log it asked about.

use std::ops::Range;

use bytes::Bytes;
use liftbridge_types::{BrokerIncarnation, LeaderEpoch, Offset};

use crate::divergence::LogTail;

/// One message about one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The leadership it was said in.
    pub leader_epoch: LeaderEpoch,
    /// What is said.
    pub body: Body,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Leader: I lead; say where your log stands.
    Begin,
    /// Follower: this is where my log stands.
    Position {
        /// Which life of the follower says so.
        incarnation: BrokerIncarnation,
        /// How its log ends.
        tail: LogTail,
        /// The end of what it has on stable storage.
        durable_end: Offset,
        /// Whether all of that can be read: nothing is damaged that has not been repaired.
        intact: bool,
        /// Whether there is no room for more: take me out of the in-sync replicas, and send nothing until I say otherwise.
        full: bool,
    },
    /// Leader: your log does not end inside mine. This is the largest epoch of mine that is not above your last one.
    EpochEnd {
        /// The end of the log this answers; it means nothing to any other.
        asked: LogTail,
        /// That epoch, `None` where there is none, and where it ends in my log.
        answer: LogTail,
    },
    /// Leader: what comes after your log is gone here; empty yourself and go on at `start`.
    Reset {
        /// The end of the log this answers; it means nothing to any other.
        asked: LogTail,
        /// Where my log starts.
        start: Offset,
    },
    /// Leader: batches that continue your log, unchanged; none, to tell the high watermark only.
    Append {
        /// How the log ends that they continue: the epoch of the record before them (`None` = there is none, or nobody knows it
        /// any more) and their first offset.
        previous: LogTail,
        /// The end of what is committed.
        high_watermark: Offset,
        /// One after the other, each as it stands in the log.
        batches: Vec<Bytes>,
    },
    /// Follower: this much of your log is on my stable storage.
    Progress {
        /// Which life of the follower says so.
        incarnation: BrokerIncarnation,
        /// The end of it.
        durable_end: Offset,
    },
    /// Either: there is a later leadership than the one you spoke in; this message carries it.
    Fenced,
    /// Follower: what I had at these offsets is damaged. Take me out of the in-sync replicas, then send them again.
    Damaged {
        /// Which life of the follower says so.
        incarnation: BrokerIncarnation,
        /// The offsets that cannot be read.
        offsets: Range<Offset>,
    },
    /// Leader: these batches hold offsets from `start` on that you found damaged, unchanged.
    Repair {
        /// The first offset that was asked for.
        start: Offset,
        /// One after the other, each as it stands in the log. The first may begin earlier.
        batches: Vec<Bytes>,
    },
}

impl Message {
    /// A message said under `leader_epoch`.
    pub fn new(leader_epoch: LeaderEpoch, body: Body) -> Self {
        Self { leader_epoch, body }
    }
    /// What a broker that knows of `leader_epoch` answers if this was said in an earlier leadership; `None` if it was not, or
    /// wants no answer.
    pub fn answer_if_stale(&self, leader_epoch: LeaderEpoch) -> Option<Self> {
        let is_stale = self.leader_epoch < leader_epoch && self.body != Body::Fenced;
        is_stale.then(|| Self::new(leader_epoch, Body::Fenced))
    }
}
