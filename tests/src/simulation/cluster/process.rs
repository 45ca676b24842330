//! One life of a server: its metadata, its replicas, its signs of life, driven as the broker drives them. Owns the order of
//! starting and what follows from what arrives; never when anything arrives, and judges nothing.

mod agreement;
mod partitions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::LogOptions;
use liftbridge_metadata_raft::{
    Applied, BrokerLife, CONTROLLER_LEASE, CallReply, ClusterState, Command, DirectoryId, FEATURE_LEVEL, Heartbeat,
    HeartbeatAnswer, Join, JoinAnswer, LogIndex, Member, MetadataNode, MetadataOptions, Part, Ports, Presence,
    ProposalOutcome, RaftId, RegisterBroker, Standing, metadata_presence, note_joined,
};
use liftbridge_replication::BrokerLife as Life;
use liftbridge_types::{BrokerId, BrokerIncarnation, Timestamp};
use parking_lot::Mutex;

use super::outbox::{Outbox, Power};
use super::replica::{PeerEvent, Replica, Wish};
use super::words::{Answer, Call, Packet, PartitionKey, Said, broker, server};
use agreement::Wanted;

/// How long a broker may be silent.
pub(super) const SESSION_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two signs of life, and between two requests to be let in.
const HEARTBEAT: Duration = Duration::from_millis(300);
const JOIN_RETRY: Duration = Duration::from_millis(500);
/// Commands after which a snapshot is taken: few, so that lagging servers are sent whole states.
const SNAPSHOT_THRESHOLD: u64 = 25;

/// What a life begins with.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    pub(super) number: u64,
    pub(super) directory: DirectoryId,
    pub(super) power: Power,
    pub(super) log_options: LogOptions,
    pub(super) voters_max: usize,
    /// Partitions that had files on its volume once.
    pub(super) lost: BTreeSet<PartitionKey>,
    /// Whether it founds the cluster if there is nothing on its volume.
    pub(super) founds: bool,
    pub(super) seed: u64,
    pub(super) now: Duration,
}

/// Answers that raft gives while it is being driven.
#[derive(Debug, Default)]
struct Answers {
    /// To proposals of this server, by the number of the try.
    own: Vec<(u64, ProposalOutcome)>,
    /// To calls of other servers.
    others: Vec<(u64, u64, Answer)>,
}

/// What the ports of the metadata collect.
#[derive(Clone, Debug, Default)]
struct Collected {
    applied: Arc<Mutex<Vec<Applied>>>,
    standing: Arc<Mutex<Option<Standing>>>,
    answers: Arc<Mutex<Answers>>,
}

/// One life of a server.
#[derive(Debug)]
pub(super) struct Process {
    beginning: Beginning,
    id: BrokerId,
    outbox: Outbox,
    now: Duration,
    wall: Timestamp,
    /// `None` before it was let into the cluster, and after its metadata failed.
    metadata: Option<MetadataNode>,
    metadata_failed: bool,
    raft_id: RaftId,
    collected: Collected,
    applied: LogIndex,
    carried_out: LogIndex,
    incarnation: Option<BrokerIncarnation>,
    /// Whether its partitions are open.
    pub(super) serves: bool,
    replicas: BTreeMap<PartitionKey, Replica>,
    linked: BTreeSet<BrokerId>,
    /// Calls of other servers not answered, and own ones, by number.
    calls: BTreeMap<u64, Asked>,
    call_count: u64,
    wanted: Vec<Wanted>,
    wishes: Vec<(liftbridge_metadata_raft::PartitionName, Wish)>,
    next_beat: Duration,
    next_join: Duration,
    lease_end: Duration,
    lapsed: bool,
    /// Whom to ask to be let in.
    ask: u64,
}

/// What this server asked another one.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Join,
    Heartbeat { sent: Duration, lease: Duration },
    Propose { try_number: u64 },
}

