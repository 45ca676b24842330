//! What goes between this partition and the other servers: events in, messages and wishes out. Owns their order within a turn;
//! what is made of them is in `leading` and `following`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use std::vec::Drain;

use liftbridge_commitlog::Shortage;
use liftbridge_replication::{
    Body, Event as LeaderEvent, Follower, FollowerEffect, FollowerEvent, InSyncChange, Message,
};
use liftbridge_types::{BrokerId, Offset, PartitionEpoch, StreamId};

use crate::partition::Partition;
use crate::partition::lifecycle::{Core, State};
use crate::partition::mailbox::{Event, PeerEvent};
use crate::partition::perform::Buffers;
use crate::partition::role::{Replica, RoleHere};
use crate::partition::upkeep::Duty;
use crate::peers::PartitionMessage;
use crate::requests::PartitionRoute;

/// How often a follower asks for what it found damaged and a leader for another one to lead, a replica without room looks for some, and a log is opened again for
/// which there was no descriptor.
pub(super) const TROUBLE_RETRY: Duration = Duration::from_secs(1);

/// Something a partition wants the cluster to agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Other in-sync replicas. A refusal that is certain to last is told as [`PeerEvent::InSyncRefused`].
    ChangeInSync(InSyncChange),
    /// That another one leads, because it cannot be done here.
    MoveLeader {
        /// Which version of the partition this follows.
        epoch: PartitionEpoch,
        /// Who might lead.
        to: BrokerId,
        /// Whether nothing can be stored here meanwhile, so that this broker is not to be in sync.
        leaves: bool,
    },
}

/// A wish and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Wished {
    /// The partition's stream, number and subjects.
    pub(crate) route: Arc<PartitionRoute>,
    /// The stream, in this life of its name.
    pub(crate) stream: StreamId,
    /// What it wants.
    pub(crate) wish: Wish,
}

impl Partition {
    /// Takes in what came from the other servers: `first`, and what came right behind it.
    pub(super) fn take_in(
        self: &Arc<Self>,
        core: &mut Core,
        first: PeerEvent,
        rest: &mut Drain<'_, Event>,
        buffers: &mut Buffers,
    ) {
        self.touch();
        let mut events = std::iter::successors(Some(first), |_| None).chain(std::iter::from_fn(|| next_peer(rest)));
        let taken = match &mut core.state {
            State::Open(replica) => match &mut replica.role {
                RoleHere::Leading(leader) => {
                    self.lead(leader, &mut replica.open, events, buffers);
                    Ok(())
                }
                RoleHere::Following(follower) => self.follow(follower, &mut replica.open, events),
                RoleHere::Waiting { .. } => {
                    self.excuse(core, &mut events);
                    Ok(())
                }
            },
            State::Paused | State::Offline { .. } | State::Deleted | State::Stopped => {
                self.excuse(core, &mut events);
                Ok(())
            }
        };
        if let State::Open(replica) = &core.state {
            self.board.show_damage(&replica.open.damaged);
        }
        match taken {
            Ok(()) => {
                self.plan_after_append(core);
                self.plan_tick(core);
            }
            Err(failed) => self.become_offline(core, failed.reason),
        }
    }

    /// Without a part there is little to say: to those who speak in an earlier leadership, that there is a later one, and to a
    /// leader who asks a replica that cannot follow, that it need not be waited for. What a reader found is remembered.
    fn excuse(&self, core: &mut Core, events: &mut dyn Iterator<Item = PeerEvent>) {
        for event in events {
            let (from, message) = match event {
                PeerEvent::Message { from, message } => (from, message),
                PeerEvent::Damage { offsets } => {
                    self.remember_damage(core, offsets);
                    continue;
                }
                PeerEvent::Link { .. } | PeerEvent::Session { .. } | PeerEvent::InSyncRefused { .. } => continue,
            };
            if let Some(answer) = message.answer_if_stale(core.assignment.leader_epoch) {
                self.send(&from, answer);
            } else if let State::Offline { .. } = core.state
                && message == Message::new(core.assignment.leader_epoch, Body::Begin)
                && let Some(incarnation) = core.incarnation
            {
                let body = Body::Damaged { incarnation, offsets: Offset::ZERO..Offset::ZERO };
                self.send(&from, Message::new(message.leader_epoch, body));
            }
        }
    }

