//! Everything there is, and what can happen to it.

use std::fmt::Write;
use std::time::Duration;

use liftbridge_replication::{InSyncChange, Message};

use crate::checker::Checker;
use crate::controller::{Controller, Outcome, broker_id};
use crate::model_log::ModelLog;
use crate::node::{Around, LAG_MAX, Node, Outgoing};
use crate::random::Random;

const BROKERS: usize = 3;
/// Messages under way; more are lost.
const IN_FLIGHT_MAX: usize = 60;
/// Steps within which everything must be well once the faults have ended.
const HEALING_STEPS: u32 = 4000;
/// The longest that one step takes, as a rule.
const STEP_MAX_MS: u64 = 40;
/// Steps shown of a history that failed.
const TOLD_STEPS: usize = 60;

#[derive(Debug)]
struct InFlight {
    from: usize,
    to: usize,
    message: Message,
}

#[derive(Debug)]
pub(crate) struct World {
    random: Random,
    now: Duration,
    nodes: Vec<Node>,
    controller: Controller,
    network: Vec<InFlight>,
    /// Changes on their way to the controller, and refusals on their way back.
    changes: Vec<(usize, InSyncChange)>,
    refusals: Vec<(usize, InSyncChange)>,
    value: u64,
    faulty: bool,
    /// The longest that one step takes.
    step_max_ms: u64,
    publishing: bool,
    pub(crate) checker: Checker,
    pub(crate) trace: String,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            now: Duration::ZERO,
            nodes: (0..BROKERS).map(|broker| Node::new(broker, BROKERS)).collect(),
            controller: Controller::new(BROKERS),
            network: Vec::new(),
            changes: Vec::new(),
            refusals: Vec::new(),
            value: 0,
            faulty: true,
            step_max_ms: STEP_MAX_MS,
            publishing: true,
            checker: Checker::default(),
            trace: String::new(),
        }
    }

    /// One without faults, where a second is long.
    pub(crate) fn fair(seed: u64) -> Self {
        let mut world = Self::new(seed);
        (world.faulty, world.step_max_ms) = (false, 4);
        world
    }

    /// The disk of one broker is full. How long it takes until so many more records are committed.
    pub(crate) fn fill_and_wait(&mut self, broker: usize, count: u64) -> Duration {
        self.nodes[broker].has_room = false;
        let (began, wanted) = (self.now, self.checker.committed_count() + count);
        while self.checker.committed_count() < wanted && self.now < began + 4 * LAG_MAX {
            self.step();
        }
        self.now - began
    }

    /// Who leads, by what is agreed on.
    pub(crate) fn leader(&self) -> usize {
        let leader = self.controller.current().leader.as_ref();
        (0..BROKERS).find(|broker| leader == Some(&broker_id(*broker))).expect("somebody leads")
    }

    /// One thing happens.
    pub(crate) fn step(&mut self) {
        self.now += Duration::from_millis(self.random.below(self.step_max_ms));
        let broker = self.random.index(BROKERS);
        match self.random.below(1000) {
            0..410 => self.deliver(),
            410..420 => self.with(broker, |node, around, _| node.look_for_room(around)),
            420..540 if self.publishing => self.with(broker, |node, around, value| node.publish(value, around)),
            540..680 => self.with(broker, |node, around, _| node.sync(around)),
            680..760 => self.apply(broker),
            760..850 if self.nodes[broker].is_tick_due(self.now) => {
                self.with(broker, |node, around, _| node.tick(around));
            }
            850..890 => self.reach_controller(),
            890..910 => self.refuse(),
            910..930 => self.heartbeat(broker),
            _ if !self.faulty => {}
            930..938 => self.crash(broker),
            938..962 => self.restart(broker),
            962..968 => self.controller.fence(broker, &mut self.random),
            968..972 => self.controller.move_leader(&mut self.random),
            972..982 => {
                let (to, up) = (self.random.index(BROKERS), self.random.chance(70));
                self.with(broker, |node, around, _| node.set_link(to, up, around));
            }
            982..988 => {
                let lapsed = self.random.chance(40);
                self.with(broker, |node, around, _| node.lapse(lapsed, around));
            }
            988..995 => self.with(broker, |node, around, _| node.trim(around)),
            995..997 => self.now += Duration::from_secs(self.random.below(8)),
            997..999 => self.nodes[broker].has_room = self.random.chance(60),
            _ => {}
        }
        self.note();
    }

    fn note(&mut self) {
        let state: Vec<String> = self.nodes.iter().map(Node::describe).collect();
        writeln!(self.trace, "{:?} {}", self.now, state.join(", ")).expect("a string takes everything");
    }

    /// The faults end: everything must come to rest, the same everywhere.
    pub(crate) fn heal(&mut self) {
        (self.faulty, self.step_max_ms) = (false, STEP_MAX_MS);
        for broker in 0..BROKERS {
            self.nodes[broker].has_room = true;
            self.restart(broker);
            self.with(broker, |node, around, _| node.lapse(false, around));
            for to in 0..BROKERS {
                self.with(broker, |node, around, _| node.set_link(to, true, around));
            }
        }
        for step in 0..HEALING_STEPS {
            self.publishing = step < HEALING_STEPS / 2;
            self.step();
            if !self.publishing && self.is_well() {
                let logs: Vec<&ModelLog> = self.nodes.iter().map(|node| &node.log).collect();
                return self.checker.on_healed(&logs);
            }
        }
        let state: Vec<String> = self.nodes.iter().map(Node::describe).collect();
        panic!("never well again: {state:?}, agreed {:?}", self.controller.current());
    }

    fn is_well(&self) -> bool {
        let end = self.nodes[0].log.end();
        self.controller.current().in_sync.len() == BROKERS
            && self.nodes.iter().all(|node| node.log.end() == end && node.high_watermark == end)
            && self.checker.committed_count() == end
    }

    fn with(&mut self, broker: usize, act: impl FnOnce(&mut Node, &mut Around<'_>, &mut u64)) {
        let Self { random, checker, now, nodes, value, .. } = self;
        let mut around = Around { now: *now, random, checker, out: Outgoing::default() };
        act(&mut nodes[broker], &mut around, value);
        let Outgoing { messages, changes, successor } = around.out;
        if let Some((epoch, to)) = successor
            && !(self.faulty && self.random.chance(20))
        {
            self.controller.step_aside(epoch, &to);
        }
        for (to, message) in messages {
            self.network.push(InFlight { from: broker, to, message });
        }
        self.changes.extend(changes.into_iter().map(|change| (broker, change)));
        while self.faulty && self.network.len() > IN_FLIGHT_MAX {
            let lost = self.random.index(self.network.len());
            self.network.swap_remove(lost);
        }
    }

    /// A message arrives, is lost, or arrives and stays under way.
    fn deliver(&mut self) {
        if self.network.is_empty() {
            return;
        }
        // Most arrive in order.
        let index = if self.random.chance(60) { 0 } else { self.random.index(self.network.len()) };
        let InFlight { from, to, message } = self.network.remove(index);
        if self.faulty && self.random.chance(5) {
            return;
        }
        if self.faulty && self.random.chance(5) {
            self.network.push(InFlight { from, to, message: message.clone() });
        }
        self.with(to, |node, around, _| node.receive(from, &message, around));
    }

    fn apply(&mut self, broker: usize) {
        let Self { random, checker, now, nodes, controller, .. } = self;
        let mut around = Around { now: *now, random, checker, out: Outgoing::default() };
        nodes[broker].apply_next(controller, &mut around);
        let out = around.out;
        self.with(broker, move |_, around, _| around.out = out);
    }

    fn reach_controller(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let index = self.random.index(self.changes.len());
        let (from, change) = self.changes.swap_remove(index);
        if self.faulty && self.random.chance(20) {
            return;
        }
        if self.controller.change_in_sync(&change) == Outcome::Refused {
            self.refusals.push((from, change));
        }
    }

    fn refuse(&mut self) {
        if let Some((to, change)) = self.refusals.pop()
            && !(self.faulty && self.random.chance(20))
        {
            self.with(to, |node, around, _| node.on_refused(&change, around));
        }
    }

    /// A broker that is up and knows of its own registration is let in again.
    fn heartbeat(&mut self, broker: usize) {
        let node = &self.nodes[broker];
        let registered = self.controller.versions.iter().position(|version| {
            let life = version.replicas.iter().find(|life| life.id == broker_id(broker));
            life.is_some_and(|life| life.incarnation == node.incarnation)
        });
        let knows = registered.is_some_and(|index| node.applied > index);
        if node.is_up() && knows && self.controller.fenced[broker] {
            self.controller.unfence(broker, &mut self.random);
        }
    }

    fn crash(&mut self, broker: usize) {
        let is_last = self.controller.current().in_sync == [broker_id(broker)];
        // More than a minority without its disk is more than anybody promises.
        let loses_disk = !is_last && self.nodes[broker].is_up() && self.random.chance(15);
        if self.nodes[broker].is_up() {
            self.nodes[broker].crash(loses_disk, &mut self.random);
            if loses_disk {
                // It is back at once: until it registers, nobody may elect it.
                self.register(broker, false);
            }
        }
    }

    fn restart(&mut self, broker: usize) {
        if !self.nodes[broker].is_up() {
            self.register(broker, true);
        }
    }

    fn register(&mut self, broker: usize, kept_log: bool) {
        let incarnation = self.controller.register(broker, kept_log, &mut self.random);
        let mut around =
            Around { now: self.now, random: &mut self.random, checker: &mut self.checker, out: Outgoing::default() };
        self.nodes[broker].restart(incarnation, &mut around);
    }
}

/// A history that fails shows how it came to that.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps: Vec<&str> = self.trace.lines().collect();
            let last = steps.len().saturating_sub(TOLD_STEPS);
            eprintln!(
                "{}\nagreed: {:#?}",
                steps[last..].join("\n"),
                self.controller.versions.iter().rev().take(4).collect::<Vec<_>>()
            );
        }
    }
}
