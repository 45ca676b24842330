//! Whether this server and the controller know the same as agreed on. Owns how a difference is noticed; never what mends it:
//! whoever notices one takes no part any more and says so.
//!
//! Raft's promise, that a leader has everything that was agreed on, is broken where most servers were set back, as by a
//! directory `raft` that was restored from a backup. Raft itself does not notice: whoever knows more answers with what it
//! knows as agreed on, the leader takes that for what both have, and this server is sent nothing any more.

use liftbridge_types::BrokerId;
use raft::eraftpb::{Message, MessageType};

use super::{NodeFailure, RaftNode};
use crate::digest::{Differs, Stamp};
use crate::log_index::LogIndex;

impl RaftNode {
    /// What this server came to, if it knows a digest of it.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let digest = self.state.read().digest?;
        Some(Stamp { index: self.applied, digest })
    }

    /// Compares what the leader says is in its log, and what it came to, with what is here.
    pub(super) fn check_agreement(
        &mut self,
        from: &BrokerId,
        message: &Message,
        stamp: Option<Stamp>,
    ) -> Result<(), NodeFailure> {
        // What was said by a leader of the past need not be so any more.
        if message.term < self.raw.raft.term {
            return Ok(());
        }
        if let Some((index, _)) = entries_of(message).find(|(index, term)| self.contradicts(*index, *term)) {
            return Err(NodeFailure::Diverged { index: LogIndex::new(index), controller: from.clone() });
        }
        if let (MessageType::MsgHeartbeat, Some(stamp)) = (message.get_msg_type(), stamp) {
            self.digests.compare(self.applied, from, stamp).map_err(diverged)?;
        }
        Ok(())
    }

    /// Compares what a leader said of entries that were not applied here then.
    pub(super) fn check_what_was_awaited(&mut self) -> Result<(), NodeFailure> {
        self.digests.reach(self.applied).map_err(diverged)
    }

    /// Whether an entry of this term at this index is another one than what is agreed on there. Of what is in a snapshot only
    /// the last entry's term is known; no entry before it has a later one.
    fn contradicts(&self, index: u64, term: u64) -> bool {
        let log = &self.raw.raft.raft_log;
        if index > log.committed {
            return false;
        }
        let oldest_known = log.first_index().saturating_sub(1);
        match log.term(index.max(oldest_known)) {
            Ok(known) if index < oldest_known => term > known,
            Ok(known) => term != known,
            Err(_) => false,
        }
    }
}

/// Which entries a leader says it has: index and term.
fn entries_of(message: &Message) -> impl Iterator<Item = (u64, u64)> {
    let snapshot = message.get_snapshot().get_metadata();
    let before = match message.get_msg_type() {
        MessageType::MsgAppend => Some((message.index, message.log_term)),
        MessageType::MsgSnapshot => Some((snapshot.index, snapshot.term)),
        _ => None,
    };
    before.into_iter().chain(message.entries.iter().map(|entry| (entry.index, entry.term)))
}

fn diverged(Differs { index, from }: Differs) -> NodeFailure {
    NodeFailure::Diverged { index, controller: from }
}
