//! One broker: its log, its role, and a driver that carries out what the role decides.

use std::collections::HashMap;
use std::time::Duration;

use liftbridge_replication::{
    Body, BrokerLife, Effect, Event, Follower, FollowerEffect, FollowerEvent, InSyncChange, Leader, LeaderOptions,
    Message, Proposal, ProposalId, Role,
};
use liftbridge_types::{AckPolicy, BrokerId, BrokerIncarnation, LeaderEpoch, Offset, PartitionEpoch, Timestamp};

use crate::checker::Checker;
use crate::controller::{Controller, broker_id};
use crate::model_log::{ModelLog, RECORD_BYTES, Record, decode};
use crate::random::Random;

pub(crate) const LAG_MAX: Duration = Duration::from_secs(4);

#[derive(Debug)]
enum State {
    Down,
    Waiting,
    Leading(Box<Leader>),
    Following(Box<Follower>),
}

#[derive(Debug)]
pub(crate) struct Node {
    broker: usize,
    pub(crate) incarnation: BrokerIncarnation,
    pub(crate) log: ModelLog,
    state: State,
    /// How many versions of the partition it has heard of.
    pub(crate) applied: usize,
    pub(crate) high_watermark: u64,
    /// Whether records can be stored, and whether it was found that they cannot.
    pub(crate) has_room: bool,
    is_full: bool,
    links: Vec<bool>,
    next_id: usize,
    /// Publishes that are owed an answer: what they sent, and under which policy.
    owed: HashMap<usize, (u64, AckPolicy)>,
}

/// What a node does to the world around it.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) messages: Vec<(usize, Message)>,
    pub(crate) changes: Vec<InSyncChange>,
    /// Who is to lead instead of this node, and which version of the partition that follows.
    pub(crate) successor: Option<(PartitionEpoch, BrokerId)>,
}

/// What a node needs of the world.
pub(crate) struct Around<'a> {
    pub(crate) now: Duration,
    pub(crate) random: &'a mut Random,
    pub(crate) checker: &'a mut Checker,
    pub(crate) out: Outgoing,
}

fn number(id: &BrokerId) -> usize {
    id.as_str().trim_start_matches('n').parse().expect("it is one of ours")
}

