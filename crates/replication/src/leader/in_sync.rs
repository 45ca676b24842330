//! The leader's part in who is in sync. Owns when it asks the controller for another set; the controller decides.
//!
//! - A replica that has not been abreast for longer than the lag allowed goes: who waits for `ALL` waits for it no longer.
//! - A replica comes in once it has everything before the high watermark and before the offset at which this leadership
//!   began. The second because a new leader may know of a lower high watermark than its predecessor had reached: what was
//!   committed by then lies below the log end the new leader began with, and nowhere else for certain (Kafka, KAFKA-7128).
//! - It comes in under the life it was heard in, so that a broker that has come back without its data meanwhile is refused
//!   (KIP-903).
//! - Who said that it cannot read all it had is named, so that it does not count as eligible to lead either.
//! - While a change is asked for and not answered, old and new set both decide what is committed: either may elect the next
//!   leader. An answer that never comes is asked for again, perhaps with another set: all follow the same version of the
//!   partition, so at most one of them is ever agreed on, and the next version ends the doubt (KIP-497).

use std::time::Duration;

use liftbridge_types::{BrokerId, Timestamp};

use super::Leader;
use crate::assignment::{Assignment, BrokerLife};
use crate::effect::{Effect, InSyncChange};

/// How long the controller's answer is waited for before it is asked again.
const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(1);

impl Leader {
    /// The controller agreed on another version of the partition, under this same leadership.
    pub(super) fn on_assigned(&mut self, now: Timestamp, assignment: Assignment, effects: &mut Vec<Effect>) {
        if !self.replicas.agree(assignment, self.elapsed) {
            return;
        }
        self.maybe_commit(now, effects);
        self.maybe_propose_in_sync(effects);
    }

    /// Asks for another set if the agreed one is not what it should be, or one asked for is not answered.
    pub(super) fn maybe_propose_in_sync(&mut self, effects: &mut Vec<Effect>) {
        if self.replicas.followers().is_empty() || !self.leading || !self.is_sure() {
            return;
        }
        let (in_sync, damaged) = (self.wanted_in_sync(), self.damaged());
        match self.replicas.proposed() {
            Some(proposed) if self.elapsed < proposed.retry_at => return,
            // Even the agreed set: it makes a new version, which no earlier proposal follows.
            Some(_) => {}
            None if self.is_agreed(&in_sync, &damaged) => return,
            None => {}
        }
        self.replicas.propose(&in_sync, self.elapsed.saturating_add(PROPOSAL_TIMEOUT));
        let Assignment { leader_epoch, epoch, .. } = *self.replicas.assignment();
        effects.push(Effect::ProposeInSync(Box::new(InSyncChange { leader_epoch, epoch, in_sync, damaged })));
    }

    /// When there will be something to ask for if nothing happens; `None` = never.
    pub(super) fn propose_at(&self) -> Option<Duration> {
        if self.replicas.followers().is_empty() || !self.leading || !self.is_sure() {
            return None;
        }
        let retry_at = self.replicas.proposed().map(|proposed| proposed.retry_at);
        let assignment = self.replicas.assignment();
        let in_sync = self.replicas.followers().iter().filter(|follower| assignment.is_in_sync(&follower.id));
        let lagging_at = in_sync.filter_map(|follower| follower.lagging_at(self.log_end(), self.options.lag_max)).min();
        // While one proposal waits for its answer, nothing else is asked for.
        retry_at.or(lagging_at)
    }

    fn wanted_in_sync(&self) -> Vec<BrokerLife> {
        let assignment = self.replicas.assignment();
        let needed = self.high_watermark().max(self.began_at);
        let (log_end, now, lag_max) = (self.log_end(), self.elapsed, self.options.lag_max);
        let followers = self.replicas.followers().iter().filter(|follower| match assignment.is_in_sync(&follower.id) {
            true => !follower.is_lagging(log_end, now, lag_max),
            false => follower.is_eligible(needed),
        });
        let me = self.replicas.me().clone();
        std::iter::once(me).chain(followers.map(|follower| self.replicas.life_of(&follower.id))).collect()
    }

    /// The followers that cannot read all they had.
    fn damaged(&self) -> Vec<BrokerId> {
        let damaged = self.replicas.followers().iter().filter(|follower| follower.is_damaged());
        damaged.map(|follower| follower.id.clone()).collect()
    }

    fn is_agreed(&self, in_sync: &[BrokerLife], damaged: &[BrokerId]) -> bool {
        let Assignment { in_sync: agreed, eligible, .. } = self.replicas.assignment();
        let is_same_set = agreed.len() == in_sync.len() && in_sync.iter().all(|life| agreed.contains(&life.id));
        is_same_set && !damaged.iter().any(|id| eligible.contains(id))
    }
}
