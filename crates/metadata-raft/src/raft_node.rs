//! Raft, driven. Owns the order of persisting, applying and answering; never threads, channels or what a command means.
//!
//! A group of one needs no clock: it campaigns when it starts, wins by its own vote, and commits what it has stored. So
//! nothing here ticks, and an idle server does nothing at all. Raft numbers, entries, snapshots and membership are those
//! of any raft group: peers add ticks and a way for messages, not another store.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;
use raft::eraftpb::{Entry, EntryType};
use raft::{Config, RawNode, Ready, StateRole};
use thiserror::Error;

use crate::cluster_event::Applied;
use crate::cluster_state::ClusterState;
use crate::codec::{DecodeError, decode_command};
use crate::log_index::LogIndex;
use crate::proposal::{ProposalReply, Unavailable};
use crate::raft_log::PersistError;
use crate::raft_logger::raft_logger;
use crate::raft_storage::{FOUNDER, InstallSnapshotError, OpenMetadataError, RaftStorage};

/// Bytes of entries raft puts into one message, and of committed ones into one step.
const STEP_BYTES_MAX: u64 = 1024 * 1024;

/// The node cannot go on; what was agreed on is safe on the medium as far as the medium is.
#[derive(Debug, Error)]
pub(crate) enum NodeFailure {
    #[error("{0}; mend the storage and restart the server")]
    Persist(#[from] PersistError),
    #[error("entry {index}: {source}")]
    Entry { index: LogIndex, source: DecodeError },
    #[error("entry {index} changes the membership: written by a newer version of this server, upgrade it")]
    Membership { index: LogIndex },
    #[error("raft: {0}")]
    Raft(#[from] raft::Error),
    #[error("raft handed out a snapshot though there is no peer it could come from")]
    ForeignSnapshot,
}

/// Who waits for the entry at an index.
#[derive(Debug)]
struct Waiting {
    index: u64,
    term: u64,
    reply: ProposalReply,
}

/// A snapshot that is due but contains events nobody has carried out yet.
#[derive(Debug)]
struct DueSnapshot {
    index: LogIndex,
    term: u64,
    body: Vec<u8>,
}

/// One raft node.
///
/// Invariants:
/// - An entry is applied after it was stored and committed, once, in order.
/// - A command's events are delivered before its proposer is answered.
/// - Whoever proposed an entry is answered with what became of it, or that this is unknown; never with a refusal that may
///   still turn out untrue. So while something waits for room on the medium, its proposers wait too, and whatever comes
///   later is refused before raft knows of it.
/// - A snapshot contains nothing whose events were not reported as carried out, so a restart delivers those again.
pub(crate) struct RaftNode {
    raw: RawNode<RaftStorage>,
    state: Arc<RwLock<ClusterState>>,
    applied: LogIndex,
    waiting: VecDeque<Waiting>,
    /// What raft wants stored and the full medium did not take. Until it does, raft must not be told anything.
    unstored: Option<Ready>,
    snapshot_threshold: u64,
    commands_since_snapshot: u64,
    due_snapshot: Option<DueSnapshot>,
    deliver: Box<dyn FnMut(Applied) + Send>,
}

impl RaftNode {
    /// A node over an opened storage whose snapshot holds `state`. It leads before it returns, and everything the log
    /// holds is applied.
    pub(crate) fn start(
        storage: RaftStorage,
        state: Arc<RwLock<ClusterState>>,
        snapshot_threshold: u64,
        deliver: Box<dyn FnMut(Applied) + Send>,
    ) -> Result<Self, OpenMetadataError> {
        let applied = storage.snapshot_index();
        let config = Config {
            id: FOUNDER,
            applied: applied.get(),
            max_size_per_msg: STEP_BYTES_MAX,
            max_committed_size_per_ready: STEP_BYTES_MAX,
            ..Config::default()
        };
        let refused = |error: raft::Error| OpenMetadataError::Raft { reason: error.to_string() };
        let raw = RawNode::new(&config, storage, &raft_logger()).map_err(refused)?;
        let mut node = Self {
            raw,
            state,
            applied,
            waiting: VecDeque::new(),
            unstored: None,
            snapshot_threshold: snapshot_threshold.max(1),
            commands_since_snapshot: 0,
            due_snapshot: None,
            deliver,
        };
        node.raw.campaign().map_err(refused)?;
        node.drive().map_err(|failure| OpenMetadataError::Raft { reason: failure.to_string() })?;
        let reason = match &node.unstored {
            Some(_) => "disk is full: free space on the volume of the data directory",
            None if node.raw.raft.state != StateRole::Leader => "this server does not lead its own metadata",
            None => return Ok(node),
        };
        Err(OpenMetadataError::Raft { reason: reason.to_owned() })
    }

    /// The last entry that was applied.
    pub(crate) fn applied(&self) -> LogIndex {
        self.applied
    }

    /// Sets where events go from now on.
    pub(crate) fn deliver_to(&mut self, deliver: Box<dyn FnMut(Applied) + Send>) {
        self.deliver = deliver;
    }

    /// Proposes an encoded command. [`RaftNode::drive`] stores it, with whatever else was proposed before that, in one go.
    pub(crate) fn propose(&mut self, command: Vec<u8>, reply: ProposalReply) -> Result<(), NodeFailure> {
        if self.unstored.is_some() {
            self.drive()?;
        }
        if self.unstored.is_some() {
            reply.answer(Err(disk_full().into()));
            return Ok(());
        }
        match self.raw.propose(Vec::new(), command) {
            Ok(()) => {
                let (index, term) = (self.raw.raft.raft_log.last_index(), self.raw.raft.term);
                self.waiting.push_back(Waiting { index, term, reply });
            }
            Err(raft::Error::ProposalDropped) => reply.answer(Err(Unavailable::LeadershipLost.into())),
            Err(error) => {
                reply.answer(Err(Unavailable::LogFailed { reason: error.to_string() }.into()));
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Does everything raft has to have done: stores, applies, delivers, answers.
    pub(crate) fn drive(&mut self) -> Result<(), NodeFailure> {
        loop {
            let retried = self.unstored.is_some();
            let ready = match self.unstored.take() {
                Some(ready) => ready,
                None if self.raw.has_ready() => {
                    let mut ready = self.raw.ready();
                    // These were stored with an earlier ready.
                    self.apply_entries(ready.take_committed_entries())?;
                    ready
                }
                None => return Ok(()),
            };
            if !self.store(ready)? {
                if !retried {
                    tracing::warn!("metadata cannot be stored: the disk is full, and so is what was reserved of it");
                }
                return Ok(());
            }
            if retried {
                tracing::info!("there is space again: metadata is stored");
            }
        }
    }

    /// Stores what is ready, and only then tells raft that it is. `false` when the medium is full: then nothing has happened,
    /// and the same is tried again later.
    fn store(&mut self, ready: Ready) -> Result<bool, NodeFailure> {
        if !ready.snapshot().is_empty() {
            return Err(NodeFailure::ForeignSnapshot);
        }
        match self.raw.mut_store().persist(ready.entries(), ready.hs()) {
            Err(error) if error.is_disk_full() => {
                self.unstored = Some(ready);
                return Ok(false);
            }
            other => other?,
        }
        // Messages, of which a group of one has none, could be sent from here on.
        let mut light = self.raw.advance_append(ready);
        if let Some(commit) = light.commit_index() {
            self.raw.mut_store().set_commit(commit);
        }
        self.apply_entries(light.take_committed_entries())?;
        self.raw.advance_apply();
        Ok(true)
    }

    /// Writes the snapshot that is due, if everything in it was carried out. One that cannot be written costs a longer log
    /// and a longer start, no more; the next threshold tries again.
    pub(crate) fn maybe_write_snapshot(&mut self, carried_out: LogIndex) -> Result<(), NodeFailure> {
        let Some(due) = self.due_snapshot.take_if(|due| due.index <= carried_out) else { return Ok(()) };
        match self.raw.mut_store().install_snapshot(due.index, due.term, &due.body) {
            Ok(()) => Ok(()),
            Err(InstallSnapshotError::Storage(error)) => {
                tracing::warn!(%error, "metadata snapshot was not written");
                Ok(())
            }
            Err(InstallSnapshotError::Log(error)) if error.is_disk_full() => {
                tracing::warn!(%error, "metadata log was not compacted");
                Ok(())
            }
            Err(InstallSnapshotError::Log(error)) => Err(error.into()),
        }
    }

    /// Whether something is to be stored for which the medium has no room: [`RaftNode::drive`] tries again.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.unstored.is_some()
    }

    /// Takes back what was given up on a full medium, as far as there is room again.
    pub(crate) fn replenish_reserve(&mut self) {
        if !self.waits_for_room() {
            self.raw.mut_store().replenish_reserve();
        }
    }

    /// Answers everybody who waits that it is unknown what comes of it.
    pub(crate) fn refuse_waiting(&mut self, why: &Unavailable) {
        for Waiting { reply, .. } in self.waiting.drain(..) {
            reply.answer(Err(why.clone().into()));
        }
    }

    /// Leaves clean files behind.
    pub(crate) fn close(&mut self) {
        if let Err(error) = self.raw.mut_store().close() {
            tracing::warn!(%error, "metadata log was not closed cleanly; the next start recovers it");
        }
    }

    fn apply_entries(&mut self, entries: Vec<Entry>) -> Result<(), NodeFailure> {
        for entry in entries {
            self.apply_entry(&entry)?;
        }
        Ok(())
    }

    fn apply_entry(&mut self, entry: &Entry) -> Result<(), NodeFailure> {
        let index = LogIndex::new(entry.index);
        if entry.get_entry_type() != EntryType::EntryNormal {
            return Err(NodeFailure::Membership { index });
        }
        // A new leader's first entry is empty; a command never is.
        if !entry.data.is_empty() {
            let command = decode_command(&entry.data).map_err(|source| NodeFailure::Entry { index, source })?;
            let outcome = self.state.write().apply(index, command);
            self.applied = index;
            self.note_command(index, entry.term);
            let (events, answer) = match outcome {
                Ok(events) => (events, Ok(index)),
                Err(rejection) => (Vec::new(), Err(rejection.into())),
            };
            (self.deliver)(Applied { index, events });
            if let Some(reply) = self.waiting_for(entry) {
                reply.answer(answer);
            }
        }
        self.applied = index;
        Ok(())
    }

    /// Whoever proposed this entry. Those that waited for another one in its place hear that theirs is lost.
    fn waiting_for(&mut self, entry: &Entry) -> Option<ProposalReply> {
        while self.waiting.front().is_some_and(|first| first.index <= entry.index) {
            let first = self.waiting.pop_front()?;
            if (first.index, first.term) == (entry.index, entry.term) {
                return Some(first.reply);
            }
            first.reply.answer(Err(Unavailable::LeadershipLost.into()));
        }
        None
    }

    fn note_command(&mut self, index: LogIndex, term: u64) {
        self.commands_since_snapshot = self.commands_since_snapshot.saturating_add(1);
        if self.due_snapshot.is_none() && self.commands_since_snapshot >= self.snapshot_threshold {
            let body = self.raw.store().encode_snapshot(index, term, &self.state.read());
            self.due_snapshot = Some(DueSnapshot { index, term, body });
            self.commands_since_snapshot = 0;
        }
    }
}

fn disk_full() -> Unavailable {
    Unavailable::LogFailed { reason: "disk is full: free space on the volume of the data directory".to_owned() }
}
