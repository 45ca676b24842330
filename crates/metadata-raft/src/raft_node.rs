//! Raft, driven. Owns the order of persisting, sending, applying and answering; never threads, channels, clocks or what a
//! command means.
//!
//! A group of one needs no clock: it campaigns when it starts, wins by its own vote, and commits what it has stored. So
//! nothing ticks there, and an idle server does nothing at all. With peers there are ticks, counted from the time that comes
//! in as an argument, and messages, which go out through a port. What is deterministic stays so: raft draws election timeouts
//! from a thread's own randomness, and here each is replaced by one that follows from a seed, the server and the term.

mod applying;
mod comparing;
mod controlling;
mod peers;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::Shortage;
use liftbridge_types::BrokerId;
use raft::eraftpb::ConfState;
use raft::{Config, RawNode, Ready, StateRole};
use thiserror::Error;

use crate::agreed_state::AgreedState;
use crate::cluster_event::Applied;
use crate::codec::DecodeError;
use crate::controller::{Controller, ControllerOptions};
use crate::digest::DigestHistory;
use crate::log_index::LogIndex;
use crate::proposal::{ProposalReply, Unavailable};
use crate::raft_log::PersistError;
use crate::raft_logger::raft_logger;
use crate::raft_storage::{InstallSnapshotError, OpenMetadataError, REJOIN, RaftStorage};
use crate::standing::Standing;

use controlling::PendingJoin;

/// Bytes of entries raft puts into one message, and of committed ones into one step.
const STEP_BYTES_MAX: u64 = 1024 * 1024;
/// Appends on their way to one peer at most.
const INFLIGHT_MESSAGES_MAX: usize = 128;
/// The unit of raft's time.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Ticks without a leader after which there is an election, at least; the upper end is twice that.
const ELECTION_TICKS: usize = 7;
/// For how long a leader that has heard of most voters is sure that none of them has elected another: less than the shortest
/// election timeout, by the tick that may have been about to come.
const SURE_FOR: Duration = Duration::from_millis(500);
/// Ticks between a leader's heartbeats.
const HEARTBEAT_TICKS: usize = 2;

/// The node cannot go on; what was agreed on is safe on the medium as far as the medium is.
#[derive(Debug, Error)]
pub(crate) enum NodeFailure {
    #[error("{0}; mend the storage and restart the server")]
    Persist(#[from] PersistError),
    #[error("{0}; mend the storage and restart the server")]
    TakeIn(InstallSnapshotError),
    #[error("entry {index}: {source}")]
    Entry { index: LogIndex, source: DecodeError },
    #[error("snapshot: {0}")]
    Snapshot(DecodeError),
    #[error("entry {index} changes the membership in a way that is not known here: upgrade this server")]
    Membership { index: LogIndex },
    #[error(
        "this server has confirmed entry {confirmed} of the metadata log to others, and its log ends at {last}: what it knew \
         last is lost; {REJOIN}"
    )]
    Forgotten { confirmed: u64, last: u64 },
    #[error(
        "at entry {index} of the metadata log this server knows something else as agreed on than the controller `{controller}`: \
         one of them was given an older or a foreign directory `raft`, and what only this server knows is not lost yet. Keep a \
         copy of its data directory; then give the others back the directories `raft` they had together with it, or give up what \
         only this one knows: run `liftbridge-admin cluster remove` for it and let it join again with an empty data directory"
    )]
    Diverged { index: LogIndex, controller: BrokerId },
    #[error("raft: {0}")]
    Raft(#[from] raft::Error),
}

/// Takes a message for another server; it may be lost.
pub type SendMessage = Box<dyn FnMut(&BrokerId, Vec<u8>) + Send>;

/// Where what happens goes. Everything is called on raft's thread, and while it blocks nothing is agreed on.
pub struct Ports {
    /// Takes what was applied, in order.
    pub deliver: Box<dyn FnMut(Applied) + Send>,
    /// Takes a message for another server; it may be lost.
    pub send: SendMessage,
    /// Takes this server's part each time it changes.
    pub stand: Box<dyn FnMut(&Standing) + Send>,
}

