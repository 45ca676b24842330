//! Which brokers keep a new partition and which of them leads it. Pure: a decision from loads, nothing else.

use std::sync::Arc;

use liftbridge_types::BrokerId;

/// How much a broker keeps; paused partitions do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Partitions it has a replica of.
    pub hosted: u32,
    /// Partitions it leads.
    pub led: u32,
}

/// Where one partition goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Its replicas, the leader first.
    pub(crate) replicas: Arc<[BrokerId]>,
    /// The replica that leads.
    pub(crate) leader: BrokerId,
}

/// Places `partitions` partitions of `replica_count` replicas each: on the brokers that keep least, led by the one of them
/// that leads least, the earlier broker where that is equal. Each placement counts for the next, so one stream spreads.
///
/// Returns nothing at all when there are fewer brokers than replicas, or no replicas are wanted.
pub(crate) fn place(brokers: Vec<(BrokerId, Load)>, replica_count: usize, partitions: u32) -> Vec<Placement> {
    if replica_count == 0 || replica_count > brokers.len() {
        return Vec::new();
    }
    let mut candidates = brokers;
    candidates.sort_by(|a, b| a.0.cmp(&b.0));
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let mut placements: Vec<Placement> = Vec::new();
    for _ in 0..partitions {
        order.sort_unstable_by_key(|&at| (load_at(&candidates, at).hosted, at));
        let mut chosen: Vec<usize> = order.iter().copied().take(replica_count).collect();
        chosen.sort_by_key(|&at| load_at(&candidates, at).led);
        for (rank, &at) in chosen.iter().enumerate() {
            if let Some((_, load)) = candidates.get_mut(at) {
                load.hosted = load.hosted.saturating_add(1);
                load.led = load.led.saturating_add(u32::from(rank == 0));
            }
        }
        let replicas: Vec<BrokerId> =
            chosen.iter().filter_map(|&at| candidates.get(at)).map(|(id, _)| id.clone()).collect();
        if let Some(leader) = replicas.first().cloned() {
            placements.push(Placement { replicas: shared_with_last(&placements, replicas), leader });
        }
    }
    placements
}

fn load_at(candidates: &[(BrokerId, Load)], at: usize) -> Load {
    candidates.get(at).map_or_else(Load::default, |(_, load)| *load)
}

/// In a small cluster most partitions have the same replicas in the same order: they share one list.
fn shared_with_last(placements: &[Placement], replicas: Vec<BrokerId>) -> Arc<[BrokerId]> {
    match placements.last() {
        Some(last) if *last.replicas == *replicas => last.replicas.clone(),
        _ => replicas.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(id: &str, hosted: u32, led: u32) -> (BrokerId, Load) {
        (BrokerId::new(id).unwrap(), Load { hosted, led })
    }

    /// Placements written as the ids of the replicas, the leader first.
    #[track_caller]
    fn check(brokers: Vec<(BrokerId, Load)>, replica_count: usize, partitions: u32, expected: &[&str]) {
        let placed = place(brokers, replica_count, partitions);
        let written: Vec<String> = placed
            .iter()
            .map(|p| {
                assert_eq!(p.replicas[0], p.leader, "the leader stands first");
                p.replicas.iter().map(BrokerId::as_str).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn least_hosted_brokers_are_chosen_and_the_least_leading_of_them_leads() {
        check(vec![broker("a", 0, 0)], 1, 2, &["a", "a"]);
        check(vec![broker("a", 5, 0), broker("b", 1, 9), broker("c", 2, 3)], 2, 1, &["c b"]);
        check(vec![broker("a", 1, 1), broker("b", 1, 1)], 2, 1, &["a b"]);
    }

    #[test]
    fn partitions_of_one_stream_spread_over_the_brokers() {
        let three = || vec![broker("c", 0, 0), broker("a", 0, 0), broker("b", 0, 0)];
        check(three(), 1, 4, &["a", "b", "c", "a"]);
        check(three(), 2, 3, &["a b", "c a", "b c"]);
        check(three(), 3, 3, &["a b c", "b c a", "c a b"]);
    }

    #[test]
    fn more_replicas_than_brokers_cannot_be_placed() {
        check(vec![broker("a", 0, 0)], 2, 1, &[]);
        check(vec![broker("a", 0, 0)], 0, 1, &[]);
        check(vec![], 1, 1, &[]);
    }
}
