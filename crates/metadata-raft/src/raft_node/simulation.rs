//! Several raft nodes in one thread, on virtual time, over storage that loses what was not synced and a network that loses,
//! delays, doubles and reorders. Owns the faults and what is checked after each step; never what is tried.
//!
//! Checked: what was applied at an index is the same on every server and in every life; there is one controller in a term; what
//! was answered as agreed on stays agreed on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::FaultyVolume;
use liftbridge_types::BrokerId;
use parking_lot::Mutex;
use raft::StateRole;

use super::peers::mixed;
use super::{NodeOptions, Ports, RaftNode};
use crate::admission::Join;
use crate::agreed_state::AgreedState;
use crate::call_reply::{CallReply, JoinAnswer};
use crate::cluster_event::{Applied, ClusterEvent};
use crate::cluster_state::ClusterState;
use crate::codec::encode_command;
use crate::command::Command;
use crate::controller::ControllerOptions;
use crate::member_file::note_joined;
use crate::node_id::RaftId;
use crate::proposal::{ProposalOutcome, ProposalReply};
use crate::raft_storage::RaftStorage;
use crate::sessions::{Heartbeat, HeartbeatAnswer};
use crate::standing::Part;
use crate::test_commands::{broker, directory, life, start};

/// How far time moves in one step.
const STEP: Duration = Duration::from_millis(10);
/// How often a broker gives a sign of life.
const HEARTBEAT: Duration = Duration::from_millis(300);

/// Chance, from a seed.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mixed(self.0) % end.max(1)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A message and whom it is for.
type Outgoing = (BrokerId, Vec<u8>);

/// One server: its disk stays, its process comes and goes.
pub(crate) struct Server {
    pub(crate) number: u64,
    pub(crate) volume: FaultyVolume,
    pub(crate) node: Option<RaftNode>,
    pub(crate) state: Arc<AgreedState>,
    applied: Arc<Mutex<Vec<Applied>>>,
    outgoing: Arc<Mutex<Vec<Outgoing>>>,
    next_heartbeat: Duration,
    /// Whether this life has registered.
    registered: bool,
    /// What was carried out in this life.
    carried_out: crate::LogIndex,
    /// Whether it is still to ask to be let in.
    joining: bool,
}

struct Flight {
    due: Duration,
    from: u64,
    to: u64,
    bytes: Vec<u8>,
}

/// How bad the network is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// One message in so many is lost; 0 = none.
    pub(crate) lost_one_in: u64,
    /// One message in so many comes twice; 0 = none.
    pub(crate) doubled_one_in: u64,
    /// The longest a message is under way, in steps.
    pub(crate) delay_max: u64,
}

/// Everything.
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) now: Duration,
    pub(crate) servers: BTreeMap<u64, Server>,
    pub(crate) weather: Weather,
    /// Who cannot reach whom.
    pub(crate) cut: BTreeSet<(u64, u64)>,
    pub(crate) snapshot_threshold: u64,
    pub(crate) voters_max: usize,
    /// The server that was given another past than the others, which is not checked, and what it failed with.
    pub(crate) doubted: Option<u64>,
    pub(crate) failure: Option<String>,
    flights: Vec<Flight>,
    /// What was applied at each index, as text.
    agreed: BTreeMap<u64, String>,
    /// Who controlled in each term.
    controllers: BTreeMap<u64, u64>,
    /// Where and with what each answered proposal was agreed on.
    answered: Arc<Mutex<Vec<ProposalOutcome>>>,
    /// A line for everything that happened, for comparing runs.
    pub(crate) trace: Vec<String>,
}