impl Ports {
    /// The ports of a server without peers.
    pub fn alone(deliver: impl FnMut(Applied) + Send + 'static) -> Self {
        Self { deliver: Box::new(deliver), send: Box::new(|_, _| {}), stand: Box::new(|_| {}) }
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// How a node behaves.
#[derive(Clone, Debug)]
pub(crate) struct NodeOptions {
    pub(crate) snapshot_threshold: u64,
    pub(crate) controller: ControllerOptions,
    /// What election timeouts follow from.
    pub(crate) seed: u64,
}

/// Who waits for the entry at an index; nobody for what the controller proposed by itself.
#[derive(Debug)]
struct Waiting {
    index: u64,
    term: u64,
    reply: Option<ProposalReply>,
}

/// A snapshot that is due but contains events nobody has carried out yet.
#[derive(Debug)]
struct DueSnapshot {
    index: LogIndex,
    term: u64,
    membership: ConfState,
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
/// - A change of membership is applied after it is durable that it is committed: a server that restarts never holds an
///   election with fewer voters than it has acted with.
pub(crate) struct RaftNode {
    raw: RawNode<RaftStorage>,
    state: Arc<AgreedState>,
    options: NodeOptions,
    ports: Ports,
    applied: LogIndex,
    applied_term: u64,
    waiting: VecDeque<Waiting>,
    /// What raft wants stored and could not be stored now. Until it does, raft must not be told anything.
    unstored: Option<Ready>,
    /// For want of what.
    shortage: Option<Shortage>,
    commands_since_snapshot: u64,
    due_snapshot: Option<DueSnapshot>,
    /// The time, counted from any fixed moment, and up to when there were ticks.
    now: Duration,
    ticked: Duration,
    /// Who spoke under which of raft's numbers, for as long as the state does not say.
    introduced: BTreeMap<u64, BrokerId>,
    /// What this server came to lately, to compare with the controller.
    digests: DigestHistory,
    /// When each peer was last heard of, while this server leads.
    contacts: BTreeMap<u64, Duration>,
    /// Since when each peer is being sent a snapshot.
    snapshots_under_way: BTreeMap<u64, Duration>,
    controller: Controller,
    /// Whether this server acts as the controller.
    controls: bool,
    /// The other broker that led last, since this one did.
    predecessor: Option<BrokerId>,
    joins: VecDeque<PendingJoin>,
    standing: Option<Standing>,
}

impl RaftNode {
    /// A node over an opened storage whose snapshot holds `state`. Before it returns everything is applied that is known to
    /// be committed; the only voter of its group leads, too, and then that is everything the log holds.
    pub(crate) fn start(
        storage: RaftStorage,
        state: Arc<AgreedState>,
        options: NodeOptions,
        ports: Ports,
    ) -> Result<Self, OpenMetadataError> {
        let applied = storage.snapshot_index();
        let config = Config {
            id: storage.raft_id().get(),
            applied: applied.get(),
            max_size_per_msg: STEP_BYTES_MAX,
            max_committed_size_per_ready: STEP_BYTES_MAX,
            max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            check_quorum: true,
            pre_vote: true,
            ..Config::default()
        };
        let refused = |error: raft::Error| OpenMetadataError::Raft { reason: error.to_string() };
        let mut digests = DigestHistory::default();
        digests.begin(applied, state.read().digest);
        let raw = RawNode::new(&config, storage, &raft_logger()).map_err(refused)?;
        let mut node = Self {
            raw,
            state,
            controller: Controller::new(options.controller.clone()),
            options: NodeOptions { snapshot_threshold: options.snapshot_threshold.max(1), ..options },
            ports,
            applied,
            applied_term: 0,
            waiting: VecDeque::new(),
            unstored: None,
            shortage: None,
            commands_since_snapshot: 0,
            due_snapshot: None,
            now: Duration::ZERO,
            ticked: Duration::ZERO,
            introduced: BTreeMap::new(),
            digests,
            contacts: BTreeMap::new(),
            snapshots_under_way: BTreeMap::new(),
            controls: false,
            predecessor: None,
            joins: VecDeque::new(),
            standing: None,
        };
        let failed = |failure: NodeFailure| OpenMetadataError::Raft { reason: failure.to_string() };
        node.set_election_timeout();
        // What is known to be committed may change who votes, so it comes before the question whether anybody else does.
        node.drive().map_err(failed)?;
        if node.is_sole_voter() {
            node.raw.campaign().map_err(refused)?;
            node.drive().map_err(failed)?;
        }
        let reason = match &node.unstored {
            Some(_) => node.why_unstored(),
            None if node.is_sole_voter() && node.raw.raft.state != StateRole::Leader => {
                "this server does not lead its own metadata"
            }
            None => return Ok(node),
        };
        Err(OpenMetadataError::Raft { reason: reason.to_owned() })
    }

    /// The last entry that was applied.
    pub(crate) fn applied(&self) -> LogIndex {
        self.applied
    }

    /// Sets where what happens goes from now on; the part this server has now is told anew.
    pub(crate) fn connect(&mut self, ports: Ports) {
        self.ports = ports;
        self.standing = None;
        self.tell_standing();
    }

    /// Proposes an encoded command. [`RaftNode::drive`] stores it, with whatever else was proposed before that, in one go.
    pub(crate) fn propose(&mut self, command: Vec<u8>, reply: ProposalReply) -> Result<(), NodeFailure> {
        if self.unstored.is_some() {
            self.drive()?;
        }
        if self.unstored.is_some() {
            let reason = self.why_unstored().to_owned();
            reply.answer(Err(Unavailable::LogFailed { reason }.into()));
            return Ok(());
        }
        self.propose_for(command, Some(reply))
    }

    fn propose_for(&mut self, command: Vec<u8>, reply: Option<ProposalReply>) -> Result<(), NodeFailure> {
        let refused = |reply: Option<ProposalReply>, why: Unavailable| {
            if let Some(reply) = reply {
                reply.answer(Err(why.into()));
            }
        };
        // Raft would hand it on to the leader by itself, and nobody would know what becomes of it.
        if self.raw.raft.state != StateRole::Leader {
            let controller = self.controller_address();
            refused(reply, Unavailable::NotController { controller });
            return Ok(());
        }
        match self.raw.propose(Vec::new(), command) {
            Ok(()) => {
                let (index, term) = (self.raw.raft.raft_log.last_index(), self.raw.raft.term);
                self.waiting.push_back(Waiting { index, term, reply });
            }
            // The leadership is being handed over.
            Err(raft::Error::ProposalDropped) => refused(reply, Unavailable::NotController { controller: None }),
            Err(error) => {
                refused(reply, Unavailable::LogFailed { reason: error.to_string() });
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Does everything raft has to have done: stores, sends, applies, delivers, answers.
    pub(crate) fn drive(&mut self) -> Result<(), NodeFailure> {
        loop {
            self.store_ready()?;
            self.offer_newer_snapshot();
            self.follow_leadership();
            if self.unstored.is_none() {
                self.do_what_needs_no_clock()?;
            }
            if self.unstored.is_some() || !self.raw.has_ready() {
                return Ok(());
            }
        }
    }

    fn store_ready(&mut self) -> Result<(), NodeFailure> {
        loop {
            let retried = self.unstored.is_some();
            let ready = match self.unstored.take() {
                Some(ready) => ready,
                None if self.raw.has_ready() => {
                    let mut ready = self.raw.ready();
                    // A leader's own, which may leave before it has stored what they carry.
                    self.send(ready.take_messages());
                    // These were stored with an earlier ready.
                    self.apply_entries(ready.take_committed_entries())?;
                    ready
                }
                None => return Ok(()),
            };
            if !self.store(ready)? {
                if !retried {
                    let reason = self.why_unstored();
                    tracing::warn!(reason, "metadata cannot be stored now");
                }
                return Ok(());
            }
            if retried {
                tracing::info!("metadata is stored again");
            }
        }
    }

    /// Stores what is ready, and only then tells raft, and others, that it is. `false` when the medium is full or no file
    /// can be opened: then nothing has happened, and the same is tried again later.
    fn store(&mut self, mut ready: Ready) -> Result<bool, NodeFailure> {
        if !ready.snapshot().is_empty() && !self.take_in(&ready)? {
            self.unstored = Some(ready);
            return Ok(false);
        }
        match self.raw.mut_store().persist(ready.entries(), ready.hs()) {
            Err(error) if error.shortage().is_some() => {
                self.shortage = error.shortage();
                self.unstored = Some(ready);
                return Ok(false);
            }
            other => other?,
        }
        self.send(ready.take_persisted_messages());
        let mut light = self.raw.advance_append(ready);
        if let Some(commit) = light.commit_index() {
            self.raw.mut_store().set_commit(commit);
            if self.raw.raft.has_pending_conf() {
                self.persist_commit()?;
            }
        }
        self.send(light.take_messages());
        self.apply_entries(light.take_committed_entries())?;
        self.raw.advance_apply();
        Ok(true)
    }

    /// Writes the snapshot that is due, if everything in it was carried out. One that cannot be written costs a longer log
    /// and a longer start, no more; the next threshold tries again.
    pub(crate) fn maybe_write_snapshot(&mut self, carried_out: LogIndex) -> Result<(), NodeFailure> {
        let Some(due) = self.due_snapshot.take_if(|due| due.index <= carried_out) else { return Ok(()) };
        let DueSnapshot { index, term, membership, body } = due;
        match self.raw.mut_store().install_snapshot(index, term, membership, &body) {
            Ok(()) => Ok(()),
            Err(InstallSnapshotError::Storage(error)) => {
                tracing::warn!(%error, "metadata snapshot was not written");
                Ok(())
            }
            Err(InstallSnapshotError::Log(error)) if error.shortage().is_some() => {
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
        for reply in self.waiting.drain(..).filter_map(|waiting| waiting.reply) {
            reply.answer(Err(why.clone().into()));
        }
    }

    /// Leaves clean files behind, and a snapshot of what `carried_out` covers: few logs get as long as the threshold, and without
    /// a snapshot there is one copy of each entry here.
    pub(crate) fn close(&mut self, carried_out: LogIndex) {
        if self.commands_since_snapshot > 0 && self.applied <= carried_out {
            self.prepare_snapshot(self.applied, self.applied_term);
        }
        if let Err(error) = self.maybe_write_snapshot(carried_out) {
            return tracing::warn!(%error, "metadata log was not closed cleanly; the next start recovers it");
        }
        if let Err(error) = self.raw.mut_store().close() {
            tracing::warn!(%error, "metadata log was not closed cleanly; the next start recovers it");
        }
    }

    fn id(&self) -> u64 {
        self.raw.raft.id
    }

    /// What mends it that something waits to be stored.
    fn why_unstored(&self) -> &'static str {
        match self.shortage {
            Some(Shortage::Files) => "no more files can be opened: raise the limit of open files, or close connections",
            Some(Shortage::Space) | None => "disk is full: free space on the volume of the data directory",
        }
    }

    fn is_sole_voter(&self) -> bool {
        self.raw.store().membership().voters == [self.id()]
    }

    /// Makes it durable how far is committed, before membership changes with it. Where it cannot be stored now it is done without.
    fn persist_commit(&mut self) -> Result<(), NodeFailure> {
        let hard_state = self.raw.raft.hard_state();
        match self.raw.mut_store().persist(&[], Some(&hard_state)) {
            Err(error) if error.shortage().is_some() => {
                tracing::warn!(%error, "a change of membership was not noted as committed");
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
