//! Rule: below the high watermark all replicas hold the same, for good.

use std::collections::BTreeMap;

use liftbridge_types::Offset;

use super::Verdict;
use crate::simulation::cluster::words::PartitionKey;

/// Everything that was ever shown as committed, by whoever showed it first.
#[derive(Debug, Default)]
pub(in crate::simulation::cluster) struct Replicas {
    partitions: BTreeMap<PartitionKey, BTreeMap<Offset, (u64, Vec<u8>)>>,
}

impl Replicas {
    /// A server shows this record as committed.
    pub(in crate::simulation::cluster) fn on_committed(
        &mut self,
        partition: PartitionKey,
        server: u64,
        offset: Offset,
        value: &[u8],
    ) -> Verdict {
        let committed = self.partitions.entry(partition).or_default();
        let (first, known) = committed.entry(offset).or_insert_with(|| (server, value.to_vec()));
        if known == value {
            return Ok(());
        }
        Err(format!("offset {offset} of {partition} is committed on server {server} and differs from server {first}"))
    }
}
