//! Which brokers keep a partition and which of them leads it. Pure: a decision from loads and racks, nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use liftbridge_types::BrokerId;

use crate::state::Brokers;

/// How much a broker keeps; paused partitions do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Partitions it has a replica of.
    pub hosted: u32,
    /// Partitions it leads.
    pub led: u32,
}

/// A broker that could keep a partition.
#[derive(Clone, Debug)]
struct Candidate {
    id: BrokerId,
    rack: Option<String>,
    /// Not heard of: it is taken only when there is nobody else.
    fenced: bool,
    /// What it keeps of the stream that is being placed.
    in_stream: Load,
    /// What it keeps at all.
    load: Load,
}

/// Where one partition goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Its replicas, the one to lead first.
    pub(crate) replicas: Arc<[BrokerId]>,
}

/// Places `partitions` partitions of `replica_count` replicas each. Replicas go to brokers that are heard of, on different
/// racks where there are enough, to those that keep least of this stream, then to those that keep least at all. Of those the
/// one leads that leads least, of this stream first. What is equal is decided by id. Each placement counts for the next.
///
/// Returns nothing at all when there are fewer brokers than replicas, or no replicas are wanted.
pub(crate) fn place(brokers: &Brokers, replica_count: usize, partitions: u32) -> Vec<Placement> {
    let mut candidates = candidates(brokers);
    if replica_count == 0 || replica_count > candidates.len() {
        return Vec::new();
    }
    let mut placements: Vec<Placement> = Vec::new();
    for _ in 0..partitions {
        let mut chosen: Vec<usize> = Vec::with_capacity(replica_count);
        while chosen.len() < replica_count {
            let Some(next) = next_replica(&candidates, &chosen) else { break };
            chosen.push(next);
        }
        chosen
            .sort_by_key(|&at| candidates.get(at).map(|broker| (broker.fenced, broker.in_stream.led, broker.load.led)));
        for (rank, &at) in chosen.iter().enumerate() {
            if let Some(broker) = candidates.get_mut(at) {
                broker.count(rank == 0);
            }
        }
        let replicas: Vec<BrokerId> =
            chosen.iter().filter_map(|&at| candidates.get(at)).map(|broker| broker.id.clone()).collect();
        placements.push(Placement { replicas: shared_with_last(&placements, replicas) });
    }
    placements
}

/// A broker that is heard of and could keep the partition in place of one of these: on another rack than the others where
/// there is one, then the one that keeps least.
pub(crate) fn replacement(brokers: &Brokers, others: &[BrokerId]) -> Option<BrokerId> {
    let mut candidates = candidates(brokers);
    candidates.retain(|broker| !broker.fenced || others.contains(&broker.id));
    let chosen: Vec<usize> =
        (0..candidates.len()).filter(|&at| candidates.get(at).is_some_and(|b| others.contains(&b.id))).collect();
    let next = next_replica(&candidates, &chosen)?;
    candidates.get(next).map(|broker| broker.id.clone())
}

impl Candidate {
    fn count(&mut self, leads: bool) {
        for load in [&mut self.in_stream, &mut self.load] {
            load.hosted = load.hosted.saturating_add(1);
            load.led = load.led.saturating_add(u32::from(leads));
        }
    }
}

