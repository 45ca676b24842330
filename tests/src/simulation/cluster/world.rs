//! The world of a cluster: its servers, the network between them, clients and accidents. Owns the passing of time and handing
//! what servers say to the checkers; the rules are theirs.

mod accidents;
mod clients;
mod full_disk;
mod healing;
mod judging;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use liftbridge_commitlog::{LogOptions, RetentionLimits, SyncPolicy};
use liftbridge_metadata_raft::ClusterState;

use super::accident::Accident;
use super::checkers::{AckedMessages, AgreedOrder, Changes, Leaders, Offsets, ReadMessages, Replicas, Watermarks};
use super::network::Network;
use super::process::{Beginning, Process};
use super::server::Server;
use super::words::{Packet, PartitionKey, Said};
use crate::dice::Dice;
use crate::simulation::trace::Trace;

/// Servers there are at most.
pub(super) const SERVERS_MAX: u64 = 5;
/// The founder.
const FOUNDER: u64 = 1;
/// Starts that may fail one after the other on a volume with planned faults.
const STARTS_MAX: usize = 40;
/// How long the servers that a world begins with may take to become a cluster.
const FOUNDING_MAX: Duration = Duration::from_secs(60);

/// How a step went: a sentence for the trace, or the broken rule.
type Step = Result<String, String>;

/// All rules.
#[derive(Debug, Default)]
struct Rules {
    acked: AckedMessages,
    agreed: AgreedOrder,
    changes: Changes,
    leaders: Leaders,
    offsets: Offsets,
    readers: ReadMessages,
    replicas: Replicas,
    watermarks: Watermarks,
}

/// The world of one seed.
pub(super) struct World {
    dice: Dice,
    now: Duration,
    servers: BTreeMap<u64, Server>,
    network: Network,
    rules: Rules,
    trace: Trace,
    /// When somebody was last told that a message is stored under `ALL`.
    acked_at: BTreeMap<PartitionKey, Duration>,
    published: u64,
    requests: u64,
    voters_max: usize,
    lives: u64,
    /// The server whose disk flips bits; never two, since two copies damaged may be all there are.
    rotten: Option<u64>,
    /// Which server has ever lost the files of a partition; never two of the same.
    lost_files: BTreeMap<PartitionKey, u64>,
    /// Partitions whose only whole copy an operator gave up.
    excused: BTreeSet<PartitionKey>,
    /// What is asked for removals under way, by server.
    removals: BTreeMap<u64, u64>,
    removal_forced: BTreeSet<u64>,
    healing: bool,
}

impl World {
    /// Some servers that have become a cluster.
    pub(super) fn new(seed: u64) -> Result<Self, String> {
        let mut dice = Dice::new(seed);
        let count = 3 + dice.below(SERVERS_MAX - 2);
        let options = log_options(&mut dice);
        let servers = (1..=count).map(|number| (number, Server::new(number, dice.number(), options))).collect();
        let voters_max = if dice.percent(30) { 3 } else { 0 };
        let mut world = Self {
            dice,
            now: Duration::ZERO,
            servers,
            network: Network::new(),
            rules: Rules::default(),
            trace: Trace::default(),
            acked_at: BTreeMap::new(),
            published: 0,
            requests: 0,
            voters_max,
            lives: 0,
            rotten: None,
            lost_files: BTreeMap::new(),
            excused: BTreeSet::new(),
            removals: BTreeMap::new(),
            removal_forced: BTreeSet::new(),
            healing: false,
        };
        for number in 1..=count {
            world.start(number)?;
        }
        while !world.all_serve() {
            if world.now > FOUNDING_MAX {
                let amiss = world.what_is_amiss();
                return Err(format!("servers that nothing happens to do not become a cluster: {amiss:?}"));
            }
            world.beat(Duration::from_millis(10))?;
        }
        Ok(world)
    }

    /// One step.
    pub(super) fn step(&mut self, step: u64) -> Result<(), String> {
        let pause = Duration::from_micros(500 + self.dice.below(30_000));
        self.beat(pause)?;
        let accident = Accident::roll(&mut self.dice);
        let told = self.happen(accident)?;
        self.trace.tell(format!("{step} {:?} {accident:?}: {told}", self.now));
        Ok(())
    }

    pub(super) fn trace(&self) -> &Trace {
        &self.trace
    }

    pub(super) fn acked_count(&self) -> usize {
        self.rules.acked.count()
    }

    pub(super) fn lives(&self) -> u64 {
        self.lives
    }

