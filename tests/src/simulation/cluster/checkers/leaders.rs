//! Rule: in one leader epoch of a partition one server leads, in one of its lives.

use std::collections::BTreeMap;

use liftbridge_types::{BrokerIncarnation, LeaderEpoch};

use super::Verdict;
use crate::simulation::cluster::words::{Leadership, PartitionKey};

/// Who has led what.
#[derive(Debug, Default)]
pub(in crate::simulation::cluster) struct Leaders {
    leaders: BTreeMap<(PartitionKey, LeaderEpoch), (u64, BrokerIncarnation)>,
}

impl Leaders {
    /// A server takes the lead.
    pub(in crate::simulation::cluster) fn on_leads(
        &mut self,
        partition: PartitionKey,
        leadership: Leadership,
    ) -> Verdict {
        let Leadership { epoch, server, incarnation } = leadership;
        match self.leaders.insert((partition, epoch), (server, incarnation)) {
            Some(before) if before != (server, incarnation) => Err(format!(
                "server {server} in life {incarnation} leads {partition} in epoch {epoch}, and so did server {} in life {}",
                before.0, before.1
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// How many leaderships there were.
    pub(in crate::simulation::cluster) fn count(&self) -> usize {
        self.leaders.len()
    }
}
