//! The other servers: ticks, messages in and out, elections without chance, states that are sent whole.

use std::time::Duration;

use liftbridge_types::BrokerId;
use raft::eraftpb::{Message, MessageType};
use raft::{ProgressState, SnapshotStatus, StateRole};

use super::{ELECTION_TICKS, NodeFailure, RaftNode, TICK};
use crate::codec::{decode_message, decode_snapshot, encode_message};
use crate::node_id::RaftId;

/// Ticks that are made up for after a pause. Whoever was not running for long has no right to hurry afterwards.
const TICKS_AT_ONCE_MAX: u32 = 2;
/// How long a state may be on its way to a server before it is sent again.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(10);

impl RaftNode {
    /// Whether time means anything here: whether there is anybody else.
    pub(crate) fn needs_ticks(&self) -> bool {
        let membership = self.raw.store().membership();
        membership.voters != [self.id()] || !membership.learners.is_empty()
    }

    /// When the next tick is due; `None` when there are none.
    pub(crate) fn next_tick(&self) -> Option<Duration> {
        self.needs_ticks().then(|| self.ticked.saturating_add(TICK))
    }

    /// It is now this late: ticks that are due come, and the controller does what is due.
    pub(crate) fn advance_to(&mut self, now: Duration) -> Result<(), NodeFailure> {
        self.now = self.now.max(now);
        if !self.needs_ticks() {
            self.ticked = self.now;
            return Ok(());
        }
        let mut ticks = 0;
        while self.now.saturating_sub(self.ticked) >= TICK {
            self.ticked = self.ticked.saturating_add(TICK);
            if ticks == TICKS_AT_ONCE_MAX {
                self.ticked = self.now;
                break;
            }
            ticks += 1;
            // While something waits for room raft must not be told anything.
            if self.unstored.is_none() {
                self.raw.tick();
                self.set_election_timeout();
            }
        }
        if ticks > 0 && self.unstored.is_none() {
            self.send_snapshots_again();
            self.do_duties()?;
        }
        Ok(())
    }

