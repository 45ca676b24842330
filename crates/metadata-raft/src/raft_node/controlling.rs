//! Being the controller: knowing whether this server is, doing what is due, letting servers in, hearing brokers.

use raft::StateRole;
use raft::eraftpb::{ConfChange, ConfChangeType};

use super::{NodeFailure, RaftNode, SURE_FOR};
use crate::admission::{Admission, Admitted, Join, admission, was_removed};
use crate::apply::MembershipChange;
use crate::call_reply::{CallReply, JoinAnswer};
use crate::codec::{encode_command, encode_membership_change};
use crate::command::Command;
use crate::controller::{Duty, next_feature_level};
use crate::node_id::RaftId;
use crate::proposal::Unavailable;
use crate::sessions::{Heartbeat, HeartbeatAnswer};
use crate::standing::{ControllerAddress, Part, Standing};

/// Servers that may wait to be let in.
const JOINS_WAITING_MAX: usize = 64;
/// How many entries a server may lack and count as having caught up.
const CAUGHT_UP_ENTRIES: u64 = 64;

/// A server that waits to be let in.
#[derive(Debug)]
pub(super) struct PendingJoin {
    join: Join,
    reply: CallReply<JoinAnswer>,
}

impl RaftNode {
    /// Lets a server in, which takes an agreement, or says why not.
    pub(crate) fn join(&mut self, join: Join, reply: CallReply<JoinAnswer>) -> Result<(), NodeFailure> {
        if was_removed(&self.state.read(), &join) {
            reply.answer(JoinAnswer::Removed);
            return Ok(());
        }
        if !self.controls {
            reply.answer(self.controller_address().map_or(JoinAnswer::Later, JoinAnswer::NotController));
            return Ok(());
        }
        if self.joins.len() >= JOINS_WAITING_MAX {
            reply.answer(JoinAnswer::Later);
            return Ok(());
        }
        self.joins.push_back(PendingJoin { join, reply });
        self.let_in()
    }

    /// Hears a broker. Only a controller that is sure to be the only one promises anything.
    pub(crate) fn on_heartbeat(&mut self, beat: &Heartbeat) -> HeartbeatAnswer {
        if !self.controls || !self.is_in_contact() {
            return HeartbeatAnswer::NotController;
        }
        self.controller.on_heartbeat(self.now, beat, &self.state.read())
    }

    /// Hands the leadership to whoever is furthest, if this server leads and there is anybody.
    pub(crate) fn resign(&mut self) {
        if self.raw.raft.state != StateRole::Leader || self.unstored.is_some() {
            return;
        }
        let voters = self.raw.store().membership().voters.clone();
        let recent = self.now.saturating_sub(SURE_FOR);
        let is_near = |id: &u64| self.contacts.get(id).is_some_and(|heard| *heard >= recent);
        let candidates = voters.into_iter().filter(|id| *id != self.id()).filter(is_near);
        let furthest = candidates.max_by_key(|id| self.raw.raft.prs().get(*id).map(|progress| progress.matched));
        if let Some(successor) = furthest {
            self.raw.transfer_leader(successor);
        }
    }

    /// Notices whether this server has become the controller or ceased to be it, and tells its part if that has changed.
    pub(super) fn follow_leadership(&mut self) {
        let leads = self.raw.raft.state == StateRole::Leader;
        if self.controls && !leads {
            self.controls = false;
            self.refuse_waiting(&Unavailable::LeadershipLost);
            self.joins.clear();
        } else if !self.controls && leads && self.raw.raft.apply_to_current_term() {
            self.controls = true;
            let (now, voters) = (self.now, self.raw.store().membership().voters.clone());
            self.contacts = voters.into_iter().map(|id| (id, now)).collect();
            let predecessor = self.predecessor.take();
            self.controller.begin(now, &self.state.read(), predecessor.as_ref());
        }
        let leader = self.raw.raft.leader_id;
        // Who was elected and has had nothing agreed on yet may still trust what the controller before it has answered.
        if leader != self.id()
            && self.applied_term == self.raw.raft.term
            && let Some(broker) = self.broker_of(leader)
        {
            self.predecessor = Some(broker);
        }
        self.tell_standing();
    }

