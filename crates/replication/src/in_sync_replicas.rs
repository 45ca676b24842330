//! Which replicas decide and how far each is. Owns the agreed set, the sets that are proposed and the followers' progress;
//! never what follows from them.

use std::collections::BTreeSet;
use std::time::Duration;

use liftbridge_types::{BrokerId, BrokerIncarnation, Offset, PartitionEpoch};

use crate::assignment::{Assignment, BrokerLife};
use crate::follower_progress::FollowerProgress;
use crate::high_watermark::{DurableEnds, committed_end};

/// Sets the controller was asked for and that may yet be agreed on: all follow the same version of the partition, so at most one
/// of them ever is.
#[derive(Debug)]
pub(crate) struct Proposed {
    /// Everybody in any of them.
    union: Vec<BrokerId>,
    /// How many were asked for and not refused.
    unanswered: u32,
    /// When to ask again.
    pub(crate) retry_at: Duration,
}

/// The replicas of a partition as its leader sees them.
///
/// Invariant: a replica's durable end never goes back within one leadership and one life of it; a late report changes nothing.
#[derive(Debug)]
pub(crate) struct InSyncReplicas {
    me: BrokerLife,
    durable_end: Offset,
    assignment: Assignment,
    proposed: Option<Proposed>,
    followers: Vec<FollowerProgress>,
    /// Who can be reached. Whoever is to follow later may be reachable before.
    linked: BTreeSet<BrokerId>,
}

impl InSyncReplicas {
    /// The assigned replicas, of which only `me` has reported.
    pub(crate) fn new(me: BrokerLife, assignment: Assignment, durable_end: Offset, elapsed: Duration) -> Self {
        let mut replicas =
            Self { me, durable_end, assignment, proposed: None, followers: Vec::new(), linked: BTreeSet::new() };
        replicas.adopt_followers(elapsed);
        replicas
    }

    /// What was agreed.
    pub(crate) fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// This broker.
    pub(crate) fn me(&self) -> &BrokerLife {
        &self.me
    }

    /// The other replicas.
    pub(crate) fn followers(&self) -> &[FollowerProgress] {
        &self.followers
    }

    /// The other replicas.
    pub(crate) fn followers_mut(&mut self) -> &mut [FollowerProgress] {
        &mut self.followers
    }

    /// The follower with this id. A broker that does not keep the partition is none.
    pub(crate) fn follower_mut(&mut self, id: &BrokerId) -> Option<&mut FollowerProgress> {
        self.followers.iter_mut().find(|follower| follower.id == *id)
    }

    /// The end of what this replica itself has on stable storage.
    pub(crate) fn own_durable_end(&self) -> Offset {
        self.durable_end
    }

    /// The link to a broker opened or closed, whether or not it keeps the partition.
    pub(crate) fn set_link(&mut self, to: &BrokerId, up: bool, log_end: Offset, elapsed: Duration) {
        if up {
            self.linked.insert(to.clone());
        } else {
            self.linked.remove(to);
        }
        if let Some(follower) = self.follower_mut(to) {
            follower.on_link(up, log_end, elapsed);
        }
    }

    /// How far this replica itself is.
    pub(crate) fn report_own(&mut self, end: Offset) {
        self.durable_end = self.durable_end.max(end);
    }

    /// Another version of the partition is agreed on, under the same leader; says whether it is news. What was proposed against
    /// the version before can never be agreed on any more.
    pub(crate) fn agree(&mut self, assignment: Assignment, elapsed: Duration) -> bool {
        if assignment.epoch < self.assignment.epoch || assignment.leader_epoch != self.assignment.leader_epoch {
            return false;
        }
        if assignment.epoch > self.assignment.epoch {
            self.proposed = None;
        }
        let in_sync_min = self.assignment.in_sync_min;
        self.assignment = Assignment { in_sync_min, ..assignment };
        self.adopt_followers(elapsed);
        true
    }

    /// Sets that may yet be agreed on.
    pub(crate) fn proposed(&self) -> Option<&Proposed> {
        self.proposed.as_ref()
    }

    /// A set is asked for.
    pub(crate) fn propose(&mut self, in_sync: &[BrokerLife], retry_at: Duration) {
        let proposed = self.proposed.get_or_insert(Proposed { union: Vec::new(), unanswered: 0, retry_at });
        proposed.unanswered = proposed.unanswered.saturating_add(1);
        proposed.retry_at = retry_at;
        for life in in_sync {
            if !proposed.union.contains(&life.id) {
                proposed.union.push(life.id.clone());
            }
        }
    }

    /// A set that was asked for is certain not to come. Others, unanswered, may. Asking again waits all the same: what refused it
    /// may last.
    pub(crate) fn refuse(&mut self, epoch: PartitionEpoch) {
        if epoch == self.assignment.epoch
            && let Some(proposed) = &mut self.proposed
        {
            proposed.unanswered = proposed.unanswered.saturating_sub(1);
            if proposed.unanswered == 0 {
                proposed.union.clear();
            }
        }
    }

    /// Everybody in a change that is asked for and not answered.
    pub(crate) fn proposed_ids(&self) -> &[BrokerId] {
        self.proposed.as_ref().map_or(&[][..], |proposed| &proposed.union)
    }

    /// Whether a change that is asked for, and not answered, has `id` in it.
    pub(crate) fn is_proposed(&self, id: &BrokerId) -> bool {
        self.proposed_ids().contains(id)
    }

    /// The end of what all who decide have; `None` while that is not known or they are too few.
    pub(crate) fn committed_end(&self) -> Option<Offset> {
        committed_end(&self.assignment.in_sync, self.proposed_ids(), self.assignment.minimum_to_commit(), self)
    }

    /// The life in which `id` would be an in-sync replica: the one its progress is known of, or the one that is agreed on.
    pub(crate) fn life_of(&self, id: &BrokerId) -> BrokerLife {
        let registered = self.assignment.replicas.iter().find(|life| life.id == *id);
        let agreed = registered.map_or(BrokerIncarnation::default(), |life| life.incarnation);
        let heard = self.followers.iter().find(|follower| follower.id == *id).and_then(|found| found.incarnation());
        BrokerLife { id: id.clone(), incarnation: heard.unwrap_or(agreed) }
    }

    fn adopt_followers(&mut self, elapsed: Duration) {
        let mut known = std::mem::take(&mut self.followers);
        let others = self.assignment.replicas.iter().filter(|life| life.id != self.me.id);
        self.followers = others
            .map(|life| match known.iter().position(|follower| follower.id == life.id) {
                Some(index) => known.swap_remove(index),
                None => FollowerProgress::new(life.id.clone(), self.linked.contains(&life.id), elapsed),
            })
            .collect();
    }
}

impl DurableEnds for InSyncReplicas {
    fn durable_end(&self, replica: &BrokerId) -> Option<Offset> {
        if *replica == self.me.id {
            return Some(self.durable_end);
        }
        self.followers.iter().find(|follower| follower.id == *replica).and_then(FollowerProgress::durable_end)
    }
}
