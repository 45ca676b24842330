//! Who leads a partition and who counts as in sync when brokers come and go. Pure: decisions about one partition, from what
//! is agreed on; nothing else.
//!
//! - Only a replica that has everything committed is elected, when it is heard of: an in-sync one, or else an eligible one.
//! - *Eligible* is who has left the in-sync replicas when nothing could be committed without it any more: so few are left that
//!   the leader may not commit, or nobody leads (eligible leader replicas, Kafka KIP-966). Once enough are in sync under a
//!   leader, only those are, because they commit without the others.
//! - The last in-sync replica stays in sync even when it is gone.
//! - A broker that came back without its log has nothing that others could not have. Where it was the last, nobody is in sync,
//!   and only a decision to give something up elects a leader.
//!
//! Worked example, three replicas of which two must be in sync: all lose their power. 1 is back first and leaves `1 2 3`; then 2
//! leaves `2 3`, so that 3 alone is in sync, and 2 is eligible. Whether 3 comes back empty or not at all: 2 is elected, and has
//! what was committed. With the last in-sync replica as the only judge, one lost disk would have undone what two others hold.

use std::sync::Arc;

use liftbridge_types::{BrokerId, SettingOverrides, minimum_in_sync};

use crate::state::{Brokers, Partition};

/// Who has which place in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seats {
    pub(crate) leader: Option<BrokerId>,
    pub(crate) replicas: Arc<[BrokerId]>,
    pub(crate) isr: Arc<[BrokerId]>,
    pub(crate) eligible: Arc<[BrokerId]>,
}

impl Seats {
    /// The places as they are.
    pub(crate) fn of(partition: &Partition) -> Self {
        let Partition { leader, replicas, isr, eligible, .. } = partition;
        let (replicas, isr, eligible) = (replicas.clone(), isr.clone(), eligible.clone());
        Self { leader: leader.clone(), replicas, isr, eligible }
    }

    /// These replicas are in sync, in the partition's order, and nobody else is. Who was stays eligible.
    pub(crate) fn with_in_sync(mut self, is_in_sync: impl Fn(&BrokerId) -> bool) -> Self {
        let had_all = |id: &BrokerId| self.isr.contains(id) || self.eligible.contains(id);
        let eligible = self.replicas.iter().filter(|id| had_all(id) && !is_in_sync(id)).cloned().collect();
        self.isr = self.replicas.iter().filter(|id| is_in_sync(id)).cloned().collect();
        self.eligible = eligible;
        self
    }

    /// `gone` does not have everything any more.
    pub(crate) fn lose(mut self, gone: &BrokerId) -> Self {
        self.isr = all_but(&self.isr, gone);
        self.eligible = all_but(&self.eligible, gone);
        self
    }

    /// The places as they are decided on: where enough are in sync under a leader, nobody else is eligible.
    pub(crate) fn settled(mut self, overrides: &SettingOverrides, brokers: &Brokers) -> Self {
        let leader = self.leader.as_ref().and_then(|leader| brokers.get(leader));
        let minimum = leader.map(|leader| {
            let configured = overrides.min_isr.or(leader.in_sync_min.map(Into::into));
            minimum_in_sync(self.replicas.len(), configured)
        });
        if minimum.is_some_and(|minimum| self.isr.len() >= minimum) && !self.eligible.is_empty() {
            self.eligible = Arc::default();
        }
        self
    }
}

/// The places once `gone`, which is fenced already, is not heard of any more.
pub(crate) fn without(partition: &Partition, gone: &BrokerId, brokers: &Brokers) -> Seats {
    let mut seats = Seats::of(partition);
    if seats.isr.len() > 1 && seats.isr.contains(gone) {
        let left = all_but(&seats.isr, gone);
        seats = seats.with_in_sync(|id| left.contains(id));
    }
    with_serving_leader(seats, brokers)
}

/// The places once `lost` has come back without its log: it has nothing that others could not have, and nobody else has what
/// only it had. The only replica there is keeps its place, because nothing better will ever come.
pub(crate) fn without_log_of(partition: &Partition, lost: &BrokerId, brokers: &Brokers) -> Seats {
    let mut seats = Seats::of(partition);
    if seats.replicas.len() > 1 {
        seats = seats.lose(lost);
    }
    with_serving_leader(seats, brokers)
}

/// The places with a leader that has everything and is heard of, if there is one: the present one if it is, else of those
/// in sync, or else of those eligible, the one that leads least, the earlier replica where that is equal.
pub(crate) fn with_serving_leader(mut seats: Seats, brokers: &Brokers) -> Seats {
    let can_lead = |id: &&BrokerId| seats.isr.contains(*id) && brokers.is_serving(id);
    if seats.leader.as_ref().filter(can_lead).is_some() {
        return seats;
    }
    seats.leader = least_leading(seats.replicas.iter().filter(can_lead), brokers);
    if seats.leader.is_some() {
        return seats;
    }
    let eligible = seats.replicas.iter().filter(|id| seats.eligible.contains(id) && brokers.is_serving(id));
    match least_leading(eligible, brokers) {
        Some(leader) => Seats { leader: Some(leader.clone()), ..seats.with_in_sync(|id| *id == leader) },
        None => seats,
    }
}

/// The places with `leader`, who nobody knows to have everything committed. What others may have more is given up.
pub(crate) fn led_uncleanly(seats: Seats, leader: BrokerId) -> Seats {
    Seats { isr: [leader.clone()].into(), eligible: Arc::default(), leader: Some(leader), ..seats }
}

/// A leader that nobody knows to have everything committed: `wanted`, or any replica that is heard of.
pub(crate) fn unclean_leader(replicas: &[BrokerId], wanted: Option<&BrokerId>, brokers: &Brokers) -> Option<BrokerId> {
    let candidates = replicas.iter().filter(|id| wanted.is_none_or(|wanted| wanted == *id));
    least_leading(candidates.filter(|id| brokers.is_serving(id)), brokers)
}

/// The same list without one of them.
pub(crate) fn all_but(brokers: &Arc<[BrokerId]>, without: &BrokerId) -> Arc<[BrokerId]> {
    match brokers.contains(without) {
        true => brokers.iter().filter(|id| *id != without).cloned().collect(),
        false => brokers.clone(),
    }
}

fn least_leading<'a>(candidates: impl Iterator<Item = &'a BrokerId>, brokers: &Brokers) -> Option<BrokerId> {
    candidates.min_by_key(|id| brokers.led_by(id)).cloned()
}
