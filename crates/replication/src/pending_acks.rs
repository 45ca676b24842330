//! Who waits for a commit. Owns their order; never what commits.

use std::collections::VecDeque;

use liftbridge_types::{Offset, Timestamp};

use crate::event::ProposalId;

/// A stored message whose publisher waits for its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PendingAck {
    /// Whom to tell.
    pub(crate) id: ProposalId,
    /// The message's offset.
    pub(crate) offset: Offset,
    /// The time it is stored under.
    pub(crate) received_at: Timestamp,
}

/// The publishers that wait for a commit, by offset.
#[derive(Debug, Default)]
pub(crate) struct PendingAcks(VecDeque<PendingAck>);

impl PendingAcks {
    /// Another one waits, for an offset above all others.
    pub(crate) fn push(&mut self, ack: PendingAck) {
        debug_assert!(self.0.back().is_none_or(|last| last.offset < ack.offset), "offsets are given in order");
        self.0.push_back(ack);
    }

    /// Takes the next one whose record lies before `committed`.
    pub(crate) fn pop_committed(&mut self, committed: Offset) -> Option<PendingAck> {
        self.0.pop_front_if(|ack| ack.offset < committed)
    }

    /// Takes the next one, committed or not.
    pub(crate) fn pop(&mut self) -> Option<PendingAck> {
        self.0.pop_front()
    }

    /// Gives memory back that a burst left behind.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}
