//! The controller as the metadata state machine will be: one partition, compare-and-set, fencing, elections. It never fails
//! here; how it agrees with itself is raft's matter.

use liftbridge_replication::{Assignment, BrokerLife, InSyncChange};
use liftbridge_types::{BrokerId, BrokerIncarnation, LeaderEpoch, PartitionEpoch};

use crate::random::Random;

#[derive(Debug)]
pub(crate) struct Controller {
    /// Index of the last decision.
    index: u64,
    pub(crate) fenced: Vec<bool>,
    /// Every version of the partition, the first one first.
    pub(crate) versions: Vec<Assignment>,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Agreed,
    /// It follows another version than there is: perhaps because it was agreed on before.
    Stale,
    /// It was not agreed on.
    Refused,
}

impl Controller {
    pub(crate) fn new(brokers: usize) -> Self {
        let ids: Vec<BrokerId> = (0..brokers).map(broker_id).collect();
        let lives = ids.iter().map(|id| BrokerLife { id: id.clone(), incarnation: BrokerIncarnation::new(1) });
        let first = Assignment {
            leader: Some(broker_id(0)),
            leader_epoch: LeaderEpoch::new(2),
            epoch: PartitionEpoch::new(2),
            replicas: lives.collect(),
            in_sync: ids,
            eligible: Vec::new(),
            in_sync_min: None,
        };
        Self { index: 2, fenced: vec![false; brokers], versions: vec![first] }
    }

    pub(crate) fn current(&self) -> &Assignment {
        self.versions.last().expect("there is a first one")
    }

    /// A broker starts, with its data or without.
    pub(crate) fn register(&mut self, broker: usize, kept_log: bool, random: &mut Random) -> BrokerIncarnation {
        self.index += 1;
        let incarnation = BrokerIncarnation::new(self.index);
        self.fenced[broker] = true;
        let id = broker_id(broker);
        let mut next = self.current().clone();
        if let Some(life) = next.replicas.iter_mut().find(|life| life.id == id) {
            life.incarnation = incarnation;
        }
        assert!(kept_log || next.in_sync != [id.clone()], "the last copy is never thrown away here");
        self.leave(&mut next, &id);
        self.decide(next, random, true);
        incarnation
    }

    pub(crate) fn fence(&mut self, broker: usize, random: &mut Random) {
        self.fenced[broker] = true;
        let mut next = self.current().clone();
        self.leave(&mut next, &broker_id(broker));
        self.decide(next, random, false);
    }

    pub(crate) fn unfence(&mut self, broker: usize, random: &mut Random) {
        self.fenced[broker] = false;
        let next = self.current().clone();
        self.decide(next, random, false);
    }

    /// Another in-sync replica leads from now on, if there is one.
    pub(crate) fn move_leader(&mut self, random: &mut Random) {
        let mut next = self.current().clone();
        let before = next.leader.take();
        if let Some(to) = self.electable(&next, before.as_ref(), random) {
            next.leader = Some(to);
            self.install(next);
        }
    }

    /// A leader without room wants another one to lead, and not to be in sync meanwhile.
    pub(crate) fn step_aside(&mut self, epoch: PartitionEpoch, to: &BrokerId) {
        let mut next = self.current().clone();
        let is_serving = (0..self.fenced.len()).any(|broker| broker_id(broker) == *to && !self.fenced[broker]);
        if next.epoch != epoch || !next.is_in_sync(to) || !is_serving {
            return;
        }
        let former = next.leader.replace(to.clone());
        next.in_sync.retain(|id| Some(id) != former.as_ref());
        self.install(next);
    }

    pub(crate) fn change_in_sync(&mut self, change: &InSyncChange) -> Outcome {
        let current = self.current();
        if (change.leader_epoch, change.epoch) != (current.leader_epoch, current.epoch) {
            return Outcome::Stale;
        }
        let is_possible = |life: &BrokerLife| {
            let is_fenced = (0..self.fenced.len()).any(|broker| broker_id(broker) == life.id && self.fenced[broker]);
            current.replicas.contains(life) && !is_fenced
        };
        if !change.in_sync.iter().all(is_possible) {
            return Outcome::Refused;
        }
        let mut next = current.clone();
        next.in_sync = change.in_sync.iter().map(|life| life.id.clone()).collect();
        self.install(next);
        Outcome::Agreed
    }

    fn leave(&self, next: &mut Assignment, id: &BrokerId) {
        if next.in_sync.len() > 1 {
            next.in_sync.retain(|other| other != id);
        }
        if next.leader.as_ref() == Some(id) {
            next.leader = None;
        }
    }

    fn decide(&mut self, mut next: Assignment, random: &mut Random, always: bool) {
        if next.leader.is_none() {
            next.leader = self.electable(&next, None, random);
        }
        if always || next != *self.current() {
            self.install(next);
        }
    }

    fn electable(&self, next: &Assignment, not: Option<&BrokerId>, random: &mut Random) -> Option<BrokerId> {
        let live = (0..self.fenced.len()).filter(|broker| !self.fenced[*broker]).map(broker_id);
        let candidates: Vec<BrokerId> = live.filter(|id| next.is_in_sync(id) && Some(id) != not).collect();
        if candidates.is_empty() { None } else { Some(candidates[random.index(candidates.len())].clone()) }
    }

    fn install(&mut self, mut next: Assignment) {
        self.index += 1;
        next.epoch = PartitionEpoch::new(self.index);
        if next.leader != self.current().leader {
            next.leader_epoch = LeaderEpoch::new(self.index);
        }
        self.versions.push(next);
    }
}

pub(crate) fn broker_id(broker: usize) -> BrokerId {
    BrokerId::new(&format!("n{broker}")).expect("a legal name")
}
