//! Rule: what was acknowledged under `ALL` is never lost, never changed, never elsewhere, whoever leads.

use std::collections::BTreeMap;

use liftbridge_types::{LeaderEpoch, Offset};

use super::{Contents, Kept, Verdict, check_kept};
use crate::simulation::cluster::words::PartitionKey;

/// Everything acknowledged under `ALL` so far.
#[derive(Debug, Default)]
pub(in crate::simulation::cluster) struct AckedMessages {
    partitions: BTreeMap<PartitionKey, Kept>,
    count: usize,
}

impl AckedMessages {
    /// A publisher was told.
    pub(in crate::simulation::cluster) fn on_ack(
        &mut self,
        partition: PartitionKey,
        epoch: LeaderEpoch,
        offset: Offset,
        value: &[u8],
    ) -> Verdict {
        self.count += 1;
        let before = self.partitions.entry(partition).or_default().insert(offset, (epoch, value.to_vec()));
        match before {
            None => Ok(()),
            Some((epoch, _)) => {
                Err(format!("offset {offset} of {partition} was acknowledged before, in epoch {epoch}"))
            }
        }
    }

    /// A server takes the lead in epoch `before`, or, without one, all is over: its log has to have everything.
    pub(in crate::simulation::cluster) fn check(
        &self,
        partition: PartitionKey,
        contents: &Contents,
        before: Option<LeaderEpoch>,
    ) -> Verdict {
        let Some(kept) = self.partitions.get(&partition) else { return Ok(()) };
        check_kept(kept, contents, before, &format!("of {partition}, acknowledged under ALL"))
    }

    /// How many there were.
    pub(in crate::simulation::cluster) fn count(&self) -> usize {
        self.count
    }
}
