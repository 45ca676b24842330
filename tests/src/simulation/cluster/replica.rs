//! A partition as one server keeps it: its log and its part, driven as the broker's partition drives them (`partition/perform`,
//! `partition/following`, `partition/role`). Owns the order in which effects are carried out; judges nothing.

mod following;
mod leading;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use liftbridge_commitlog::{BatchBuilder, CommitLog, Damage, LogOptions, Volume};
use liftbridge_metadata_raft::PartitionName;
use liftbridge_replication::{
    Assignment, BrokerLife, Event, Follower, History, InSyncChange, Leader, LeaderOptions, LogState, Message, Role,
};
use liftbridge_types::{BrokerId, LeaderEpoch, Offset, PartitionEpoch, Timestamp};

use super::outbox::Outbox;
use super::words::{Leadership, PartitionKey, Publish, Said, server};

/// How long an in-sync replica may lag, and how much is on its way to one: little, so that both are met often.
const LAG_MAX: Duration = Duration::from_secs(3);
const WINDOW_BYTES: usize = 2000;
/// How often a follower asks for what it found damaged.
const DAMAGE_RETRY: Duration = Duration::from_secs(1);
/// How often a replica without room looks for some, and one that leads asks for another to lead.
const ROOM_RETRY: Duration = Duration::from_secs(1);

/// What comes to a partition from others.
#[derive(Clone, Debug)]
pub(super) enum PeerEvent {
    Message { from: BrokerId, message: Message },
    Link { to: BrokerId, up: bool },
    Session { lapsed: bool },
    InSyncRefused { epoch: PartitionEpoch },
}

/// Something the partition wants the cluster to agree on.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    ChangeInSync(InSyncChange),
    MoveLeader { epoch: PartitionEpoch, to: BrokerId, leaves: bool },
}

/// What a replica needs of its server.
pub(super) struct Around<'a> {
    pub(super) elapsed: Duration,
    pub(super) wall: Timestamp,
    pub(super) outbox: &'a Outbox,
    pub(super) linked: &'a BTreeSet<BrokerId>,
    pub(super) lapsed: bool,
    pub(super) wishes: &'a mut Vec<(PartitionName, Wish)>,
    /// Whether the disk has room.
    pub(super) has_room: bool,
}

#[derive(Debug)]
enum Part {
    Leading(Box<Leader>),
    Following(Box<Follower>),
    Waiting,
}

/// One partition on one server.
#[derive(Debug)]
pub(super) struct Replica {
    name: PartitionName,
    me: BrokerLife,
    log: CommitLog,
    part: Part,
    assignment: Assignment,
    high_watermark: Offset,
    owed: BTreeMap<usize, Publish>,
    published: usize,
    builder: BatchBuilder,
    /// What recovery or a reader found damaged.
    damaged: Damage,
    damage_told_at: Duration,
    /// Batches of this turn that claim about the medium what was not true here when they came.
    claims_settled: u32,
    /// Whether the last append found no room, when room is looked for, and when another one was asked for to lead.
    full: bool,
    look_at: Duration,
    made_way_at: Option<Duration>,
    offline: bool,
    /// Whether it is so because its leader lacks what is committed here, as an operator has wanted it.
    irreconcilable: bool,
}

/// How the reason begins of a follower whose leader lacks what is committed here.
pub(super) const IRRECONCILABLE: &str = "the leader lacks what is committed: ";

/// Why the log cannot be written any more.
type Failed = String;

/// The directory of a partition on its server's volume.
pub(super) fn directory(key: PartitionKey) -> String {
    format!("{}/{}", stream_directory(key), key.partition)
}

/// The directory of its stream.
pub(super) fn stream_directory(key: PartitionKey) -> String {
    format!("streams/{}", key.stream)
}

impl Replica {
    /// Opens the log and takes the part that is agreed on.
    pub(super) fn open(
        volume: &dyn Volume,
        options: LogOptions,
        name: PartitionName,
        me: BrokerLife,
        assignment: Assignment,
        around: &mut Around<'_>,
    ) -> Result<Self, Failed> {
        let storage = volume.directory(&directory(PartitionKey::of(&name)));
        let (mut log, report) = CommitLog::open(storage, options).map_err(|error| error.to_string())?;
        // Whatever recovery kept is this replica's; on the medium it may count as committed.
        if log.durable_end() < log.log_end() {
            log.sync().map_err(|error| error.to_string())?;
        }
        let high_watermark = log.high_watermark();
        let mut replica = Self {
            name,
            me,
            log,
            part: Part::Waiting,
            assignment,
            high_watermark,
            owed: BTreeMap::new(),
            published: 0,
            builder: BatchBuilder::new(),
            damaged: report.damaged.into_iter().collect(),
            claims_settled: 0,
            damage_told_at: Duration::ZERO,
            full: false,
            look_at: Duration::ZERO,
            made_way_at: None,
            offline: false,
            irreconcilable: false,
        };
        replica.begin_part(around);
        Ok(replica)
    }