impl Node {
    pub(crate) fn new(broker: usize, brokers: usize) -> Self {
        Self {
            broker,
            incarnation: BrokerIncarnation::new(1),
            log: ModelLog::default(),
            state: State::Waiting,
            applied: 0,
            high_watermark: 0,
            has_room: true,
            is_full: false,
            links: vec![true; brokers],
            next_id: 0,
            owed: HashMap::new(),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        !matches!(self.state, State::Down)
    }

    pub(crate) fn leads(&self) -> bool {
        matches!(self.state, State::Leading(_))
    }

    pub(crate) fn describe(&self) -> String {
        let role = match &self.state {
            State::Down => "down".to_owned(),
            State::Waiting => "waits".to_owned(),
            State::Leading(leader) => format!("leads {}", leader.leader_epoch()),
            State::Following(follower) => format!("follows {} {}", follower.leader(), follower.leader_epoch()),
        };
        let (start, end, durable) = (self.log.start, self.log.end(), self.log.durable_end);
        format!("n{}/{} {role} {start}..{durable}..{end} hw {}", self.broker, self.incarnation, self.high_watermark)
    }

    pub(crate) fn crash(&mut self, loses_disk: bool, random: &mut Random) {
        self.state = State::Down;
        self.owed.clear();
        if loses_disk {
            self.log = ModelLog::default();
        } else {
            self.log.crash(random);
            self.log.checkpointed =
                random.below(self.high_watermark.min(self.log.end()) + 1).max(self.log.checkpointed);
        }
    }

    pub(crate) fn restart(&mut self, incarnation: BrokerIncarnation, around: &mut Around<'_>) {
        self.incarnation = incarnation;
        self.state = State::Waiting;
        self.high_watermark = self.log.checkpointed;
        self.is_full = false;
        // Its own metadata may be behind what it had carried out.
        self.applied = self.applied.saturating_sub(usize::from(around.random.chance(30)));
        self.links.fill(true);
        around.checker.on_life(self.broker);
    }

    /// Hears of the next version of the partition.
    pub(crate) fn apply_next(&mut self, controller: &Controller, around: &mut Around<'_>) {
        let Some(assignment) = controller.versions.get(self.applied) else { return };
        self.applied += 1;
        let epoch_here = match &self.state {
            State::Down => return,
            State::Waiting => None,
            State::Leading(leader) => Some(leader.leader_epoch()),
            State::Following(follower) => Some(follower.leader_epoch()),
        };
        if epoch_here == Some(assignment.leader_epoch) {
            self.step(Event::Assigned(Box::new(assignment.clone())), around);
            return;
        }
        self.step(Event::Resigned, around);
        assert!(self.owed.is_empty(), "who resigns answers everybody");
        let me = BrokerLife { id: broker_id(self.broker), incarnation: self.incarnation };
        // Whoever begins a role has everything it has on its medium.
        self.log.sync();
        let state = self.log.state(self.high_watermark);
        match assignment.role_of(&me) {
            Role::Waiting => self.state = State::Waiting,
            Role::Leader => {
                let epoch = assignment.leader_epoch.get();
                around.checker.on_leads(self.broker, self.incarnation.get(), epoch, &self.log);
                let options =
                    LeaderOptions { lag_max: LAG_MAX, window_bytes: 5 * RECORD_BYTES, ..LeaderOptions::default() };
                let leader = Leader::new(me, assignment.clone(), state, options, around.now);
                let high_watermark = leader.high_watermark().get();
                self.state = State::Leading(Box::new(leader));
                self.show_watermark(high_watermark, around);
                for to in 0..self.links.len() {
                    let up = self.links[to];
                    self.step(Event::Link { to: broker_id(to), up }, around);
                }
            }
            Role::Follower { leader } => {
                let mut effects = Vec::new();
                let follower = Follower::new(me, leader, assignment.leader_epoch, state, self.is_full, &mut effects);
                self.state = State::Following(Box::new(follower));
                self.carry_out_following(effects, None, around);
            }
        }
    }

    pub(crate) fn set_link(&mut self, to: usize, up: bool, around: &mut Around<'_>) {
        self.links[to] = up;
        self.step(Event::Link { to: broker_id(to), up }, around);
        if up {
            self.step_following(FollowerEvent::Linked, None, around);
        }
    }

    pub(crate) fn tick(&mut self, around: &mut Around<'_>) {
        self.step(Event::Tick { elapsed: around.now }, around);
    }

    pub(crate) fn is_tick_due(&self, now: Duration) -> bool {
        let State::Leading(leader) = &self.state else { return false };
        leader.next_tick().is_some_and(|at| at <= now)
    }

    pub(crate) fn lapse(&mut self, lapsed: bool, around: &mut Around<'_>) {
        self.step(if lapsed { Event::Lapsed } else { Event::Renewed }, around);
    }

    pub(crate) fn sync(&mut self, around: &mut Around<'_>) {
        if !self.is_up() {
            return;
        }
        let end = Offset::new(self.log.sync());
        self.step(Event::DurableEnd { end }, around);
        self.step_following(FollowerEvent::DurableEnd { end }, None, around);
    }

    pub(crate) fn look_for_room(&mut self, around: &mut Around<'_>) {
        if self.is_full && self.has_room && self.is_up() {
            self.is_full = false;
            self.step_following(FollowerEvent::Room, None, around);
        }
    }

    /// Retention, never above the watermark.
    pub(crate) fn trim(&mut self, around: &mut Around<'_>) {
        let room = self.high_watermark.saturating_sub(self.log.start);
        // Often everything that is committed goes.
        let gone = if around.random.chance(40) { room } else { around.random.below(room + 1) };
        let start = self.log.start + gone;
        self.log.trim(start);
        let start = Offset::new(self.log.start);
        self.step(Event::Trimmed { start }, around);
        self.step_following(FollowerEvent::Trimmed { start }, None, around);
    }

    /// Some publishers come at once; their messages are one batch.
    pub(crate) fn publish(&mut self, value: &mut u64, around: &mut Around<'_>) {
        if !self.leads() {
            return;
        }
        let mut batch = Vec::new();
        for _ in 0..1 + around.random.below(3) {
            *value += 1;
            let ack_policy = if around.random.chance(70) { AckPolicy::All } else { AckPolicy::Leader };
            let id = ProposalId::new(self.next_id);
            self.next_id += 1;
            self.owed.insert(id.get(), (*value, ack_policy));
            let is_in = self.step(Event::Proposed(Proposal { id, ack_policy, expected_offset: None }), around);
            if is_in {
                batch.push(*value);
            }
        }
        let State::Leading(leader) = &self.state else { return };
        let epoch = leader.leader_epoch().get();
        if batch.is_empty() {
            return;
        }
        if !self.has_room {
            self.is_full = true;
            let successor = leader.successor().cloned();
            around.out.successor = successor.map(|to| (leader.assignment().epoch, to));
            self.step(Event::AppendFailed, around);
            return;
        }
        self.is_full = false;
        if around.random.chance(3) {
            self.step(Event::AppendFailed, around);
            return;
        }
        let start = Offset::new(self.log.end());
        for value in batch {
            self.log.append(Record { epoch, value });
        }
        let offsets = start..Offset::new(self.log.end());
        self.step(Event::Appended { offsets, time: Timestamp::EPOCH }, around);
    }

    pub(crate) fn receive(&mut self, from: usize, message: &Message, around: &mut Around<'_>) {
        let from = broker_id(from);
        match &self.state {
            State::Down | State::Waiting => {}
            State::Leading(_) => {
                self.step(Event::Received { from, message: message.clone() }, around);
            }
            State::Following(_) => {
                let event = FollowerEvent::Received { from: &from, message };
                self.step_following(event, Some(message), around);
            }
        }
    }

    /// The controller refused a change that this node asked for in `leader_epoch`.
    pub(crate) fn on_refused(&mut self, change: &InSyncChange, around: &mut Around<'_>) {
        if let State::Leading(leader) = &self.state
            && leader.leader_epoch() == change.leader_epoch
        {
            self.step(Event::InSyncRefused { epoch: change.epoch }, around);
        }
    }

    /// Has the leader, if this is one, take in an event; says whether a message goes into the batch.
    fn step(&mut self, event: Event, around: &mut Around<'_>) -> bool {
        let mut is_in = false;
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let State::Leading(leader) = &mut self.state else { return is_in };
            let mut effects = Vec::new();
            leader.step(Timestamp::EPOCH, Event::Tick { elapsed: around.now }, &mut effects);
            leader.step(Timestamp::EPOCH, event, &mut effects);
            for effect in effects {
                is_in |= matches!(effect, Effect::AddToBatch { .. });
                events.extend(self.carry_out(effect, around));
            }
        }
        is_in
    }

