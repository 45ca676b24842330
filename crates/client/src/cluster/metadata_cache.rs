//! What the client remembers of the cluster between calls. Owns nothing that a broker could not tell again; never asks one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use liftbridge_types::PartitionId;
use parking_lot::RwLock;

use crate::cluster::{Address, BrokerInfo, ClusterMetadata, PartitionInfo, StreamInfo};
use crate::error::{PartitionName, RouteError};

/// Streams remembered before all are forgotten; a client that uses more asks more often.
const STREAMS_MAX: usize = 10_000;

/// Brokers, and the streams this client has used.
#[derive(Debug)]
pub(crate) struct MetadataCache {
    seeds: Vec<Address>,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Ordered, so that a position among the addresses keeps its meaning.
    brokers: BTreeMap<String, Address>,
    streams: HashMap<String, Arc<StreamInfo>>,
}

impl MetadataCache {
    pub(crate) fn new(seeds: Vec<Address>) -> Self {
        Self { seeds, known: RwLock::default() }
    }

    /// Takes over an answer to a question about `asked`; those of them that are not in it do not exist. `source` is who
    /// answered.
    pub(crate) fn update(&self, metadata: &ClusterMetadata, asked: &[String], source: &Address) {
        let address = |broker: &BrokerInfo| Address::new(&broker.host, broker.port).or_host_of(source);
        let mut known = self.known.write();
        // An answer without brokers would cut the client off from the cluster for good.
        if !metadata.brokers.is_empty() {
            known.brokers = metadata.brokers.iter().map(|broker| (broker.id.clone(), address(broker))).collect();
        }
        for name in asked {
            known.streams.remove(name);
        }
        if known.streams.len() + metadata.streams.len() > STREAMS_MAX {
            known.streams.clear();
        }
        for stream in metadata.streams.iter().take(STREAMS_MAX) {
            known.streams.insert(stream.name.clone(), Arc::new(stream.clone()));
        }
    }

    /// Forgets who leads what, because a broker does not answer any more.
    pub(crate) fn forget_streams(&self) {
        self.known.write().streams.clear();
    }

    /// What is remembered of a stream.
    pub(crate) fn stream(&self, name: &str) -> Option<Arc<StreamInfo>> {
        self.known.read().streams.get(name).cloned()
    }

    /// Every address that may answer: the brokers', then those the client was started with.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let known = self.known.read();
        let mut addresses: Vec<_> = known.brokers.values().cloned().collect();
        addresses.extend(self.seeds.iter().filter(|seed| !known.brokers.values().any(|a| a == *seed)).cloned());
        addresses
    }

    /// Where the leader of a partition is reached.
    pub(crate) fn leader(&self, stream: &str, partition: PartitionId) -> Result<Address, RouteError> {
        self.address_of(stream, partition, |info| info.leader.as_slice())
    }

    /// Where any in-sync replica of a partition is reached.
    pub(crate) fn in_sync_replica(&self, stream: &str, partition: PartitionId) -> Result<Address, RouteError> {
        self.address_of(stream, partition, |info| &info.isr)
    }

    fn address_of(
        &self,
        stream: &str,
        partition: PartitionId,
        candidates: impl Fn(&PartitionInfo) -> &[String],
    ) -> Result<Address, RouteError> {
        let known = self.known.read();
        let info = known.streams.get(stream).ok_or_else(|| RouteError::UnknownStream { stream: stream.to_owned() })?;
        let info = info
            .partition(partition)
            .ok_or_else(|| RouteError::UnknownPartition(PartitionName::new(stream, partition)))?;
        let reachable: Vec<_> = candidates(info).iter().filter_map(|id| known.brokers.get(id)).collect();
        if reachable.is_empty() {
            return Err(RouteError::NoLeader(PartitionName::new(stream, partition)));
        }
        Ok(reachable[rand::random_range(0..reachable.len())].clone())
    }
}