    /// Notes what a reader could not read and nobody here can do anything about.
    fn remember_damage(&self, core: &mut Core, offsets: Range<Offset>) {
        match &mut core.state {
            State::Open(replica) => {
                replica.open.damaged.add(offsets);
            }
            // A failed log can still be read, and a closed one had been when it was read.
            State::Offline { .. } | State::Paused => self.board.add_damage(offsets),
            State::Deleted | State::Stopped => {}
        }
    }

    pub(super) fn send(&self, to: &BrokerId, message: Message) {
        let (stream, partition) = (self.stream_id, self.route.partition);
        self.host.peers.send(to, PartitionMessage { stream, partition, message });
    }

    /// Tells a follower what can make it want to speak, and nothing else, and sends what it says.
    pub(super) fn tell(&self, follower: &mut Follower, event: FollowerEvent<'_>) {
        let mut effects = Vec::new();
        follower.step(event, &mut effects);
        self.send_said(effects);
    }

    /// Sends what a follower wants to say, where it can want nothing else.
    pub(super) fn send_said(&self, effects: Vec<FollowerEffect>) {
        for effect in effects {
            if let FollowerEffect::Send { to, message } = effect {
                self.send(&to, message);
            }
        }
    }

    pub(super) fn wish(&self, wish: Wish) {
        self.host.wish(Wished { route: Arc::clone(&self.route), stream: self.stream_id, wish });
    }

    /// Has the next tick come when it is due, if it is ever. Called whenever the partition's part may have changed.
    pub(super) fn plan_tick(self: &Arc<Self>, core: &mut Core) {
        let State::Open(replica) = &core.state else { return };
        self.show_lag(&replica.role);
        let retry_at = || core.tick_at.unwrap_or_else(|| self.host.clock.elapsed().saturating_add(TROUBLE_RETRY));
        let (is_damaged, is_short) = (!replica.open.damaged.is_empty(), replica.open.shortage().is_some());
        let due = match &replica.role {
            RoleHere::Leading(leader) => {
                let look_at = ((is_damaged || is_short) && leader.is_replicated()).then(retry_at);
                leader.next_tick().into_iter().chain(look_at).min()
            }
            RoleHere::Following(_) => (is_damaged || is_short).then(retry_at),
            RoleHere::Waiting { .. } => None,
        };
        if let Some(due) = due
            && core.tick_at.is_none_or(|planned| due < planned)
        {
            core.tick_at = Some(due);
            let wait = due.saturating_sub(self.host.clock.elapsed());
            self.host.upkeep.schedule(wait, Duty::Tick, Arc::downgrade(self));
        }
    }

    /// A tick is due, or was.
    pub(super) fn tick(self: &Arc<Self>, core: &mut Core) {
        core.tick_at = None;
        self.maybe_open_again(core);
        self.hand_on_again(core);
        if let State::Open(replica) = &mut core.state {
            let elapsed = self.host.clock.elapsed();
            self.step_alone(replica, LeaderEvent::Tick { elapsed }, None);
            self.look_for_room(replica);
            self.own_up(replica);
        }
        self.plan_tick(core);
    }

    /// Says that there is damage here, as far as it is known, to who can do something about it.
    pub(super) fn own_up(&self, replica: &mut Replica) {
        let Some(offsets) = replica.open.damaged.first().cloned() else { return };
        match &mut replica.role {
            RoleHere::Leading(leader) => self.step_aside(&*leader, &mut replica.open, offsets),
            RoleHere::Following(follower) => self.tell(follower, FollowerEvent::Damaged { offsets }),
            RoleHere::Waiting { .. } => {}
        }
    }
}

impl Partition {
    /// Notes that there is room again, and tells the leader.
    fn look_for_room(&self, replica: &mut Replica) {
        // Whether there are descriptors shows when one is asked for.
        let is_over = match replica.open.shortage() {
            None => false,
            Some(Shortage::Files) => true,
            Some(Shortage::Space) => self.host.has_room(),
        };
        if !is_over {
            return;
        }
        replica.open.on_room(&self.route);
        if let RoleHere::Following(follower) = &mut replica.role {
            self.tell(follower, FollowerEvent::Room);
        }
    }
}

/// The next event, if it came from the other servers. What is behind another one is left to it.
fn next_peer(events: &mut Drain<'_, Event>) -> Option<PeerEvent> {
    if !matches!(events.as_slice().first(), Some(Event::Peer(_))) {
        return None;
    }
    match events.next() {
        Some(Event::Peer(event)) => Some(event),
        _ => None,
    }
}