    fn carry_out(&mut self, effect: Effect, around: &mut Around<'_>) -> Option<Event> {
        match effect {
            Effect::AddToBatch { .. } => {}
            Effect::Acknowledge { id, offset, .. } => {
                let (value, ack_policy) = self.owed.remove(&id.get()).expect("answered once");
                let record = self.log.get(offset.get()).expect("it is stored");
                assert_eq!(record.value, value, "acknowledged at an offset that is another's");
                if ack_policy == AckPolicy::All {
                    around.checker.on_acknowledged_all(offset.get(), record);
                }
            }
            Effect::Refuse { id, .. } => {
                self.owed.remove(&id.get()).expect("answered once");
            }
            Effect::AdvanceHighWatermark { end } => self.show_watermark(end.get(), around),
            Effect::Send { to, message } => around.out.messages.push((number(&to), *message)),
            Effect::Push { to, start, bytes_max } => {
                let room = u64::try_from(bytes_max / RECORD_BYTES).expect("small").max(1);
                let batches = self.log.read(start.get(), 1 + around.random.below(room));
                let (end, bytes) = (start.plus(batches.len() as u64), batches.len() * RECORD_BYTES);
                let State::Leading(leader) = &self.state else { return None };
                if bytes > 0 {
                    around.out.messages.push((number(&to), leader.append_message(start, batches)));
                }
                return Some(Event::Pushed { to, end, bytes });
            }
            Effect::Repair { .. } => panic!("nothing is damaged here"),
            Effect::ProposeInSync(change) => around.out.changes.push(*change),
        }
        None
    }

    fn step_following(&mut self, event: FollowerEvent<'_>, message: Option<&Message>, around: &mut Around<'_>) {
        let State::Following(follower) = &mut self.state else { return };
        let mut effects = Vec::new();
        follower.step(event, &mut effects);
        self.carry_out_following(effects, message, around);
    }

    fn carry_out_following(
        &mut self,
        effects: Vec<FollowerEffect>,
        message: Option<&Message>,
        around: &mut Around<'_>,
    ) {
        for effect in effects {
            match effect {
                FollowerEffect::Append => self.append(message.expect("it came with a message"), around),
                FollowerEffect::Truncate { end } => {
                    around.checker.on_cut(self.broker, &self.log, end.get());
                    self.log.truncate(end.get());
                }
                FollowerEffect::Reset { start } => {
                    around.checker.on_cut(self.broker, &self.log, start.get());
                    self.log.reset(start.get());
                }
                FollowerEffect::Repair => panic!("nothing is damaged here"),
                FollowerEffect::AdvanceHighWatermark { end } => self.show_watermark(end.get(), around),
                FollowerEffect::Send { to, message } => around.out.messages.push((number(&to), message)),
                FollowerEffect::Fail(fault) => panic!("n{} cannot go on: {fault:?}", self.broker),
            }
        }
    }

    fn append(&mut self, message: &Message, around: &mut Around<'_>) {
        let Body::Append { batches, .. } = &message.body else { panic!("an append is to be appended") };
        let mut spans = Vec::new();
        // A disk fills up in the middle of something.
        let room = if self.has_room { batches.len() } else { around.random.index(batches.len()) };
        for batch in &batches[..room] {
            let (offset, record) = decode(batch);
            assert_eq!(offset, self.log.end(), "n{} leaves a gap", self.broker);
            self.log.append(record);
            spans.push((LeaderEpoch::new(record.epoch), Offset::new(offset)));
        }
        let end = Offset::new(self.log.end());
        self.step_following(FollowerEvent::Appended { batches: &spans, end }, None, around);
        if room < batches.len() {
            self.is_full = true;
            self.step_following(FollowerEvent::Full, None, around);
        }
    }

    fn show_watermark(&mut self, end: u64, around: &mut Around<'_>) {
        self.high_watermark = end;
        let leads_in = match &self.state {
            State::Leading(leader) => Some(leader.leader_epoch().get()),
            State::Down | State::Waiting | State::Following(_) => None,
        };
        around.checker.on_watermark(self.broker, leads_in, end, &self.log);
    }
}