    pub(super) fn key(&self) -> PartitionKey {
        PartitionKey::of(&self.name)
    }

    pub(super) fn log(&self) -> &CommitLog {
        &self.log
    }

    pub(super) fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    pub(super) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Whether something has failed here that another life mends.
    pub(super) fn is_lame(&self) -> bool {
        self.offline && !self.irreconcilable
    }

    /// The leadership it has.
    pub(super) fn leadership(&self) -> Option<Leadership> {
        match &self.part {
            Part::Leading(leader) if !self.offline => Some(self.leadership_of(leader.leader_epoch())),
            Part::Leading(_) | Part::Following(_) | Part::Waiting => None,
        }
    }

    /// How it stands, for whoever reads that something went wrong.
    pub(super) fn shown(&self) -> String {
        let Self { log, damaged, offline, .. } = self;
        let (start, durable_end, end) = (log.log_start(), log.durable_end(), log.log_end());
        format!("{start}..{durable_end}..{end}, damaged {damaged:?}, offline {offline}, {:?}", self.part)
    }

    /// What it takes for committed.
    pub(super) fn high_watermark(&self) -> Offset {
        match &self.part {
            Part::Leading(leader) => leader.high_watermark(),
            Part::Following(follower) => follower.high_watermark(),
            Part::Waiting => self.high_watermark.min(self.log.log_end()),
        }
    }

    /// Whether it may serve readers: it leads, or metadata says that it has everything.
    pub(super) fn is_readable(&self) -> bool {
        !self.offline && (self.leadership().is_some() || self.assignment.is_in_sync(&self.me.id))
    }

    /// Another version of the partition is agreed on.
    pub(super) fn assign(&mut self, assignment: Assignment, around: &mut Around<'_>) {
        if assignment.epoch < self.assignment.epoch || assignment == self.assignment {
            return;
        }
        self.assignment = assignment;
        if self.offline {
            return;
        }
        let role = self.assignment.role_of(&self.me);
        let (epoch, leads) = match &self.part {
            Part::Leading(leader) => (Some(leader.leader_epoch()), true),
            Part::Following(follower) => (Some(follower.leader_epoch()), false),
            Part::Waiting => (None, false),
        };
        if epoch == Some(self.assignment.leader_epoch) && leads == (role == Role::Leader) {
            let assigned = Event::Assigned(Box::new(self.assignment.clone()));
            return self.step_alone(assigned, around);
        }
        self.step_alone(Event::Resigned, around);
        self.high_watermark = self.high_watermark();
        self.part = Part::Waiting;
        if self.log.durable_end() < self.log.log_end()
            && let Err(error) = self.log.sync()
        {
            return self.become_offline(error.to_string(), around);
        }
        self.log.restore_claims();
        self.begin_part(around);
    }

    /// A part begins, in a log of which everything is on the medium.
    fn begin_part(&mut self, around: &mut Around<'_>) {
        let state = LogState {
            high_watermark: self.high_watermark,
            durable_end: self.log.durable_end(),
            history: History::new(self.log.leader_epochs(), self.log.log_start(), self.log.log_end()),
        };
        match self.assignment.role_of(&self.me) {
            Role::Waiting => self.show_committed(self.high_watermark(), around),
            Role::Leader => {
                let options =
                    LeaderOptions { lag_max: LAG_MAX, window_bytes: WINDOW_BYTES, ..LeaderOptions::default() };
                let leader = Leader::new(self.me.clone(), self.assignment.clone(), state, options, around.elapsed);
                self.part = Part::Leading(Box::new(leader));
                let leadership = self.leadership_of(self.assignment.leader_epoch);
                around.outbox.say(Said::Leads { partition: self.key(), leadership });
                self.show_committed(self.high_watermark(), around);
                if around.lapsed {
                    self.step_alone(Event::Lapsed, around);
                }
                for to in around.linked {
                    self.step_alone(Event::Link { to: to.clone(), up: true }, around);
                }
                self.step_aside_if_damaged(around);
            }
            Role::Follower { leader } => {
                let mut effects = Vec::new();
                let me = self.me.clone();
                let follower = Follower::new(me, leader, self.assignment.leader_epoch, state, self.full, &mut effects);
                self.part = Part::Following(Box::new(follower));
                self.show_committed(self.high_watermark(), around);
                self.say_all(effects, around);
            }
        }
    }

    /// Takes in what came from others.
    pub(super) fn take_in(&mut self, events: Vec<PeerEvent>, around: &mut Around<'_>) {
        if self.offline || matches!(self.part, Part::Waiting) {
            return self.fence(events, around);
        }
        let taken = match &self.part {
            Part::Leading(_) => {
                self.lead(events, around);
                Ok(())
            }
            Part::Following(_) | Part::Waiting => self.follow(events, around),
        };
        if let Err(reason) = taken {
            self.become_offline(reason, around);
        }
    }