fn candidates(brokers: &Brokers) -> Vec<Candidate> {
    let candidate = |(id, broker): (&BrokerId, &crate::state::Broker)| Candidate {
        id: id.clone(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_stream: Load::default(),
        load: broker.load,
    };
    brokers.iter().map(candidate).collect()
}

/// The best broker besides those chosen.
fn next_replica(candidates: &[Candidate], chosen: &[usize]) -> Option<usize> {
    let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
    for rack in chosen.iter().filter_map(|&at| candidates.get(at)).filter_map(|broker| broker.rack.as_deref()) {
        *taken.entry(rack).or_default() += 1;
    }
    let left = candidates.iter().enumerate().filter(|(at, _)| !chosen.contains(at));
    let best = left.min_by_key(|(at, broker)| {
        let neighbours = broker.rack.as_deref().and_then(|rack| taken.get(rack).copied()).unwrap_or(0);
        (broker.fenced, neighbours, broker.in_stream.hosted, broker.load.hosted, *at)
    });
    best.map(|(at, _)| at)
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
    use liftbridge_types::BrokerIncarnation;

    use super::*;
    use crate::state::Broker;

    /// A broker by its id, an optional rack and what it keeps and leads; an id in capitals is fenced.
    fn broker(id: &str, rack: Option<&str>, hosted: u32, led: u32) -> (BrokerId, Broker) {
        let broker = Broker {
            host: String::new(),
            port: 1,
            incarnation: BrokerIncarnation::new(1),
            fenced: id.chars().all(char::is_uppercase),
            rack: rack.map(str::to_owned),
            feature_level: 2,
            in_sync_min: None,
            session_timeout: None,
            raft_id: None,
            load: Load { hosted, led },
        };
        (BrokerId::new(id).unwrap(), broker)
    }

    fn all(listed: Vec<(BrokerId, Broker)>) -> Brokers {
        let mut brokers = Brokers::default();
        for (id, broker) in listed {
            brokers.insert(id, broker);
        }
        brokers
    }

    /// Placements written as the ids of the replicas, the leader first.
    #[track_caller]
    fn check(brokers: Vec<(BrokerId, Broker)>, replica_count: usize, partitions: u32, expected: &[&str]) {
        let placed = place(&all(brokers), replica_count, partitions);
        let written: Vec<String> =
            placed.iter().map(|p| p.replicas.iter().map(BrokerId::as_str).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn least_hosted_brokers_are_chosen_and_the_least_leading_of_them_leads() {
        check(vec![broker("a", None, 0, 0)], 1, 2, &["a", "a"]);
        check(vec![broker("a", None, 5, 0), broker("b", None, 1, 9), broker("c", None, 2, 3)], 2, 1, &["c b"]);
        check(vec![broker("a", None, 1, 1), broker("b", None, 1, 1)], 2, 1, &["a b"]);
    }

    #[test]
    fn partitions_of_one_stream_spread_over_the_brokers() {
        let three = || vec![broker("c", None, 0, 0), broker("a", None, 0, 0), broker("b", None, 0, 0)];
        check(three(), 1, 4, &["a", "b", "c", "a"]);
        check(three(), 2, 3, &["a b", "c a", "b c"]);
        check(three(), 3, 3, &["a b c", "b c a", "c a b"]);
    }

    #[test]
    fn a_stream_spreads_though_one_broker_keeps_less_than_the_others() {
        let uneven = vec![broker("a", None, 90, 30), broker("b", None, 0, 0), broker("c", None, 90, 60)];
        check(uneven, 1, 3, &["b", "a", "c"]);
    }

    #[test]
    fn replicas_are_on_different_racks_where_there_are_enough() {
        let racks = || {
            let (east, west) = (Some("east"), Some("west"));
            vec![broker("a", east, 0, 0), broker("b", east, 0, 0), broker("c", west, 9, 9), broker("d", west, 8, 8)]
        };
        check(racks(), 2, 2, &["a d", "b c"]);
        check(racks(), 3, 1, &["a b d"]);
    }

    #[test]
    fn fenced_brokers_are_taken_last_and_lead_last() {
        check(vec![broker("A", None, 0, 0), broker("b", None, 9, 9)], 1, 1, &["b"]);
        check(vec![broker("A", None, 0, 0), broker("b", None, 9, 9)], 2, 1, &["b A"]);
    }

    #[test]
    fn more_replicas_than_brokers_cannot_be_placed() {
        check(vec![broker("a", None, 0, 0)], 2, 1, &[]);
        check(vec![broker("a", None, 0, 0)], 0, 1, &[]);
        check(vec![], 1, 1, &[]);
    }

    #[test]
    fn a_replacement_is_on_a_rack_of_its_own_or_keeps_least() {
        let brokers = all(vec![
            broker("a", Some("east"), 0, 0),
            broker("b", Some("east"), 0, 0),
            broker("c", Some("west"), 9, 9),
            broker("D", Some("north"), 0, 0),
        ]);
        let ids = |text: &str| text.split(' ').map(|id| BrokerId::new(id).unwrap()).collect::<Vec<_>>();
        assert_eq!(replacement(&brokers, &ids("a")), Some(BrokerId::new("c").unwrap()));
        assert_eq!(replacement(&brokers, &ids("a c")), Some(BrokerId::new("b").unwrap()));
        assert_eq!(replacement(&brokers, &ids("a b c")), None);
    }
}
