//! What is wrong with a partition, by what is agreed about it. Owns the rules and the counting; never who is told.

use liftbridge_metadata_raft::Partition as AgreedPartition;
use liftbridge_types::minimum_in_sync;

use crate::administration::{PartitionCounts, PartitionTrouble};

impl PartitionTrouble {
    /// What is wrong with a partition of a stream that has `wanted` replicas when all is well (0 = as many as there are), and whose
    /// minimum is configured like this. There are fewer replicas where a server was removed and no other can take its place.
    ///
    /// | wanted | replicas | in sync | minimum | under-replicated | at minimum |
    /// |--------|----------|---------|---------|------------------|------------|
    /// | 3      | 3        | 3       | 2       | no               | no         |
    /// | 3      | 3        | 2       | 2       | yes              | yes        |
    /// | 3      | 3        | 1       | 2       | yes              | yes        |
    /// | 3      | 2        | 2       | 2       | yes              | yes        |
    /// | 5      | 5        | 4       | 3       | yes              | no         |
    /// | 1      | 1        | 1       | 1       | no               | no: it never had more |
    /// | 1      | 1        | 1       | 2       | no               | yes: messages under `ALL` are refused |
    pub(crate) fn of(partition: &AgreedPartition, wanted: u32, min_isr: Option<u32>) -> Self {
        let (replica_count, in_sync_count) = (partition.replicas.len(), partition.isr.len());
        let wanted = usize::try_from(wanted).map_or(replica_count, |wanted| wanted.max(replica_count));
        let minimum = minimum_in_sync(replica_count, min_isr);
        let has_none_to_spare = in_sync_count == minimum && wanted > minimum;
        Self {
            is_leaderless: partition.leader.is_none(),
            is_at_minimum: in_sync_count < minimum || has_none_to_spare,
            is_under_replicated: in_sync_count < wanted,
        }
    }

    /// Whether anything is wrong.
    pub(crate) fn is_any(self) -> bool {
        self.is_leaderless || self.is_at_minimum || self.is_under_replicated
    }

    /// The less, the worse.
    pub(crate) fn rank(self) -> u8 {
        match (self.is_leaderless, self.is_at_minimum) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        }
    }
}

impl PartitionCounts {
    /// Counts one partition more.
    pub(crate) fn add(&mut self, partition: &AgreedPartition, trouble: PartitionTrouble) {
        self.partitions += 1;
        self.paused += usize::from(partition.paused);
        self.readonly += usize::from(partition.readonly);
        self.leaderless += usize::from(trouble.is_leaderless);
        self.at_minimum += usize::from(trouble.is_at_minimum);
        self.under_replicated += usize::from(trouble.is_under_replicated);
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_types::{BrokerId, LeaderEpoch, PartitionEpoch};

    use super::*;

    fn partition(replicas: usize, in_sync: usize, led: bool) -> AgreedPartition {
        let ids: Vec<BrokerId> = (0..replicas).map(|n| BrokerId::new(&n.to_string()).unwrap()).collect();
        AgreedPartition {
            leader: led.then(|| ids[0].clone()),
            isr: ids[..in_sync].into(),
            eligible: [].into(),
            replicas: ids.into(),
            leader_epoch: LeaderEpoch::new(1),
            epoch: PartitionEpoch::new(1),
            paused: false,
            readonly: false,
            pause_changes: None,
            readonly_changes: None,
        }
    }

    /// What is wrong, in one word each.
    #[track_caller]
    fn check(replicas: usize, in_sync: usize, min_isr: Option<u32>, expected: &str) {
        check_wanted(u32::try_from(replicas).unwrap(), replicas, in_sync, min_isr, expected);
    }

    #[track_caller]
    fn check_wanted(wanted: u32, replicas: usize, in_sync: usize, min_isr: Option<u32>, expected: &str) {
        let trouble = PartitionTrouble::of(&partition(replicas, in_sync, in_sync > 0), wanted, min_isr);
        let words = [
            trouble.is_leaderless.then_some("leaderless"),
            trouble.is_at_minimum.then_some("minimum"),
            trouble.is_under_replicated.then_some("under"),
        ];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        assert_eq!(words.join(" "), expected, "{in_sync} of {replicas}, minimum {min_isr:?}");
        assert_eq!(trouble.is_any(), !expected.is_empty());
    }

    #[test]
    fn trouble_is_a_lack_of_in_sync_replicas_or_of_a_leader() {
        check(3, 3, None, "");
        check(3, 2, None, "minimum under");
        check(3, 1, None, "minimum under");
        check(3, 0, None, "leaderless minimum under");
        check(5, 4, None, "under");
        check(5, 3, None, "minimum under");
        check(3, 2, Some(1), "under");
        check(3, 3, Some(3), "");
        check(3, 2, Some(3), "minimum under");
    }

    #[test]
    fn a_replica_whose_server_was_removed_is_missed_until_another_has_its_place() {
        check_wanted(3, 2, 2, None, "minimum under");
        check_wanted(5, 4, 4, None, "under");
        check_wanted(1, 1, 1, None, "");
        check_wanted(0, 3, 3, None, "");
    }

    #[test]
    fn a_sole_replica_is_at_its_minimum_only_if_more_are_wanted() {
        check(1, 1, None, "");
        check(1, 1, Some(1), "");
        check(1, 1, Some(2), "minimum");
    }

    #[test]
    fn what_nobody_leads_is_worse_than_what_has_no_replica_to_spare() {
        let rank = |in_sync| PartitionTrouble::of(&partition(5, in_sync, in_sync > 0), 5, None).rank();
        assert!(rank(0) < rank(3) && rank(3) < rank(4));
    }
}
