//! What the cluster has agreed on about a partition. Owns the rule for the default minimum; never how it was agreed.

use liftbridge_types::{BrokerId, LeaderEpoch};

/// What the cluster has agreed on about a partition, as far as its leader needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Which leadership this is.
    pub leader_epoch: LeaderEpoch,
    /// The brokers that keep the partition.
    pub replicas: Vec<BrokerId>,
    /// Those of them whose durable ends decide what is committed.
    pub in_sync: Vec<BrokerId>,
    /// Fewest in-sync replicas that may commit; `None` = a majority of the replicas.
    pub in_sync_min: Option<u32>,
}

impl Assignment {
    /// A partition that only `replica` keeps.
    pub fn sole(replica: BrokerId, leader_epoch: LeaderEpoch) -> Self {
        Self { leader_epoch, replicas: vec![replica.clone()], in_sync: vec![replica], in_sync_min: None }
    }

    /// Fewest in-sync replicas under which a publisher may be promised `ALL`.
    ///
    /// Unset it is a majority, because one disk less than that can lose what was acknowledged.
    pub fn minimum_for_all(&self) -> usize {
        let majority = self.replicas.len() / 2 + 1;
        self.in_sync_min.map_or(majority, |minimum| usize::try_from(minimum).unwrap_or(usize::MAX).max(1))
    }

    /// Fewest in-sync replicas under which the high watermark moves.
    ///
    /// A sole replica commits alone, whatever the minimum says: there is nobody to wait for, and subscribers of such a
    /// partition would never see a record (behaviour spec, section 2.8, single-replica path).
    pub fn minimum_to_commit(&self) -> usize {
        if self.replicas.len() == 1 { 1 } else { self.minimum_for_all() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(replicas: usize, in_sync_min: Option<u32>, for_all: usize, to_commit: usize) {
        let replicas: Vec<BrokerId> = (0..replicas).map(|n| BrokerId::new(&n.to_string()).unwrap()).collect();
        let in_sync = replicas.clone();
        let assignment = Assignment { leader_epoch: LeaderEpoch::new(1), replicas, in_sync, in_sync_min };
        assert_eq!((assignment.minimum_for_all(), assignment.minimum_to_commit()), (for_all, to_commit));
    }

    #[test]
    fn the_minimum_is_a_majority_unless_set_and_a_sole_replica_commits_alone() {
        check(1, None, 1, 1);
        check(2, None, 2, 2);
        check(3, None, 2, 2);
        check(5, None, 3, 3);
        check(3, Some(1), 1, 1);
        check(3, Some(3), 3, 3);
        check(3, Some(0), 1, 1);
        check(1, Some(2), 2, 1);
    }
}