impl Process {
    /// Begins a life.
    ///
    /// # Errors
    /// When what is on the volume cannot be opened.
    pub(super) fn start(beginning: Beginning, ask: u64) -> Result<Self, String> {
        let volume = beginning.power.volume.clone();
        let presence = metadata_presence(&volume).map_err(|error| error.to_string())?;
        let now = beginning.now;
        let mut process = Self {
            id: broker(beginning.number),
            outbox: Outbox::new(beginning.power.clone()),
            now,
            wall: Timestamp::EPOCH,
            metadata: None,
            metadata_failed: false,
            raft_id: RaftId::FOUNDER,
            collected: Collected::default(),
            applied: LogIndex::default(),
            carried_out: LogIndex::default(),
            incarnation: None,
            serves: false,
            replicas: BTreeMap::new(),
            linked: BTreeSet::new(),
            calls: BTreeMap::new(),
            call_count: beginning.seed << 20,
            wanted: Vec::new(),
            wishes: Vec::new(),
            next_beat: now,
            next_join: now,
            lease_end: now + SESSION_TIMEOUT,
            lapsed: false,
            ask,
            beginning,
        };
        if presence != Presence::Nothing || process.beginning.founds {
            process.open_metadata()?;
        }
        Ok(process)
    }

    fn open_metadata(&mut self) -> Result<(), String> {
        let Beginning { power, voters_max, founds, seed, .. } = &self.beginning;
        let options = MetadataOptions {
            snapshot_threshold: SNAPSHOT_THRESHOLD,
            may_found: *founds,
            session_timeout: SESSION_TIMEOUT,
            voters_max: *voters_max,
            seed: *seed,
            ..MetadataOptions::new("simulated".to_owned())
        };
        let Collected { applied, standing, .. } = self.collected.clone();
        let outbox = self.outbox.clone();
        let ports = Ports {
            deliver: Box::new(move |event| applied.lock().push(event)),
            send: Box::new(move |to, bytes| outbox.say(Said::Packet { to: server(to), packet: Packet::Raft(bytes) })),
            stand: Box::new(move |part| *standing.lock() = Some(part.clone())),
        };
        let (metadata, recovery) =
            MetadataNode::open(&power.volume, &options, ports).map_err(|error| error.to_string())?;
        self.raft_id = recovery.raft_id;
        (self.applied, self.carried_out) = (recovery.index, LogIndex::default());
        self.metadata = Some(metadata);
        self.want_registration();
        Ok(())
    }

    /// What it has said since it was asked last.
    pub(super) fn take_said(&self) -> Vec<Said> {
        self.outbox.take()
    }

    /// What it knows of the agreement; `None` before it takes part.
    pub(super) fn state(&self) -> Option<ClusterState> {
        self.metadata.as_ref().map(|metadata| metadata.state().clone())
    }

    /// Up to where it has applied what was agreed on.
    pub(super) fn applied(&self) -> LogIndex {
        self.metadata.as_ref().map_or(LogIndex::default(), MetadataNode::applied)
    }

    /// Whether it takes part in the agreement and can.
    pub(super) fn has_metadata(&self) -> bool {
        self.metadata.is_some()
    }

    /// Whether something of it has failed that only another life mends.
    pub(super) fn is_lame(&self) -> bool {
        self.metadata_failed || self.replicas.values().any(Replica::is_lame)
    }

    /// How it stands, for whoever reads that something went wrong.
    pub(super) fn shown(&self) -> String {
        let Self { applied, carried_out, incarnation, wanted, ask, .. } = self;
        let standing = self.standing();
        format!(
            "{standing:?}, applied {applied}, carried out {carried_out}, {incarnation:?}, wants {wanted:?}, asks {ask}"
        )
    }

    /// Whether it is the controller, as it thinks.
    pub(super) fn controls(&self) -> bool {
        self.standing().is_some_and(|standing| standing.part == Part::Controller)
    }

    /// Its replicas.
    pub(super) fn replicas(&self) -> &BTreeMap<PartitionKey, Replica> {
        &self.replicas
    }

    /// Time passes: everything that is due is done.
    pub(super) fn tick(&mut self, now: Duration, wall: Timestamp) {
        (self.now, self.wall) = (now, wall);
        let is_lost = self.metadata.is_none() || !self.serves || now >= self.lease_end + SESSION_TIMEOUT;
        if is_lost && !self.metadata_failed {
            self.ask_to_join();
        }
        self.with_metadata(|metadata, now| metadata.advance_to(now));
        self.settle();
        self.give_sign_of_life();
        self.pursue_wanted();
        self.tick_replicas();
        self.pursue_wishes();
        self.settle();
    }

