//! Rule: nothing a consumer has read disappears or changes.

use std::collections::BTreeMap;

use liftbridge_types::{LeaderEpoch, Offset};

use super::{Contents, Kept, Verdict, check_kept};
use crate::simulation::cluster::words::PartitionKey;

/// Everything that was read so far.
#[derive(Debug, Default)]
pub(in crate::simulation::cluster) struct ReadMessages {
    partitions: BTreeMap<PartitionKey, Kept>,
}

impl ReadMessages {
    /// Somebody read this from a server that knows of leadership `epoch`.
    pub(in crate::simulation::cluster) fn on_read(
        &mut self,
        partition: PartitionKey,
        epoch: LeaderEpoch,
        offset: Offset,
        value: &[u8],
    ) -> Verdict {
        let seen = self.partitions.entry(partition).or_default();
        let (first, before) = seen.entry(offset).or_insert_with(|| (epoch, value.to_vec()));
        *first = (*first).min(epoch);
        if before == value { Ok(()) } else { Err(format!("offset {offset} of {partition} is read twice and differs")) }
    }

    /// A server takes the lead in epoch `before`, or, without one, all is over: its log has to have everything.
    pub(in crate::simulation::cluster) fn check(
        &self,
        partition: PartitionKey,
        contents: &Contents,
        before: Option<LeaderEpoch>,
    ) -> Verdict {
        let Some(kept) = self.partitions.get(&partition) else { return Ok(()) };
        check_kept(kept, contents, before, &format!("of {partition}, read by a consumer"))
    }
}
