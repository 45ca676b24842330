//! What raft has agreed on, applied: commands, changes of membership, whole states sent by others.

use raft::Ready;
use raft::eraftpb::{ConfChange, ConfChangeType, Entry, EntryType};

use super::{DueSnapshot, NodeFailure, RaftNode};
use crate::apply::MembershipChange;
use crate::cluster_event::{Applied, ClusterEvent};
use crate::codec::{decode_command, decode_membership_change, decode_snapshot};
use crate::log_index::LogIndex;
use crate::proposal::{ProposalReply, Unavailable};

impl RaftNode {
    pub(super) fn apply_entries(&mut self, entries: Vec<Entry>) -> Result<(), NodeFailure> {
        let is_change = |entry: &Entry| entry.get_entry_type() != EntryType::EntryNormal;
        if entries.iter().any(is_change) {
            self.persist_commit()?;
        }
        for entry in entries {
            match entry.get_entry_type() {
                EntryType::EntryNormal => self.apply_command(&entry)?,
                EntryType::EntryConfChange => self.apply_membership_change(&entry)?,
                EntryType::EntryConfChangeV2 => {
                    return Err(NodeFailure::Membership { index: LogIndex::new(entry.index) });
                }
            }
            (self.applied, self.applied_term) = (LogIndex::new(entry.index), entry.term);
        }
        self.check_what_was_awaited()
    }

    fn apply_command(&mut self, entry: &Entry) -> Result<(), NodeFailure> {
        // A new leader's first entry is empty; a command never is.
        if entry.data.is_empty() {
            return Ok(());
        }
        let index = LogIndex::new(entry.index);
        let command = decode_command(&entry.data).map_err(|source| NodeFailure::Entry { index, source })?;
        let outcome = self.state.change(index, |state| {
            state.digest(index, &entry.data);
            state.apply(index, command)
        });
        self.note_entry(index, entry.term);
        let (events, answer) = match outcome {
            Ok(events) => (events, Ok(index)),
            Err(rejection) => (Vec::new(), Err(rejection.into())),
        };
        (self.ports.deliver)(Applied { index, events });
        if let Some(reply) = self.waiting_for(entry) {
            reply.answer(answer);
        }
        Ok(())
    }

    /// Changes raft's quorum and the table of servers at the same index.
    fn apply_membership_change(&mut self, entry: &Entry) -> Result<(), NodeFailure> {
        let index = LogIndex::new(entry.index);
        let change = decode_membership_change(&entry.context).map_err(|source| NodeFailure::Entry { index, source })?;
        let id = change.id();
        let mut raft_change = ConfChange { node_id: id.get(), ..ConfChange::default() };
        raft_change.set_change_type(kind_of(&change));
        let is_new = matches!(change, MembershipChange::Add { .. });
        let was_alone = !self.needs_ticks();
        let membership = self.raw.apply_conf_change(&raft_change)?;
        self.raw.mut_store().set_membership(membership);
        let events = self.state.change(index, |state| {
            state.digest(index, &entry.context);
            state.change_membership(change)
        });
        self.note_entry(index, entry.term);
        if was_alone && self.controls {
            // Nobody had to give a sign of life before.
            self.controller.begin(self.now, &self.state.read(), None);
        }
        if is_new {
            // Whoever is new needs a state that it occurs in.
            self.raw.mut_store().offer(index, entry.term, &self.state.read());
            if self.raw.raft.state == raft::StateRole::Leader {
                self.contacts.insert(id.get(), self.now);
                self.raw.raft.send_append(id.get());
            }
        }
        (self.ports.deliver)(Applied { index, events });
        self.drop_waiting_before(entry.index);
        Ok(())
    }

    /// Takes in the whole state that another server sent; `false` when there is too little of something to store it now.
    pub(super) fn take_in(&mut self, ready: &Ready) -> Result<bool, NodeFailure> {
        let snapshot = ready.snapshot();
        let contents = decode_snapshot(&snapshot.data).map_err(NodeFailure::Snapshot)?;
        let hard_state = self.raw.raft.hard_state();
        match self.raw.mut_store().take_in(snapshot, &hard_state) {
            Ok(()) => {}
            Err(error) => {
                self.shortage = error.shortage();
                return if self.shortage.is_some() { Ok(false) } else { Err(NodeFailure::TakeIn(error)) };
            }
        }
        tracing::info!(index = %contents.index, "metadata was sent whole by another server");
        self.digests.begin(contents.index, contents.state.digest);
        self.state.change(contents.index, |state| *state = contents.state);
        (self.applied, self.applied_term) = (contents.index, contents.term);
        self.due_snapshot = None;
        self.commands_since_snapshot = 0;
        (self.ports.deliver)(Applied { index: contents.index, events: vec![ClusterEvent::Replaced] });
        self.drop_waiting_before(contents.index.next().get());
        Ok(true)
    }

    /// Whoever proposed this entry. Those that waited for another one in its place hear that it is unknown what became of
    /// theirs.
    fn waiting_for(&mut self, entry: &Entry) -> Option<ProposalReply> {
        self.drop_waiting_before(entry.index);
        let first = self.waiting.pop_front_if(|first| first.index == entry.index)?;
        if first.term == entry.term {
            return first.reply;
        }
        if let Some(reply) = first.reply {
            reply.answer(Err(Unavailable::LeadershipLost.into()));
        }
        None
    }

    fn drop_waiting_before(&mut self, index: u64) {
        while let Some(first) = self.waiting.pop_front_if(|first| first.index < index) {
            if let Some(reply) = first.reply {
                reply.answer(Err(Unavailable::LeadershipLost.into()));
            }
        }
    }

    fn note_entry(&mut self, index: LogIndex, term: u64) {
        self.digests.note(index, self.state.read().digest);
        self.commands_since_snapshot = self.commands_since_snapshot.saturating_add(1);
        if self.due_snapshot.is_none() && self.commands_since_snapshot >= self.options.snapshot_threshold {
            self.prepare_snapshot(index, term);
        }
    }

    /// The state is that after the entry at `index`: it is to be written down.
    pub(super) fn prepare_snapshot(&mut self, index: LogIndex, term: u64) {
        let body = self.raw.store().encode_snapshot(index, term, &self.state.read());
        let membership = self.raw.store().membership().clone();
        self.due_snapshot = Some(DueSnapshot { index, term, membership, body });
        self.commands_since_snapshot = 0;
    }
}

fn kind_of(change: &MembershipChange) -> ConfChangeType {
    match change {
        MembershipChange::Add { .. } => ConfChangeType::AddLearnerNode,
        MembershipChange::Promote(_) => ConfChangeType::AddNode,
        MembershipChange::Remove(_) => ConfChangeType::RemoveNode,
    }
}