    /// Proposes what is due, unless something that was due before is still on the way.
    pub(super) fn do_duties(&mut self) -> Result<(), NodeFailure> {
        if !self.controls || self.waiting.iter().any(|waiting| waiting.reply.is_none()) {
            return Ok(());
        }
        self.let_in()?;
        let progress = self.raw.raft.prs();
        let committed = self.raw.raft.raft_log.committed;
        let has_caught_up = |id: RaftId| {
            let matched = progress.get(id.get()).map_or(0, |progress| progress.matched);
            matched > 0 && matched.saturating_add(CAUGHT_UP_ENTRIES) >= committed
        };
        let duties = self.controller.due(self.now, self.applied, &self.state.read(), has_caught_up);
        for duty in duties {
            match duty {
                Duty::Propose(command) => self.propose_for(encode_command(command), None)?,
                Duty::Change(change) => self.propose_change(&change)?,
            }
        }
        Ok(())
    }

    /// What is due as soon as something was applied: to let servers in, and what a server without peers does by itself.
    pub(super) fn do_what_needs_no_clock(&mut self) -> Result<(), NodeFailure> {
        if !self.controls {
            return Ok(());
        }
        if !self.joins.is_empty() {
            self.let_in()?;
        }
        if self.needs_ticks() || self.waiting.iter().any(|waiting| waiting.reply.is_none()) {
            return Ok(());
        }
        let level = next_feature_level(&self.state.read());
        match level {
            Some(level) => self.propose_for(encode_command(Command::SetFeatureLevel(level)), None),
            None => Ok(()),
        }
    }

    /// Who is the controller, as far as this server knows.
    pub(super) fn controller_address(&self) -> Option<ControllerAddress> {
        let leader = self.raw.raft.leader_id;
        let broker = self.broker_of(leader)?;
        let state = self.state.read();
        let node = RaftId::new(leader).and_then(|id| state.nodes().get(id));
        Some(ControllerAddress { broker, peer_address: node.and_then(|node| node.peer_address.clone()) })
    }

    pub(super) fn tell_standing(&mut self) {
        let membership = self.raw.store().membership();
        let takes_part = membership.voters.contains(&self.id()) || membership.learners.contains(&self.id());
        // A server that was sent nothing yet takes part: it was let in.
        let part = match (self.controls, takes_part || membership.voters.is_empty()) {
            (true, _) => Part::Controller,
            (false, true) => Part::Member,
            (false, false) => Part::Removed,
        };
        let standing = Standing { part, controller: self.controller_address(), alone: !self.needs_ticks() };
        if self.standing.as_ref() != Some(&standing) {
            (self.ports.stand)(&standing);
            self.standing = Some(standing);
        }
    }

    /// Answers those who wait to be let in, one after the other: the first who has to be added waits until that is agreed on.
    fn let_in(&mut self) -> Result<(), NodeFailure> {
        while let Some(PendingJoin { join, reply }) = self.joins.pop_front() {
            let decided = admission(&self.state.read(), &join);
            match decided {
                Admission::Member(id) => reply.answer(JoinAnswer::Admitted(self.admitted(id, &join))),
                Admission::Refuse(refusal) => reply.answer(JoinAnswer::Refused(refusal)),
                Admission::Later => reply.answer(JoinAnswer::Later),
                Admission::Add(id) => {
                    let Join { broker, directory, peer_address, .. } = join.clone();
                    self.joins.push_front(PendingJoin { join, reply });
                    return self.propose_change(&MembershipChange::Add { id, broker, directory, peer_address });
                }
            }
        }
        Ok(())
    }

    fn admitted(&self, raft_id: RaftId, join: &Join) -> Admitted {
        let state = self.state.read();
        let others = state.nodes().iter().filter(|(_, node)| node.broker != join.broker);
        let peers = others.filter_map(|(_, node)| Some((node.broker.clone(), node.peer_address.clone()?))).collect();
        Admitted { raft_id, cluster_id: state.cluster_id().to_owned(), peers }
    }

    /// Proposes a change of membership, unless one is on the way: it is due again when that one is applied.
    fn propose_change(&mut self, change: &MembershipChange) -> Result<(), NodeFailure> {
        if self.raw.raft.has_pending_conf() || self.unstored.is_some() {
            return Ok(());
        }
        // Raft wants to know that it is one; what it is stands in the context.
        let mut marker = ConfChange { node_id: change.id().get(), ..ConfChange::default() };
        marker.set_change_type(ConfChangeType::AddLearnerNode);
        match self.raw.propose_conf_change(encode_membership_change(change), marker) {
            Ok(()) | Err(raft::Error::ProposalDropped) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether most voters were heard of so recently that nobody else can have been elected.
    fn is_in_contact(&self) -> bool {
        let recent = self.now.saturating_sub(SURE_FOR);
        let voters = &self.raw.store().membership().voters;
        let heard = voters
            .iter()
            .filter(|id| **id == self.id() || self.contacts.get(*id).is_some_and(|contact| *contact >= recent));
        heard.count() > voters.len() / 2
    }
}