    /// Takes in a message that the server of `from` has sent. What makes no sense is dropped, as the network may do, too.
    pub(crate) fn receive(&mut self, from: &BrokerId, bytes: &[u8]) -> Result<(), NodeFailure> {
        if self.unstored.is_some() {
            return Ok(());
        }
        let (message, stamp) = match decode_message(bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::warn!(%from, %error, "a raft message was dropped");
                return Ok(());
            }
        };
        if message.to != self.id() || !self.is_of(from, message.from) || !self.can_take_in(from, &message) {
            return Ok(());
        }
        if self.broker_of(message.from).is_none() {
            self.introduced.insert(message.from, from.clone());
        }
        self.contacts.insert(message.from, self.now);
        self.maybe_finish_snapshot(&message);
        self.check_memory(&message)?;
        self.check_agreement(from, &message, stamp)?;
        match self.raw.step(message) {
            // Whom it is from has left, or is not known yet.
            Err(raft::Error::StepPeerNotFound) => {}
            Err(raft::Error::StepLocalMsg) => tracing::warn!(%from, "a raft message was dropped"),
            other => other?,
        }
        self.set_election_timeout();
        Ok(())
    }

    /// A leader says only what this server has confirmed to it is committed here. If that is not in the log any more, the log
    /// has lost its end, and what else this server promised is not known either.
    fn check_memory(&self, message: &Message) -> Result<(), NodeFailure> {
        let last = self.raw.raft.raft_log.last_index();
        let is_of_leader = message.get_msg_type() == MessageType::MsgHeartbeat && message.term >= self.raw.raft.term;
        match is_of_leader && message.commit > last {
            true => Err(NodeFailure::Forgotten { confirmed: message.commit, last }),
            false => Ok(()),
        }
    }

    /// Hands messages to the port, each to the broker that has the number it is for.
    pub(super) fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let to = message.to;
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.snapshots_under_way.insert(to, self.now);
            }
            let Some(broker) = self.broker_of(to) else { continue };
            if let Some(bytes) = encode_message(message, self.stamp()) {
                (self.ports.send)(&broker, bytes);
            }
        }
    }

    /// Gives raft the election timeout that follows from the seed, this server and the term, in place of what it drew.
    pub(super) fn set_election_timeout(&mut self) {
        let raft = &mut self.raw.raft;
        let drawn = mixed(self.options.seed ^ mixed(raft.id ^ mixed(raft.term)));
        let spread = usize::try_from(drawn % ELECTION_TICKS as u64).unwrap_or(0);
        raft.set_randomized_election_timeout(ELECTION_TICKS + spread);
    }

    /// Keeps the present state for somebody who needs a newer one than the newest on the medium.
    pub(super) fn offer_newer_snapshot(&mut self) {
        if self.raw.mut_store().take_newer_wanted() && self.applied_term > 0 {
            let (index, term) = (self.applied, self.applied_term);
            self.raw.mut_store().offer(index, term, &self.state.read());
        }
    }

    /// The broker that has this number.
    pub(super) fn broker_of(&self, id: u64) -> Option<BrokerId> {
        let state = self.state.read();
        let known = RaftId::new(id).and_then(|id| state.nodes().get(id)).map(|node| node.broker.clone());
        known.or_else(|| self.introduced.get(&id).cloned())
    }

    /// Whether a number is that of the broker that speaks under it.
    fn is_of(&self, from: &BrokerId, id: u64) -> bool {
        let state = self.state.read();
        match RaftId::new(id).and_then(|id| state.nodes().get(id)) {
            Some(node) => node.broker == *from,
            // The founder is not in the table before it has registered, and a new server has no table.
            None => RaftId::new(id).is_some_and(|id| id > state.nodes().last_id()) || state.nodes().iter().len() == 0,
        }
    }

    /// Whether a message with a state carries one that can be taken in; raft asks no more.
    fn can_take_in(&self, from: &BrokerId, message: &Message) -> bool {
        if message.get_msg_type() != MessageType::MsgSnapshot {
            return true;
        }
        let metadata = message.get_snapshot().get_metadata();
        match decode_snapshot(&message.get_snapshot().data) {
            Ok(contents) => {
                let membership = metadata.get_conf_state();
                (contents.index.get(), contents.term) == (metadata.index, metadata.term)
                    && (&contents.voters, &contents.learners) == (&membership.voters, &membership.learners)
                    && contents.state.cluster_id() == self.state.read().cluster_id()
            }
            Err(error) => {
                tracing::error!(%from, %error, "the metadata that was sent cannot be read");
                false
            }
        }
    }

    /// Who has committed what its state was sent for has it, though the word of that got lost. Raft itself would wait for that
    /// word, and send nothing meanwhile.
    fn maybe_finish_snapshot(&mut self, message: &Message) {
        let is_awaited = self.raw.raft.prs().get(message.from).is_some_and(|progress| {
            progress.state == ProgressState::Snapshot && message.commit >= progress.pending_snapshot
        });
        if is_awaited
            && message.get_msg_type() == MessageType::MsgHeartbeatResponse
            && self.raw.raft.state == StateRole::Leader
        {
            self.raw.report_snapshot(message.from, SnapshotStatus::Finish);
        }
    }

    /// A state that got lost on its way would be waited for for ever.
    fn send_snapshots_again(&mut self) {
        if self.raw.raft.state != StateRole::Leader {
            self.snapshots_under_way.clear();
            return;
        }
        let (now, raw) = (self.now, &mut self.raw);
        self.snapshots_under_way.retain(|id, since| {
            let under_way = raw.raft.prs().get(*id).is_some_and(|progress| progress.state == ProgressState::Snapshot);
            let lost = under_way && now.saturating_sub(*since) >= SNAPSHOT_PATIENCE;
            if lost {
                raw.report_snapshot(*id, SnapshotStatus::Failure);
            }
            under_way && !lost
        });
    }
}

/// A number that follows from another one and has nothing in common with it (the finaliser of SplitMix64).
pub(super) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