    pub(super) fn leaderships(&self) -> usize {
        self.rules.leaders.count()
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// Some time passes for everybody.
    fn beat(&mut self, pause: Duration) -> Result<(), String> {
        self.now += pause;
        let listening: BTreeSet<u64> = self.numbers(Server::is_moving).into_iter().collect();
        for flight in self.network.arrivals(self.now, |to| listening.contains(&to)) {
            self.with(flight.to, |process| process.receive(flight.from, flight.packet))?;
        }
        self.notice_links()?;
        for number in self.numbers(Server::is_moving) {
            let (now, wall) = (self.now, self.servers[&number].wall(self.now));
            self.with(number, |process| process.tick(now, wall))?;
        }
        self.finish_power_cuts();
        self.pursue_removals()
    }

    /// Has a process do something, and hears what it says.
    fn with(&mut self, number: u64, act: impl FnOnce(&mut Process)) -> Result<(), String> {
        let Some(process) = self.servers.get_mut(&number).and_then(|server| server.process.as_mut()) else {
            return Ok(());
        };
        act(process);
        self.hear(number)
    }

    fn hear(&mut self, number: u64) -> Result<(), String> {
        let Some(process) = self.servers.get(&number).and_then(|server| server.process.as_ref()) else {
            return Ok(());
        };
        let said = process.take_said();
        let (mut expelled, mut superseded) = (false, false);
        for said in said {
            match said {
                Said::Packet { to, packet } => self.send(number, to, &packet),
                Said::Expelled => expelled = true,
                Said::Superseded => superseded = true,
                other => self.judge(number, other)?,
            }
        }
        if expelled {
            self.expel(number);
        } else if superseded {
            self.trace.tell(format!("{:?} server {number} ends: a later life of it is the present one", self.now));
            self.end(number);
        }
        Ok(())
    }

    fn send(&mut self, from: u64, to: u64, packet: &Packet) {
        let kind = match packet {
            Packet::Raft(bytes) => format!("raft {}", bytes.len()),
            other => format!("{other:?}"),
        };
        self.trace.note(&format!("{from} to {to}: {kind}"));
        if self.servers.contains_key(&to) {
            self.network.send(self.now, from, to, packet, &mut self.dice);
        }
    }

    /// Servers notice, some time, that the way to another one is open or not.
    fn notice_links(&mut self) -> Result<(), String> {
        let numbers: Vec<u64> = self.servers.keys().copied().collect();
        for from in self.numbers(Server::is_moving) {
            for to in numbers.iter().copied().filter(|to| *to != from) {
                let server = &self.servers[&to];
                let open = server.is_moving() && self.network.joins(from, to);
                let process = self.servers[&from].process.as_ref();
                let differs = process.is_some_and(|process| process.is_linked(to) != open);
                if differs && self.dice.percent(if self.healing { 50 } else { 7 }) {
                    self.with(from, |process| process.set_link(to, open))?;
                }
            }
        }
        Ok(())
    }

    /// Starts a process; however many of the planned faults get in its way, it has to start on a volume that works again.
    fn start(&mut self, number: u64) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..STARTS_MAX {
            self.lives += 1;
            let (now, lives, voters_max) = (self.now, self.lives, self.voters_max);
            let ask = self.somebody_else(number);
            let Some(server) = self.servers.get_mut(&number) else { return Ok(()) };
            server.lives += 1;
            server.paused = false;
            let beginning = Beginning {
                number,
                directory: server.directory(),
                power: server.power.clone(),
                log_options: server.log_options,
                voters_max,
                lost: server.lost.clone(),
                founds: number == FOUNDER && server.disks == 1,
                seed: lives,
                now,
            };
            match Process::start(beginning, ask) {
                Ok(process) => {
                    server.process = Some(process);
                    return self.hear(number);
                }
                Err(error) => last = error,
            }
            if server.power.is_off() {
                server.power.crash();
                server.power_fails_at = None;
            }
            server.mend_volume();
        }
        Err(format!("server {number} does not start on a volume that works again: {last}"))
    }

    /// A process is gone, however.
    fn end(&mut self, number: u64) {
        if let Some(server) = self.servers.get_mut(&number) {
            drop(server.take_process());
            server.paused = false;
        }
        self.network.drop_to(number);
        self.rules.watermarks.forget(number);
        self.rules.agreed.forget(number);
    }

    /// The cluster has no place for this server with the disk it has.
    fn expel(&mut self, number: u64) {
        self.trace.tell(format!("{:?} server {number} is expelled", self.now));
        self.end(number);
        if let Some(server) = self.servers.get_mut(&number) {
            server.expelled = true;
        }
    }

    fn numbers(&self, which: impl Fn(&Server) -> bool) -> Vec<u64> {
        self.servers.values().filter(|server| which(server)).map(|server| server.number).collect()
    }

    fn somebody_else(&mut self, number: u64) -> u64 {
        let others = self.numbers(|server| server.number != number);
        others[self.dice.index(others.len())]
    }

    fn one_of(&mut self, which: impl Fn(&Server) -> bool) -> Option<u64> {
        let numbers = self.numbers(which);
        if numbers.is_empty() { None } else { Some(numbers[self.dice.index(numbers.len())]) }
    }

    fn all_serve(&self) -> bool {
        self.servers.values().all(|server| server.process.as_ref().is_some_and(|process| process.serves))
    }

    /// What is agreed on, as whoever is furthest knows it.
    fn furthest_state(&self) -> Option<ClusterState> {
        let processes = self.servers.values().filter_map(|server| server.process.as_ref());
        let furthest = processes.filter(|process| process.has_metadata()).max_by_key(|process| process.applied())?;
        furthest.state()
    }
}

/// Sizes and limits so small that every edge is met often.
fn log_options(dice: &mut Dice) -> LogOptions {
    LogOptions {
        segment_bytes_max: 500 + dice.below(4000),
        segment_age_max: None,
        index_interval_bytes: 100 + u32::try_from(dice.below(400)).expect("it is small"),
        checkpoint_interval_bytes: 200 + dice.below(8000),
        tail_bytes_max: dice.index(3000),
        refuse_damaged_end: false,
        sync: SyncPolicy::Commit,
        retention: RetentionLimits { messages: dice.percent(30).then_some(60), ..RetentionLimits::default() },
    }
}
