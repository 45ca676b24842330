//! The brokers of the cluster and how much each keeps. Owns the load counters; never decides what goes where.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::time::Duration;

use liftbridge_types::{BrokerId, BrokerIncarnation};

use crate::command::BrokerLife;
use crate::node_id::RaftId;
use crate::placement::Load;
use crate::state::Partition;

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// The host clients reach it at.
    pub host: String,
    /// The port clients reach it at.
    pub port: u16,
    /// Which of its lives is the current one.
    pub incarnation: BrokerIncarnation,
    /// Whether it is not heard of: it leads nothing.
    pub fenced: bool,
    /// The place it shares its fate with, if that is known.
    pub rack: Option<String>,
    /// The newest feature level it understands.
    pub feature_level: u32,
    /// Fewest in-sync replicas that may commit in partitions it leads, where the stream does not say; `None` = a majority.
    pub in_sync_min: Option<NonZero<u32>>,
    /// How long it trusts an answer to a sign of life; `None` = as long as the controller is configured with.
    pub session_timeout: Option<Duration>,
    /// Raft's number for it; `None` while only software of feature level 1 has registered it.
    pub raft_id: Option<RaftId>,
    /// What it keeps and leads, paused partitions not counted.
    pub load: Load,
}

/// Every broker, by id.
///
/// Invariant: the loads are those of the unpaused partitions of all streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brokers {
    by_id: BTreeMap<BrokerId, Broker>,
}

impl Brokers {
    /// The broker with this id.
    pub fn get(&self, id: &BrokerId) -> Option<&Broker> {
        self.by_id.get(id)
    }

    /// Every broker with its id, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&BrokerId, &Broker)> {
        self.by_id.iter()
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.by_id.len()).unwrap_or(u32::MAX)
    }

    /// The broker with this id in this life.
    pub(crate) fn in_life(&self, life: &BrokerLife) -> Option<&Broker> {
        self.get(&life.id).filter(|broker| broker.incarnation == life.incarnation)
    }

    /// Whether it is agreed on that the broker cannot be in sync in this life: it is fenced, or a later one has begun. Of a life
    /// that is not known here yet nothing is said.
    pub fn is_unfit(&self, life: &BrokerLife) -> bool {
        self.get(&life.id).is_some_and(|broker| match broker.incarnation.cmp(&life.incarnation) {
            Ordering::Greater => true,
            Ordering::Equal => broker.fenced,
            Ordering::Less => false,
        })
    }

    /// Whether the broker is there and heard of.
    pub fn is_serving(&self, id: &BrokerId) -> bool {
        self.get(id).is_some_and(|broker| !broker.fenced)
    }

    /// How many partitions a broker leads.
    pub(crate) fn led_by(&self, id: &BrokerId) -> u32 {
        self.get(id).map_or(0, |broker| broker.load.led)
    }

    pub(crate) fn insert(&mut self, id: BrokerId, broker: Broker) {
        self.by_id.insert(id, broker);
    }

    pub(crate) fn get_mut(&mut self, id: &BrokerId) -> Option<&mut Broker> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn remove(&mut self, id: &BrokerId) -> Option<Broker> {
        self.by_id.remove(id)
    }

    /// Counts a partition that is now open.
    pub(crate) fn count_open(&mut self, partition: &Partition) {
        self.change_load(partition, |count| *count = count.saturating_add(1));
    }

    /// Counts a partition off that is no longer open.
    pub(crate) fn count_closed(&mut self, partition: &Partition) {
        self.change_load(partition, |count| *count = count.saturating_sub(1));
    }

    fn change_load(&mut self, partition: &Partition, change: impl Fn(&mut u32)) {
        for id in partition.replicas.iter() {
            if let Some(broker) = self.by_id.get_mut(id) {
                change(&mut broker.load.hosted);
            }
        }
        if let Some(broker) = partition.leader.as_ref().and_then(|id| self.by_id.get_mut(id)) {
            change(&mut broker.load.led);
        }
    }
}