    /// A packet arrives.
    pub(super) fn receive(&mut self, from: u64, packet: Packet) {
        match packet {
            Packet::Raft(bytes) => {
                let from = broker(from);
                self.with_metadata(|metadata, _| metadata.receive(&from, &bytes));
            }
            Packet::Partition(key, message) => {
                self.hear(key, vec![PeerEvent::Message { from: broker(from), message }]);
            }
            Packet::Call(number, call) => self.on_call(from, number, call),
            Packet::Answer(number, answer) => self.on_answer(number, answer),
        }
    }

    /// The way to another server opens or closes.
    pub(super) fn set_link(&mut self, to: u64, up: bool) {
        let to = broker(to);
        let changed = if up { self.linked.insert(to.clone()) } else { self.linked.remove(&to) };
        if changed {
            self.hear_all(&PeerEvent::Link { to, up });
        }
    }

    /// Whether it takes the way to another server for open.
    pub(super) fn is_linked(&self, to: u64) -> bool {
        self.linked.contains(&broker(to))
    }

    /// Hands the part of the controller on.
    pub(super) fn resign(&mut self) {
        self.with_metadata(|metadata, _| {
            metadata.resign();
            Ok(())
        });
    }

    /// Stops cleanly.
    pub(super) fn stop(mut self) -> Vec<Said> {
        self.close_replicas();
        if let Some(metadata) = self.metadata.take() {
            metadata.close(self.carried_out);
        }
        self.outbox.take()
    }

    fn standing(&self) -> Option<Standing> {
        self.collected.standing.lock().clone()
    }

    fn with_metadata(
        &mut self,
        act: impl FnOnce(&mut MetadataNode, Duration) -> Result<(), liftbridge_metadata_raft::Unavailable>,
    ) {
        let Some(metadata) = &mut self.metadata else { return };
        if act(metadata, self.now).is_err() {
            self.metadata = None;
            self.metadata_failed = true;
        }
    }

    /// Has the metadata do what there is to do, and carries out what comes of it.
    fn settle(&mut self) {
        let carried_out = self.carried_out;
        self.with_metadata(|metadata, _| metadata.settle(carried_out));
        let applied = std::mem::take(&mut *self.collected.applied.lock());
        for applied in applied {
            self.applied = applied.index;
            self.outbox.say(Said::Applied(applied));
        }
        let answers = std::mem::take(&mut *self.collected.answers.lock());
        for (to, number, answer) in answers.others {
            self.outbox.say(Said::Packet { to, packet: Packet::Answer(number, answer) });
        }
        for (try_number, outcome) in answers.own {
            self.on_decided(try_number, outcome);
        }
        if self.standing().is_some_and(|standing| standing.part == Part::Removed) {
            self.outbox.say(Said::Expelled);
        }
        self.reconcile();
    }

    /// Asks to be let in, or whether it was removed if it was let in.
    fn ask_to_join(&mut self) {
        if self.now < self.next_join {
            return;
        }
        self.next_join = self.now + JOIN_RETRY;
        let metadata = self.metadata.as_ref();
        let membership = metadata.map(|metadata| (metadata.state().cluster_id().to_owned(), self.raft_id));
        let join = Join {
            broker: self.id.clone(),
            directory: self.beginning.directory.clone(),
            peer_address: format!("h:{}", self.beginning.number),
            cluster_id: membership.as_ref().map(|(cluster_id, _)| cluster_id.clone()),
            raft_id: membership.map(|(_, raft_id)| raft_id),
            feature_levels: 1..=FEATURE_LEVEL,
        };
        self.call(self.ask, Call::Join(join), Asked::Join);
        // Whoever does not answer is not asked again before all others were.
        self.ask = 1 + self.ask % super::world::SERVERS_MAX;
    }

    fn call(&mut self, to: u64, call: Call, asked: Asked) {
        self.call_count += 1;
        self.calls.insert(self.call_count, asked);
        self.outbox.say(Said::Packet { to, packet: Packet::Call(self.call_count, call) });
    }

    fn on_call(&mut self, from: u64, number: u64, call: Call) {
        let answers = self.collected.answers.clone();
        let give = move |answer| answers.lock().others.push((from, number, answer));
        match call {
            Call::Propose(command) => self.propose(command, move |outcome| give(Answer::Proposed(outcome))),
            Call::Heartbeat(beat) => {
                let Some(metadata) = &mut self.metadata else { return };
                give(Answer::Heard(metadata.heartbeat(&beat)));
            }
            Call::Join(join) => {
                let reply = CallReply::new(move |answer| give(Answer::Joined(answer)));
                self.with_metadata(|metadata, _| metadata.join(join, reply));
            }
        }
    }

