//! Giving leaderships back to the replicas that were meant to have them: the first of each partition. Pure.
//!
//! Gently: a few each time, so that a broker that comes back is not handed everything at once.

use crate::command::{Command, MoveLeader, PartitionName};
use crate::state::{Brokers, Partition, Stream, Streams};

/// The most leaderships that are given back at once; it is done once a second at most.
pub(crate) const MOVES_AT_ONCE_MAX: usize = 32;

/// The next leaderships to give back.
pub(crate) fn preferred_leaders(streams: &Streams, brokers: &Brokers) -> Vec<Command> {
    let moves = streams.iter().flat_map(|stream| {
        let numbered = stream.numbered_partitions();
        numbered.filter_map(|(id, partition)| {
            let to = strayed_from(partition, brokers)?;
            let name = PartitionName { stream: stream.name.clone(), stream_id: stream.id, partition: id };
            let (epoch, to) = (partition.epoch, to.clone());
            Some(Command::MoveLeader(MoveLeader { partition: name, epoch, to, leaves: false }))
        })
    });
    moves.take(MOVES_AT_ONCE_MAX).collect()
}

/// The partitions nobody leads and that an unclean election would give a leader, as many as are decided on at once.
pub(crate) fn leaderless<'a>(streams: &'a Streams, brokers: &'a Brokers) -> impl Iterator<Item = PartitionName> + 'a {
    let named = move |stream: &'a std::sync::Arc<Stream>| {
        stream.numbered_partitions().filter_map(move |(id, partition)| {
            let any_serving = partition.replicas.iter().any(|replica| brokers.is_serving(replica));
            let name = || PartitionName { stream: stream.name.clone(), stream_id: stream.id, partition: id };
            (partition.leader.is_none() && any_serving).then(name)
        })
    };
    streams.iter().flat_map(named).take(MOVES_AT_ONCE_MAX)
}

/// The replica that should lead instead of the one that does, if it can.
fn strayed_from<'a>(partition: &'a Partition, brokers: &Brokers) -> Option<&'a liftbridge_types::BrokerId> {
    let preferred = partition.replicas.first()?;
    let leader = partition.leader.as_ref()?;
    let can = partition.isr.contains(preferred) && brokers.is_serving(preferred);
    (leader != preferred && can).then_some(preferred)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::testing::Cluster;

    fn moves(cluster: &Cluster) -> Vec<Command> {
        preferred_leaders(&cluster.state.streams, &cluster.state.brokers)
    }

    #[test]
    fn a_preferred_leader_gets_its_leadership_back_when_it_is_in_sync_again() {
        let mut cluster = Cluster::of(2);
        cluster.create("s", 1, 2);
        cluster.fence("1");
        assert_eq!(moves(&cluster), []);
        cluster.unfence("1");
        assert_eq!(moves(&cluster), [], "it is not in sync yet");
        cluster.done(Command::ChangeInSync(cluster.in_sync("s", 0, &["1", "2"])));
        for command in moves(&cluster) {
            cluster.done(command);
        }
        cluster.check("s", "1: 1 2 / 1 2");
        assert_eq!(moves(&cluster), []);
    }

    #[test]
    fn who_has_stepped_aside_is_not_given_the_leadership_back_before_it_is_in_sync_again() {
        let mut cluster = Cluster::of(2);
        cluster.create("s", 1, 2);
        let (partition, epoch) = (cluster.in_sync("s", 0, &[]).partition, cluster.partition("s", 0).epoch);
        let to = liftbridge_types::BrokerId::new("2").unwrap();
        cluster.done(Command::MoveLeader(MoveLeader { partition, epoch, to, leaves: true }));
        cluster.check("s", "2: 1 2 / 2 + 1");
        assert_eq!(moves(&cluster), []);
        cluster.done(Command::ChangeInSync(cluster.in_sync("s", 0, &["1", "2"])));
        assert_eq!(moves(&cluster).len(), 1);
    }

    #[test]
    fn only_so_many_are_given_back_at_once() {
        let mut cluster = Cluster::of(2);
        cluster.create("s", 100, 2);
        cluster.fence("1");
        cluster.unfence("1");
        for number in 0..100 {
            cluster.done(Command::ChangeInSync(cluster.in_sync("s", number, &["1", "2"])));
        }
        assert_eq!(moves(&cluster).len(), MOVES_AT_ONCE_MAX);
    }

    #[test]
    fn a_partition_nobody_leads_is_found_when_a_replica_is_heard_of() {
        let mut cluster = Cluster::of(3);
        cluster.create_committing_alone("s", 2);
        cluster.fence("1");
        cluster.fence("2");
        let found = |cluster: &Cluster| leaderless(&cluster.state.streams, &cluster.state.brokers).count();
        assert_eq!(found(&cluster), 0);
        cluster.unfence("1");
        assert_eq!(found(&cluster), 1);
    }
}
