//! The part this broker takes in a partition: it leads, follows, or waits until somebody leads. Every change of it is in this
//! file; never what is said or stored in it.
//!
//! A part begins with everything in the log on the medium, so that what is said about it holds after a crash. What a
//! leader had let in and not committed is answered when its leadership ends: nobody here can say any more whether it stays.

use std::sync::Arc;

use liftbridge_commitlog::{CommitLog, SyncPolicy};
use liftbridge_replication::{Assignment, BrokerLife, Event, Follower, History, Leader, LeaderOptions, LogState, Role};
use liftbridge_types::{BrokerIncarnation, LeaderEpoch, Offset};

use crate::errors::PublishError;
use crate::partition::Partition;
use crate::partition::lifecycle::{Core, OpenLog, State};

/// An open log and this broker's part in it.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) open: OpenLog,
    pub(super) role: RoleHere,
}

/// What this broker does about a partition.
#[derive(Debug)]
pub(super) enum RoleHere {
    /// It takes publishes and brings the others up to date.
    Leading(Box<Leader>),
    /// It does as the leader says.
    Following(Box<Follower>),
    /// It keeps what there is.
    Waiting {
        /// The end of what is known to be committed.
        high_watermark: Offset,
    },
}

impl RoleHere {
    /// The end of what is known to be committed.
    pub(super) fn high_watermark(&self) -> Offset {
        match self {
            Self::Leading(leader) => leader.high_watermark(),
            Self::Following(follower) => follower.high_watermark(),
            Self::Waiting { high_watermark } => *high_watermark,
        }
    }

    fn leads(&self) -> bool {
        matches!(self, Self::Leading(_))
    }

    /// The leadership it is a part of.
    fn leader_epoch(&self) -> Option<LeaderEpoch> {
        match self {
            Self::Leading(leader) => Some(leader.leader_epoch()),
            Self::Following(follower) => Some(follower.leader_epoch()),
            Self::Waiting { .. } => None,
        }
    }
}

impl Partition {
    /// Another version of the partition is agreed on, or this life of the broker has got its number.
    pub(super) fn apply_assignment(
        self: &Arc<Self>,
        core: &mut Core,
        assignment: Assignment,
        incarnation: Option<BrokerIncarnation>,
    ) {
        if assignment.epoch < core.assignment.epoch {
            return;
        }
        self.board.show_replicated(assignment.replicas.len() > 1);
        let before = std::mem::replace(&mut core.assignment, assignment);
        core.incarnation = incarnation.or(core.incarnation);
        let role = self.agreed_role(core);
        self.hand_on_again(core);
        let Core { state: State::Open(replica), assignment, .. } = core else { return };
        let goes_on = replica.role.leader_epoch() == Some(assignment.leader_epoch)
            && replica.role.leads() == (role == Role::Leader);
        if goes_on {
            let assigned = Event::Assigned(Box::new(assignment.clone()));
            self.step_alone(replica, assigned, None);
            let is_new = |life: &&BrokerLife| before.replicas.iter().all(|known| known.id != life.id);
            self.tell_links(replica, assignment.replicas.iter().filter(is_new));
            self.plan_tick(core);
        } else {
            self.change_role(core);
        }
    }

    /// What this broker has to do. It takes no part among several before it knows which of its lives this is.
    pub(super) fn agreed_role(&self, core: &Core) -> Role {
        match core.incarnation {
            None if core.assignment.replicas.len() > 1 => Role::Waiting,
            incarnation => core.assignment.role_of(&self.life(incarnation)),
        }
    }

    fn life(&self, incarnation: Option<BrokerIncarnation>) -> BrokerLife {
        BrokerLife { id: self.broker_id.clone(), incarnation: incarnation.unwrap_or_default() }
    }

    /// Ends the part it takes and begins the one that is agreed on.
    fn change_role(self: &Arc<Self>, core: &mut Core) {
        let State::Open(replica) = &mut core.state else { return };
        self.step_alone(replica, Event::Resigned, Some(&PublishError::LeadershipMoved));
        let high_watermark = replica.role.high_watermark();
        replica.role = RoleHere::Waiting { high_watermark };
        self.board.show_leading(false);
        if replica.open.log.durable_end() < replica.open.log.log_end()
            && let Err(error) = self.timed_sync(&mut replica.open).0
        {
            return self.become_offline(core, error.to_string());
        }
        replica.open.log.restore_claims();
        let State::Open(replica) = &core.state else { return };
        let role = self.begin_role(core, &replica.open.log, high_watermark, replica.open.shortage().is_some());
        if let State::Open(replica) = &mut core.state {
            replica.role = role;
        }
        self.enter_role(core);
    }

    /// The part that is agreed on, in a log of which everything is on the medium, and for which there is no room if it is
    /// `full`.
    pub(super) fn begin_role(&self, core: &Core, log: &CommitLog, high_watermark: Offset, full: bool) -> RoleHere {
        let state = LogState {
            high_watermark,
            durable_end: self.stable_end(log),
            history: History::new(log.leader_epochs(), log.log_start(), log.log_end()),
        };
        let me = self.life(core.incarnation);
        match self.agreed_role(core) {
            Role::Waiting => RoleHere::Waiting { high_watermark: high_watermark.min(log.log_end()) },
            Role::Leader => {
                let assignment = Assignment { in_sync_min: core.settings.min_isr, ..core.assignment.clone() };
                let options = LeaderOptions {
                    readonly: core.readonly,
                    lag_max: self.host.limits.replica_lag_max,
                    window_bytes: self.host.limits.replica_window_bytes,
                };
                let elapsed = self.host.clock.elapsed();
                RoleHere::Leading(Box::new(Leader::new(me, assignment, state, options, elapsed)))
            }
            Role::Follower { leader } => {
                let mut effects = Vec::new();
                let follower = Follower::new(me, leader, core.assignment.leader_epoch, state, full, &mut effects);
                // It says where its log ends, and nothing else yet.
                self.send_said(effects);
                RoleHere::Following(Box::new(follower))
            }
        }
    }

    /// Shows the part just begun, and says the first words of it.
    pub(super) fn enter_role(self: &Arc<Self>, core: &mut Core) {
        let State::Open(replica) = &mut core.state else { return };
        let leads = replica.role.leads();
        self.board.show_committed(replica.role.high_watermark());
        self.board.show_leading(leads);
        if core.assignment.replicas.len() == 1 {
            return;
        }
        tracing::info!(stream = %self.route.stream, partition = %self.route.partition, leads,
            leader = core.assignment.leader.as_ref().map(tracing::field::display),
            leader_epoch = %core.assignment.leader_epoch, "partition changes hands");
        if leads {
            if self.host.is_session_lapsed() {
                self.step_alone(replica, Event::Lapsed, None);
            }
            self.tell_links(replica, core.assignment.replicas.iter());
        }
        self.own_up(replica);
        self.plan_tick(core);
    }

    /// Tells a leader which of these can be reached: it hears of links only when they come up or go down.
    fn tell_links<'a>(&self, replica: &mut Replica, lives: impl Iterator<Item = &'a BrokerLife>) {
        for life in lives.filter(|life| self.host.peers.is_linked(&life.id)) {
            self.step_alone(replica, Event::Link { to: life.id.clone(), up: true }, None);
        }
    }

    /// The end of what counts as being on stable storage, under the node's sync policy.
    pub(super) fn stable_end(&self, log: &CommitLog) -> Offset {
        match self.host.sync {
            SyncPolicy::Commit => log.durable_end(),
            SyncPolicy::Interval(_) | SyncPolicy::Never => log.log_end(),
        }
    }
}