    fn on_answer(&mut self, number: u64, answer: Answer) {
        match (self.calls.remove(&number), answer) {
            (Some(Asked::Join), Answer::Joined(answer)) => self.on_joined(answer),
            (Some(Asked::Heartbeat { sent, lease }), Answer::Heard(answer)) => self.on_heard(sent, lease, answer),
            (Some(Asked::Propose { try_number }), Answer::Proposed(outcome)) => self.on_decided(try_number, outcome),
            _ => {}
        }
    }

    fn on_joined(&mut self, answer: JoinAnswer) {
        if answer == JoinAnswer::Removed {
            return self.outbox.say(Said::Expelled);
        }
        if self.metadata.is_some() || self.metadata_failed {
            return;
        }
        match answer {
            JoinAnswer::Admitted(admitted) => {
                let volume = self.beginning.power.volume.clone();
                let noted = note_joined(&volume, admitted.raft_id, &admitted.cluster_id);
                // A failing disk: the next life asks again, or finds that it was noted.
                self.metadata_failed = noted.is_err() || self.open_metadata().is_err();
            }
            JoinAnswer::NotController(controller) => {
                (self.ask, self.next_join) = (server(&controller.broker), self.now);
            }
            JoinAnswer::Refused(_) | JoinAnswer::Removed | JoinAnswer::Later => {}
        }
    }

    fn give_sign_of_life(&mut self) {
        let Some(standing) = self.standing().filter(|standing| !standing.alone && self.serves) else { return };
        if self.now >= self.next_beat {
            self.next_beat = self.now + HEARTBEAT;
            let incarnation = self.incarnation.unwrap_or_default();
            let life = BrokerLife { id: self.id.clone(), incarnation };
            let beat = Heartbeat { life, applied: self.carried_out };
            if standing.part == Part::Controller {
                if let Some(metadata) = &mut self.metadata {
                    let answer = metadata.heartbeat(&beat);
                    self.on_heard(self.now, CONTROLLER_LEASE, answer);
                }
            } else if let Some(controller) = standing.controller {
                let asked = Asked::Heartbeat { sent: self.now, lease: SESSION_TIMEOUT };
                self.call(server(&controller.broker), Call::Heartbeat(beat), asked);
            }
        }
        if self.now >= self.lease_end {
            self.set_lapsed(true);
        }
    }

    fn on_heard(&mut self, sent: Duration, lease: Duration, answer: HeartbeatAnswer) {
        match answer {
            HeartbeatAnswer::Alive => {
                self.lease_end = self.lease_end.max(sent + lease);
                if self.now < self.lease_end {
                    self.set_lapsed(false);
                }
            }
            HeartbeatAnswer::Fenced => self.set_lapsed(true),
            HeartbeatAnswer::Superseded => self.outbox.say(Said::Superseded),
            HeartbeatAnswer::Removed => self.outbox.say(Said::Expelled),
            HeartbeatAnswer::NotController => {}
        }
    }

    fn set_lapsed(&mut self, lapsed: bool) {
        if self.lapsed != lapsed {
            self.lapsed = lapsed;
            self.hear_all(&PeerEvent::Session { lapsed });
        }
    }

    /// Whether the cluster knows of this life.
    pub(super) fn is_registered(&self) -> bool {
        self.incarnation.is_some()
    }

    fn registration(&self) -> Command {
        Command::RegisterBroker(RegisterBroker {
            id: self.id.clone(),
            host: "localhost".to_owned(),
            port: 9292,
            member: Some(Member {
                raft_id: self.raft_id,
                directory: self.beginning.directory.clone(),
                peer_address: Some(format!("h:{}", self.beginning.number)),
                rack: None,
                feature_level: FEATURE_LEVEL,
                kept_log: true,
                in_sync_min: None,
                session_timeout: None,
                lost: self.beginning.lost.iter().map(|key| (key.stream, key.partition)).collect(),
            }),
        })
    }

    fn life(&self) -> Life {
        Life { id: self.id.clone(), incarnation: self.incarnation.unwrap_or_default() }
    }
}
