//! The brokers of the cluster and how much each keeps. Owns the load counters; never decides what goes where.

use std::collections::BTreeMap;

use liftbridge_types::{BrokerId, BrokerIncarnation};

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

    /// Adds a broker, or renews one that is known; its load stays.
    pub(crate) fn register(&mut self, id: BrokerId, host: String, port: u16, incarnation: BrokerIncarnation) {
        let load = self.by_id.get(&id).map_or_else(Load::default, |broker| broker.load);
        self.by_id.insert(id, Broker { host, port, incarnation, load });
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
