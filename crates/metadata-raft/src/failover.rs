//! Who leads a partition and who counts as in sync when brokers come and go. Pure: decisions about one partition, from what
//! is agreed on; nothing else.
//!
//! Two rules bear everything: only an in-sync replica that is heard of is elected, and the last in-sync replica stays in sync
//! even when it is gone, because nobody else has everything committed. A broker that came back without its log is no longer
//! one that has; where it was the last, nobody is in sync, and only a decision to give something up elects a leader.

use std::sync::Arc;

use liftbridge_types::BrokerId;

use crate::state::{Brokers, Partition};

/// Who has which place in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seats {
    pub(crate) leader: Option<BrokerId>,
    pub(crate) replicas: Arc<[BrokerId]>,
    pub(crate) isr: Arc<[BrokerId]>,
}

impl Seats {
    /// The places as they are.
    pub(crate) fn of(partition: &Partition) -> Self {
        let Partition { leader, replicas, isr, .. } = partition;
        Self { leader: leader.clone(), replicas: replicas.clone(), isr: isr.clone() }
    }
}

/// The places once `gone`, which is fenced already, is not heard of any more.
pub(crate) fn without(partition: &Partition, gone: &BrokerId, brokers: &Brokers) -> Seats {
    let mut seats = Seats::of(partition);
    if seats.isr.len() > 1 {
        seats.isr = all_but(&seats.isr, gone);
    }
    with_serving_leader(seats, brokers)
}

/// The places once `lost` has come back without its log: it has nothing that others could not have, and nobody else has what
/// only it had. The only replica there is keeps its place, because nothing better will ever come.
pub(crate) fn without_log_of(partition: &Partition, lost: &BrokerId, brokers: &Brokers) -> Seats {
    let mut seats = Seats::of(partition);
    if seats.replicas.len() > 1 {
        seats.isr = all_but(&seats.isr, lost);
    }
    with_serving_leader(seats, brokers)
}

/// The places with a leader that is in sync and heard of, if there is one: the present one if it is, else the one that
/// leads least, the earlier replica where that is equal.
pub(crate) fn with_serving_leader(mut seats: Seats, brokers: &Brokers) -> Seats {
    let can_lead = |id: &&BrokerId| seats.isr.contains(*id) && brokers.is_serving(id);
    if seats.leader.as_ref().filter(can_lead).is_none() {
        seats.leader = least_leading(seats.replicas.iter().filter(can_lead), brokers);
    }
    seats
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