    /// Tells those who speak in an earlier leadership.
    fn fence(&self, events: Vec<PeerEvent>, around: &Around<'_>) {
        for event in events {
            if let PeerEvent::Message { from, message } = event
                && let Some(answer) = message.answer_if_stale(self.assignment.leader_epoch)
            {
                self.send(&from, answer, around);
            }
        }
    }

    /// Does what is due by now.
    pub(super) fn tick(&mut self, around: &mut Around<'_>) {
        if self.offline {
            return;
        }
        self.look_for_room(around);
        match &mut self.part {
            Part::Leading(leader) => {
                if leader.next_tick().is_some_and(|due| due <= around.elapsed) {
                    self.step_alone(Event::Tick { elapsed: around.elapsed }, around);
                }
            }
            Part::Following(_) => self.tell_damage(around),
            Part::Waiting => {}
        }
    }

    /// There was no room for what was to be appended.
    fn note_full(&mut self, around: &Around<'_>) {
        self.full = true;
        self.look_at = around.elapsed + ROOM_RETRY;
    }

    fn look_for_room(&mut self, around: &mut Around<'_>) {
        if !self.full || around.elapsed < self.look_at {
            return;
        }
        self.look_at = around.elapsed + ROOM_RETRY;
        if around.has_room {
            self.full = false;
            self.tell_room(around);
        }
    }

    /// Lets old segments go.
    pub(super) fn clean(&mut self, around: &mut Around<'_>) -> Result<usize, Failed> {
        if self.offline {
            return Ok(0);
        }
        let high_watermark = self.high_watermark();
        let cleaned = self.log.clean(around.wall, high_watermark);
        let start = self.log.log_start();
        match &mut self.part {
            Part::Leading(_) => self.step_alone(Event::Trimmed { start }, around),
            Part::Following(_) => self.trim_following(start, around),
            Part::Waiting => {}
        }
        cleaned.map_err(|error| error.to_string())
    }

    /// Writes down how far the log is good.
    pub(super) fn checkpoint(&mut self, around: &mut Around<'_>) {
        if self.offline {
            return;
        }
        let high_watermark = self.high_watermark();
        if let Err(error) = self.log.checkpoint(high_watermark)
            && !is_disk_full(&error)
        {
            self.become_offline(error.to_string(), around);
        }
    }

    /// Ends its part and leaves clean files.
    pub(super) fn close(&mut self, around: &mut Around<'_>) {
        self.step_alone(Event::Resigned, around);
        let high_watermark = self.high_watermark();
        // What cannot be closed cleanly is recovered when it is opened again.
        let _ = self.log.park(high_watermark);
    }

    /// Its stream is gone.
    pub(super) fn delete(&mut self, around: &mut Around<'_>) {
        self.step_alone(Event::Resigned, around);
        self.log.mark_deleted();
    }

    fn become_offline(&mut self, reason: String, around: &mut Around<'_>) {
        if self.offline {
            return;
        }
        self.irreconcilable = reason.starts_with(IRRECONCILABLE);
        around.outbox.say(Said::Offline { partition: self.key(), reason });
        self.step_alone(Event::Resigned, around);
        self.high_watermark = self.high_watermark();
        self.offline = true;
        match std::mem::replace(&mut self.part, Part::Waiting) {
            Part::Leading(_) => {
                self.want_another_leader(true, around);
            }
            Part::Following(mut follower) => {
                let mut effects = Vec::new();
                let offsets = follower.log_end()..follower.log_end();
                follower.step(liftbridge_replication::FollowerEvent::Damaged { offsets }, &mut effects);
                self.say_all(effects, around);
            }
            Part::Waiting => {}
        }
    }

    fn want_another_leader(&self, leaves: bool, around: &mut Around<'_>) {
        let other = self.assignment.in_sync.iter().find(|id| **id != self.me.id);
        if let Some(to) = other.cloned() {
            let wish = Wish::MoveLeader { epoch: self.assignment.epoch, to, leaves };
            around.wishes.push((self.name.clone(), wish));
        }
    }

    fn show_committed(&mut self, end: Offset, around: &Around<'_>) {
        let durable_end = self.log.durable_end();
        around.outbox.say(Said::Committed { partition: self.key(), end, durable_end });
    }

    fn send(&self, to: &BrokerId, message: Message, around: &Around<'_>) {
        let packet = super::words::Packet::Partition(self.key(), message);
        around.outbox.say(Said::Packet { to: server(to), packet });
    }

    fn leadership_of(&self, epoch: LeaderEpoch) -> Leadership {
        Leadership { epoch, server: server(&self.me.id), incarnation: self.me.incarnation }
    }
}

fn is_disk_full(error: &liftbridge_commitlog::AppendError) -> bool {
    matches!(error, liftbridge_commitlog::AppendError::Storage(storage) if storage.is_disk_full())
}