impl World {
    /// Nobody yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            chance: Chance(mixed(seed)),
            now: Duration::ZERO,
            servers: BTreeMap::new(),
            weather: Weather { delay_max: 2, ..Weather::default() },
            cut: BTreeSet::new(),
            snapshot_threshold: 1000,
            voters_max: 0,
            doubted: None,
            failure: None,
            flights: Vec::new(),
            agreed: BTreeMap::new(),
            controllers: BTreeMap::new(),
            answered: Arc::default(),
            trace: Vec::new(),
        }
    }

    /// A founder and servers that joined it, all of them voting where there is room.
    pub(crate) fn of(seed: u64, servers: u64) -> Self {
        let mut world = Self::new(seed);
        world.populate(servers);
        world
    }

    pub(crate) fn populate(&mut self, servers: u64) {
        self.found();
        for number in 2..=servers {
            self.begin_joining(number);
            self.run_until("everybody has joined", |world| world.is_member(number));
        }
        self.run_until("everybody serves", |world| world.is_settled(servers));
    }

    pub(crate) fn found(&mut self) {
        self.add_server(1, false);
        self.start(1);
    }

    /// An empty server begins to ask to be let in.
    pub(crate) fn begin_joining(&mut self, number: u64) {
        self.add_server(number, true);
    }

    fn add_server(&mut self, number: u64, joining: bool) {
        let volume = FaultyVolume::new(self.chance.below(u64::MAX));
        let server = Server {
            number,
            volume,
            node: None,
            state: Arc::new(AgreedState::new(ClusterState::founded("test".to_owned()), crate::LogIndex::default())),
            applied: Arc::default(),
            outgoing: Arc::default(),
            next_heartbeat: Duration::ZERO,
            registered: false,
            carried_out: crate::LogIndex::default(),
            joining,
        };
        self.servers.insert(number, server);
    }

    fn options(&self, number: u64) -> NodeOptions {
        NodeOptions {
            snapshot_threshold: self.snapshot_threshold,
            controller: ControllerOptions {
                session_timeout: Duration::from_secs(2),
                voters_max: self.voters_max,
                unclean_elections: false,
            },
            seed: mixed(number),
        }
    }

    /// Starts a server's process; its metadata has to open.
    pub(crate) fn start(&mut self, number: u64) {
        let options = self.options(number);
        let server = self.servers.get_mut(&number).unwrap();
        let founded = "test".to_owned();
        let opened = RaftStorage::open(&server.volume, 2, (number == 1).then_some(&founded)).unwrap();
        server.carried_out = opened.storage.snapshot_index();
        server.state = Arc::new(AgreedState::new(opened.state, server.carried_out));
        server.applied = Arc::default();
        server.outgoing = Arc::default();
        let (applied, outgoing) = (server.applied.clone(), server.outgoing.clone());
        let ports = Ports {
            deliver: Box::new(move |event| applied.lock().push(event)),
            send: Box::new(move |to, bytes| outgoing.lock().push((to.clone(), bytes))),
            stand: Box::new(|_| {}),
        };
        server.node = Some(RaftNode::start(opened.storage, server.state.clone(), options, ports).unwrap());
        server.registered = false;
        self.trace.push(format!("{:?} start {number}", self.now));
    }

    /// Ends a server's process; what it had not synced may be lost.
    pub(crate) fn crash(&mut self, number: u64) {
        let server = self.servers.get_mut(&number).unwrap();
        server.node = None;
        server.volume.crash();
        self.trace.push(format!("{:?} crash {number}", self.now));
    }

    /// What was agreed on is not any more: most servers were set back.
    pub(crate) fn forget(&mut self) {
        self.agreed.clear();
        self.controllers.clear();
    }

    /// Lets nothing through between two groups.
    pub(crate) fn part(&mut self, some: &[u64]) {
        let all: Vec<u64> = self.servers.keys().copied().collect();
        for from in &all {
            for to in &all {
                if some.contains(from) != some.contains(to) {
                    self.cut.insert((*from, *to));
                }
            }
        }
    }

    /// The server that acts as the controller, if there is exactly one that is in touch.
    pub(crate) fn controller(&self) -> Option<u64> {
        let controls = |server: &&Server| server.node.as_ref().is_some_and(|node| node.controls);
        let furthest = self
            .servers
            .values()
            .filter(controls)
            .max_by_key(|server| server.node.as_ref().map(|node| node.raw.raft.term));
        furthest.map(|server| server.number)
    }

    pub(crate) fn node(&self, number: u64) -> Option<&RaftNode> {
        self.servers.get(&number)?.node.as_ref()
    }

    pub(crate) fn state_of(&self, number: u64) -> ClusterState {
        self.servers.get(&number).unwrap().state.read().clone()
    }

    /// Whether the controller knows this server.
    pub(crate) fn is_member(&self, number: u64) -> bool {
        let controller = self.controller().map(|controller| self.state_of(controller));
        controller.is_some_and(|state| state.nodes.of_broker(&broker(&number.to_string())).is_some())
    }

    /// Whether so many brokers serve and vote, as the controller sees it.
    pub(crate) fn is_settled(&self, servers: u64) -> bool {
        let Some(state) = self.controller().map(|controller| self.state_of(controller)) else { return false };
        let serving = state.brokers.iter().filter(|(_, broker)| !broker.fenced).count() as u64;
        let voting = state.nodes.iter().filter(|(_, node)| node.voter).count() as u64;
        let voters_max = if self.voters_max == 0 { servers } else { self.voters_max as u64 };
        serving == servers && voting == servers.min(voters_max)
    }

    /// Proposes where the controller is, if there is one; what becomes of it is checked later.
    pub(crate) fn propose(&mut self, command: Command) -> bool {
        let Some(controller) = self.controller() else { return false };
        let answered = self.answered.clone();
        let reply = ProposalReply::new(move |outcome| answered.lock().push(outcome));
        let node = self.servers.get_mut(&controller).and_then(|server| server.node.as_mut()).unwrap();
        node.propose(encode_command(command), reply).unwrap();
        node.drive().unwrap();
        true
    }

    /// How many proposals were answered as agreed on.
    pub(crate) fn agreed_count(&self) -> usize {
        self.answered.lock().iter().filter(|outcome| outcome.is_ok()).count()
    }

    /// Goes on until something is so; it has to become so within ten minutes of virtual time.
    #[track_caller]
    pub(crate) fn run_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(600);
        while !is_so(self) {
            assert!(self.now < end, "{what}: {}", self.shown());
            self.step();
        }
    }

    /// How everybody stands, for whoever reads that something went wrong.
    fn shown(&self) -> String {
        let server = |server: &Server| {
            let node = server.node.as_ref().map(|node| {
                let raft = &node.raw.raft;
                format!("{:?} in term {}, applied {}, {:?}", raft.state, raft.term, node.applied, node.standing)
            });
            let state = server.state.read();
            let brokers: Vec<_> = state.brokers.iter().map(|(id, broker)| (id.as_str(), broker.fenced)).collect();
            let nodes: Vec<_> = state.nodes.iter().map(|(id, node)| (id.get(), node.voter, node.leaving)).collect();
            format!("\n{}: {node:?}, brokers {brokers:?}, nodes {nodes:?}", server.number)
        };
        self.servers.values().map(server).collect()
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.step();
        }
    }

    /// Lets one step of time pass.
    pub(crate) fn step(&mut self) {
        self.now += STEP;
        self.deliver();
        self.join();
        let numbers: Vec<u64> = self.servers.keys().copied().collect();
        for number in numbers {
            self.step_server(number);
            self.check(number);
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (due, later): (Vec<Flight>, Vec<Flight>) = self.flights.drain(..).partition(|flight| flight.due <= now);
        self.flights = later;
        for flight in due {
            if self.cut.contains(&(flight.from, flight.to)) {
                continue;
            }
            let Some(node) = self.servers.get_mut(&flight.to).and_then(|server| server.node.as_mut()) else { continue };
            node.advance_to(now).unwrap();
            let received = node.receive(&broker(&flight.from.to_string()), &flight.bytes);
            if let Err(failure) = received.and_then(|()| node.drive()) {
                assert_eq!(Some(flight.to), self.doubted, "{failure}");
                self.failure = Some(failure.to_string());
                self.crash(flight.to);
            }
        }
    }

    /// Servers that are still to be let in ask the controller.
    fn join(&mut self) {
        let asking: Vec<u64> =
            self.servers.values().filter(|server| server.joining).map(|server| server.number).collect();
        for number in asking {
            let Some(controller) = self.controller().filter(|controller| !self.is_cut(number, *controller)) else {
                continue;
            };
            let answer = self.ask_to_join(controller, number, directory(number));
            if let Some(JoinAnswer::Admitted(admitted)) = answer {
                let server = self.servers.get_mut(&number).unwrap();
                note_joined(&server.volume, admitted.raft_id, &admitted.cluster_id).unwrap();
                server.joining = false;
                self.start(number);
            }
        }
    }

    /// Asks to be let in; `None` while there is no answer.
    pub(crate) fn ask_to_join(
        &mut self,
        controller: u64,
        number: u64,
        directory: crate::DirectoryId,
    ) -> Option<JoinAnswer> {
        let join = Join {
            raft_id: None,
            broker: broker(&number.to_string()),
            directory,
            peer_address: format!("h:{number}"),
            cluster_id: None,
            feature_levels: 1..=2,
        };
        let answer = Arc::new(Mutex::new(None));
        let taken = answer.clone();
        let node = self.servers.get_mut(&controller)?.node.as_mut()?;
        node.join(join, CallReply::new(move |answer| *taken.lock() = Some(answer))).unwrap();
        node.drive().unwrap();
        answer.lock().clone()
    }

    fn step_server(&mut self, number: u64) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(&number) else { return };
        let Some(node) = &mut server.node else { return };
        node.advance_to(now).unwrap();
        node.drive().unwrap();
        node.maybe_write_snapshot(server.carried_out).unwrap();
        if now >= server.next_heartbeat {
            server.next_heartbeat = now + HEARTBEAT;
            self.give_sign_of_life(number);
        }
        let outgoing = std::mem::take(&mut *self.servers.get_mut(&number).unwrap().outgoing.lock());
        for (to, bytes) in outgoing {
            self.take_off(number, to.as_str().parse().unwrap(), bytes);
        }
    }

    /// A broker registers once in each life, and says that it is there.
    fn give_sign_of_life(&mut self, number: u64) {
        let Some(controller) = self.controller().filter(|controller| !self.is_cut(number, *controller)) else { return };
        let server = self.servers.get_mut(&number).unwrap();
        let applied = server.node.as_ref().unwrap().applied;
        let known = server.state.read().brokers.get(&broker(&number.to_string())).map(|broker| broker.incarnation);
        let raft_id = server.node.as_ref().unwrap().raw.store().raft_id();
        if !server.registered && applied.get() > 0 {
            server.registered = true;
            let registration = registration(number, raft_id);
            self.propose(registration);
            return;
        }
        let Some(incarnation) = known else { return };
        let beat = Heartbeat { life: life(&number.to_string(), incarnation.get()), applied };
        let answer = self.servers.get_mut(&controller).unwrap().node.as_mut().unwrap().on_heartbeat(&beat);
        if answer == HeartbeatAnswer::Superseded {
            // A registration that got lost.
            self.servers.get_mut(&number).unwrap().registered = false;
        }
    }

    fn is_cut(&self, one: u64, other: u64) -> bool {
        self.cut.contains(&(one, other)) || self.cut.contains(&(other, one))
    }

    fn take_off(&mut self, from: u64, to: u64, bytes: Vec<u8>) {
        let Weather { lost_one_in, doubled_one_in, delay_max } = self.weather;
        let copies = 1 + u64::from(doubled_one_in > 0 && self.chance.one_in(doubled_one_in));
        for _ in 0..copies {
            if lost_one_in > 0 && self.chance.one_in(lost_one_in) {
                continue;
            }
            let delay = u32::try_from(self.chance.below(delay_max + 1)).unwrap();
            self.flights.push(Flight { due: self.now + STEP * delay, from, to, bytes: bytes.clone() });
        }
    }

    fn check(&mut self, number: u64) {
        let Some(server) = self.servers.get_mut(&number).filter(|_| self.doubted != Some(number)) else { return };
        let applied = std::mem::take(&mut *server.applied.lock());
        for Applied { index, events } in applied {
            server.carried_out = index;
            if events == [ClusterEvent::Replaced] {
                self.trace.push(format!("{:?} {number} was sent {index}", self.now));
                continue;
            }
            let shown = format!("{events:?}");
            let agreed = self.agreed.entry(index.get()).or_insert_with(|| shown.clone());
            assert_eq!(*agreed, shown, "server {number} applied something else at {index}");
        }
        let Some(node) = &server.node else { return };
        if node.raw.raft.state == StateRole::Leader {
            let term = node.raw.raft.term;
            let controller = *self.controllers.entry(term).or_insert_with(|| {
                self.trace.push(format!("{:?} {number} leads in term {term}", self.now));
                number
            });
            assert_eq!(controller, number, "two lead in term {term}");
        }
    }

    /// What holds once everything is mended: all have the same state, and everything answered is in it.
    pub(crate) fn check_settled(&self) {
        let controller = self.controller().expect("there is a controller");
        let expected = self.state_of(controller);
        assert!(expected.digest.is_some());
        for server in self.servers.values().filter(|server| server.node.is_some()) {
            let node = server.node.as_ref().unwrap();
            let standing = node.standing.clone().unwrap();
            if standing.part != Part::Removed && node.applied == self.node(controller).unwrap().applied {
                assert_eq!(*server.state.read(), expected, "server {}", server.number);
            }
        }
        for index in self.answered.lock().iter().flatten() {
            assert!(self.agreed.contains_key(&index.get()), "what was agreed on at {index} is known to somebody");
        }
    }
}

/// The registration of a server under the number it was given.
fn registration(number: u64, raft_id: RaftId) -> Command {
    let Command::RegisterBroker(mut command) = start(number) else { unreachable!("that is what it makes") };
    if let Some(member) = &mut command.member {
        member.raft_id = raft_id;
        member.directory = directory(number);
    }
    Command::RegisterBroker(command)
}
