//! Rule: every server applies the same changes in the same order, and comes to the same state.

use std::collections::BTreeMap;

use liftbridge_metadata_raft::{Applied, ClusterEvent, ClusterState, LogIndex};

use super::Verdict;

/// What was applied at each index, by whoever applied it first.
#[derive(Debug, Default)]
pub(in crate::simulation::cluster) struct AgreedOrder {
    changes: BTreeMap<u64, String>,
    /// Up to where each server has applied in its present life.
    applied: BTreeMap<u64, LogIndex>,
}

impl AgreedOrder {
    /// A server applied something.
    pub(in crate::simulation::cluster) fn on_applied(&mut self, server: u64, applied: &Applied) -> Verdict {
        let Applied { index, events } = applied;
        let before = self.applied.insert(server, *index).unwrap_or_default();
        let is_replaced = *events == [ClusterEvent::Replaced];
        // A state that was sent whole may have to be stored twice on a full disk.
        if *index < before || (*index == before && !is_replaced) {
            return Err(format!("server {server} applies {index} after {before}"));
        }
        if is_replaced {
            return Ok(());
        }
        let shown = format!("{events:?}");
        let first = self.changes.entry(index.get()).or_insert_with(|| shown.clone());
        if *first == shown {
            return Ok(());
        }
        Err(format!("server {server} applies {shown} at {index}, where another one applied {first}"))
    }

    /// A server's life is over.
    pub(in crate::simulation::cluster) fn forget(&mut self, server: u64) {
        self.applied.remove(&server);
    }

    /// Two servers have applied the same.
    pub(in crate::simulation::cluster) fn check_states(
        one: (u64, &ClusterState),
        other: (u64, &ClusterState),
    ) -> Verdict {
        if one.1 == other.1 {
            return Ok(());
        }
        Err(format!("servers {} and {} applied the same and differ: {:?} and {:?}", one.0, other.0, one.1, other.1))
    }
}
