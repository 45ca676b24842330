//! Which replicas decide and how far each is. Owns the two sets and the reported ends; never what follows from them.

use liftbridge_types::{BrokerId, Offset};

use crate::assignment::Assignment;
use crate::high_watermark::{DurableEnds, committed_end};

/// The replicas of a partition as its leader sees them.
///
/// Invariant: a durable end never goes back within one leadership; a late report changes nothing.
#[derive(Debug)]
pub(crate) struct InSyncReplicas {
    assignment: Assignment,
    /// The set the controller was asked for; empty while nothing is in flight.
    proposed: Vec<BrokerId>,
    /// What each replica reported, in the order of the assignment's replicas.
    ends: Vec<Option<Offset>>,
}

impl InSyncReplicas {
    /// The assigned replicas, none of which has reported.
    pub(crate) fn new(assignment: Assignment) -> Self {
        let ends = vec![None; assignment.replicas.len()];
        Self { assignment, proposed: Vec::new(), ends }
    }

    /// What was agreed.
    pub(crate) fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Remembers how far `replica` is. One that does not keep the partition is not believed.
    pub(crate) fn report(&mut self, replica: &BrokerId, end: Offset) {
        if let Some(index) = self.index(replica) {
            let known = &mut self.ends[index];
            *known = Some(known.map_or(end, |before| before.max(end)));
        }
    }

    /// Another minimum applies.
    pub(crate) fn set_minimum(&mut self, in_sync_min: Option<u32>) {
        self.assignment.in_sync_min = in_sync_min;
    }

    /// A change of the set is in flight.
    pub(crate) fn propose(&mut self, in_sync: Vec<BrokerId>) {
        self.proposed = in_sync;
    }

    /// The set is agreed; nothing is in flight.
    pub(crate) fn agree(&mut self, in_sync: Vec<BrokerId>) {
        self.assignment.in_sync = in_sync;
        self.proposed.clear();
    }

    /// The end of what all who decide have; `None` while that is not known or they are too few.
    pub(crate) fn committed_end(&self) -> Option<Offset> {
        committed_end(&self.assignment.in_sync, &self.proposed, self.assignment.minimum_to_commit(), self)
    }

    fn index(&self, replica: &BrokerId) -> Option<usize> {
        self.assignment.replicas.iter().position(|known| known == replica)
    }
}

impl DurableEnds for InSyncReplicas {
    fn durable_end(&self, replica: &BrokerId) -> Option<Offset> {
        self.index(replica).and_then(|index| self.ends[index])
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_types::LeaderEpoch;

    use super::*;

    fn broker(name: &str) -> BrokerId {
        BrokerId::new(name).unwrap()
    }

    fn two_replicas() -> InSyncReplicas {
        let replicas = vec![broker("a"), broker("b")];
        let in_sync = replicas.clone();
        InSyncReplicas::new(Assignment { leader_epoch: LeaderEpoch::new(1), replicas, in_sync, in_sync_min: Some(1) })
    }

    #[test]
    fn a_late_report_takes_nothing_back() {
        let mut replicas = two_replicas();
        replicas.report(&broker("a"), Offset::new(9));
        replicas.report(&broker("b"), Offset::new(7));
        replicas.report(&broker("b"), Offset::new(5));
        assert_eq!(replicas.committed_end(), Some(Offset::new(7)));
    }

    #[test]
    fn strangers_are_not_believed() {
        let mut replicas = two_replicas();
        replicas.report(&broker("a"), Offset::new(9));
        replicas.report(&broker("stranger"), Offset::new(9));
        assert_eq!(replicas.committed_end(), None);
    }

    #[test]
    fn a_replica_stops_counting_when_its_removal_is_agreed_not_when_it_is_proposed() {
        let mut replicas = two_replicas();
        replicas.report(&broker("a"), Offset::new(9));
        replicas.report(&broker("b"), Offset::new(2));
        replicas.propose(vec![broker("a")]);
        assert_eq!(replicas.committed_end(), Some(Offset::new(2)));
        replicas.agree(vec![broker("a")]);
        assert_eq!(replicas.committed_end(), Some(Offset::new(9)));
    }
}
