//! What the cluster has agreed on about a partition. Owns what follows from it for one broker; never how it was
//! agreed.

use liftbridge_types::{BrokerId, BrokerIncarnation, LeaderEpoch, PartitionEpoch, minimum_in_sync};

/// One life of a broker: of its process, not of its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerLife {
    /// The broker.
    pub id: BrokerId,
    /// Which of its lives.
    pub incarnation: BrokerIncarnation,
}

/// What the cluster has agreed on about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Who leads; `None` while nobody can.
    pub leader: Option<BrokerId>,
    /// Which leadership this is. Index of the decision in the metadata log.
    pub leader_epoch: LeaderEpoch,
    /// Which version of all this it is. Grows with every change, whoever leads.
    pub epoch: PartitionEpoch,
    /// The brokers that keep the partition, in the lives they are known to be in. The first is preferred as leader.
    pub replicas: Vec<BrokerLife>,
    /// Those of them whose durable ends decide what is committed.
    pub in_sync: Vec<BrokerId>,
    /// The others that have everything committed: they were in sync when it became certain that no more would be committed
    /// without them (eligible leader replicas, Kafka KIP-966). They may lead, and nobody waits for them.
    pub eligible: Vec<BrokerId>,
    /// Fewest in-sync replicas that may commit; `None` = a majority of the replicas.
    pub in_sync_min: Option<u32>,
}

/// What a broker has to do about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Take publishes, and bring the others up to date.
    Leader,
    /// Do as the leader says.
    Follower {
        /// Who that is.
        leader: BrokerId,
    },
    /// Keep what there is, and wait until somebody leads.
    Waiting,
}

impl Assignment {
    /// A partition that only `replica` keeps.
    pub fn sole(replica: BrokerId, leader_epoch: LeaderEpoch) -> Self {
        Self {
            leader: Some(replica.clone()),
            leader_epoch,
            epoch: PartitionEpoch::new(leader_epoch.get()),
            replicas: vec![BrokerLife { id: replica.clone(), incarnation: BrokerIncarnation::default() }],
            in_sync: vec![replica],
            eligible: Vec::new(),
            in_sync_min: None,
        }
    }

    /// What `me` has to do.
    ///
    /// A broker leads only in a leadership that was decided on in its present life; both numbers are indexes of the metadata
    /// log. Worked example of why: A leads in epoch 7 and appends x at offset 3, not yet synced; B has it already. A's machine
    /// loses its power and is back before anybody noticed. If A went on in epoch 7, it would put y at offset 3, and nobody
    /// could tell B's x from A's y: same epoch, same offset. A waits; the cluster hears of its new life, and whoever leads next
    /// has another epoch. A sole replica has nobody to differ from.
    pub fn role_of(&self, me: &BrokerLife) -> Role {
        if !self.replicas.iter().any(|life| life.id == me.id) {
            // Others keep it from now on.
            return Role::Waiting;
        }
        match &self.leader {
            Some(leader) if *leader != me.id => Role::Follower { leader: leader.clone() },
            Some(_) if self.replicas.len() == 1 || self.leader_epoch.get() > me.incarnation.get() => Role::Leader,
            Some(_) | None => Role::Waiting,
        }
    }

    /// Whether `id` is one of the in-sync replicas.
    pub fn is_in_sync(&self, id: &BrokerId) -> bool {
        self.in_sync.contains(id)
    }

    /// Fewest in-sync replicas under which a publisher may be promised `ALL`.
    pub fn minimum_for_all(&self) -> usize {
        minimum_in_sync(self.replicas.len(), self.in_sync_min)
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

    fn life(name: &str, incarnation: u64) -> BrokerLife {
        BrokerLife { id: BrokerId::new(name).unwrap(), incarnation: BrokerIncarnation::new(incarnation) }
    }

    fn of(count: usize, in_sync_min: Option<u32>) -> Assignment {
        let replicas: Vec<BrokerLife> = (0..count).map(|n| life(&n.to_string(), 1)).collect();
        Assignment {
            leader: Some(BrokerId::new("0").unwrap()),
            leader_epoch: LeaderEpoch::new(5),
            epoch: PartitionEpoch::new(5),
            in_sync: replicas.iter().map(|replica| replica.id.clone()).collect(),
            eligible: Vec::new(),
            replicas,
            in_sync_min,
        }
    }

    #[track_caller]
    fn check(replicas: usize, in_sync_min: Option<u32>, for_all: usize, to_commit: usize) {
        let assignment = of(replicas, in_sync_min);
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

    #[test]
    fn nobody_leads_in_a_leadership_of_an_earlier_life() {
        assert_eq!(of(3, None).role_of(&life("0", 4)), Role::Leader);
        assert_eq!(of(3, None).role_of(&life("0", 5)), Role::Waiting);
        assert_eq!(of(3, None).role_of(&life("0", 6)), Role::Waiting);
        assert_eq!(of(1, None).role_of(&life("0", 6)), Role::Leader, "a sole replica has nobody to differ from");
        assert_eq!(of(3, None).role_of(&life("1", 9)), Role::Follower { leader: BrokerId::new("0").unwrap() });
        assert_eq!(of(3, None).role_of(&life("3", 4)), Role::Waiting, "it does not keep the partition");
        assert_eq!(Assignment { leader: None, ..of(3, None) }.role_of(&life("1", 9)), Role::Waiting);
    }
}
