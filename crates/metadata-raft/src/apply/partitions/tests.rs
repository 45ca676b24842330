use std::collections::{BTreeMap, BTreeSet};

use liftbridge_types::{BrokerId, LeaderEpoch, PartitionId, StreamId};
use proptest::prelude::*;

use crate::apply::testing::Cluster;
use crate::cluster_event::ClusterEvent;
use crate::cluster_state::ClusterState;
use crate::codec::{decode_snapshot, encode_snapshot};
use crate::command::{ChangeInSync, Command, ElectUnclean, MoveLeader, RemoveBroker};
use crate::log_index::LogIndex;
use crate::rejection::Rejection;
use crate::state::{Partition, Stream};
use crate::test_commands::*;

fn change(command: ChangeInSync) -> Command {
    Command::ChangeInSync(command)
}

/// Three servers; `s` is on all of them and led by 1, and 3 is out of sync.
fn behind() -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    cluster.done(change(cluster.in_sync("s", 0, &["1", "2"])));
    cluster.check("s", "1: 1 2 3 / 1 2");
    cluster
}

#[test]
fn a_leader_changes_who_is_in_sync() {
    let mut cluster = behind();
    let leader_epoch = cluster.partition("s", 0).leader_epoch;
    let events = cluster.done(change(cluster.in_sync("s", 0, &["3", "1", "2"])));
    cluster.check("s", "1: 1 2 3 / 1 2 3");
    let partition = cluster.partition("s", 0).clone();
    assert_eq!((partition.leader_epoch, partition.epoch.get()), (leader_epoch, cluster.index));
    let [ClusterEvent::PartitionsReassigned(reassigned)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(reassigned.partitions, [(PartitionId::default(), partition)]);
}

#[test]
fn a_change_that_follows_something_older_is_stale() {
    let mut cluster = behind();
    let older = cluster.in_sync("s", 0, &["1", "2", "3"]);
    cluster.done(change(older.clone()));
    assert_eq!(cluster.apply(change(older)), Err(Rejection::Stale));
    let mut of_another_leader = cluster.in_sync("s", 0, &["1"]);
    of_another_leader.leader_epoch = LeaderEpoch::new(1);
    assert_eq!(cluster.apply(change(of_another_leader)), Err(Rejection::Stale));
    let mut of_another_life = cluster.in_sync("s", 0, &["1"]);
    of_another_life.partition.stream_id = StreamId::new(1);
    assert_eq!(cluster.apply(change(of_another_life)), Err(Rejection::StreamNotFound));
}

#[test]
fn only_replicas_that_are_heard_of_in_their_present_life_can_be_in_sync_and_the_leader_must_be() {
    let mut cluster = behind();
    let refused = |id: &str| Err(Rejection::NotEligible { id: broker(id) });
    assert_eq!(cluster.apply(change(cluster.in_sync("s", 0, &["2"]))), refused("1"));
    let former = cluster.in_sync("s", 0, &["1", "2", "3"]);
    cluster.done(start(3));
    assert_eq!(cluster.apply(change(former)), refused("3"));
    assert_eq!(cluster.apply(change(cluster.in_sync("s", 0, &["1", "2", "3"]))), refused("3"));
    cluster.unfence("3");
    cluster.done(change(cluster.in_sync("s", 0, &["1", "2", "3"])));
    cluster.create("t", 1, 1);
    let stranger = cluster.in_sync("t", 0, &["1", "2", "3"]);
    assert!(matches!(cluster.apply(change(stranger)), Err(Rejection::NotEligible { .. })));
}

#[test]
fn whoever_is_known_to_be_unfit_is_refused_and_nothing_is_said_of_lives_to_come() {
    let mut cluster = behind();
    let before = cluster.in_sync("s", 0, &["1", "2", "3"]);
    let unfit = |cluster: &Cluster, asked: &ChangeInSync| -> Vec<BrokerId> {
        let lives = asked.in_sync.iter().filter(|life| cluster.state.brokers.is_unfit(life));
        lives.map(|life| life.id.clone()).collect()
    };
    assert_eq!(unfit(&cluster, &before), []);
    let earlier = cluster.state.clone();
    cluster.done(start(3));
    let fenced = cluster.in_sync("s", 0, &["1", "2", "3"]);
    assert_eq!(unfit(&cluster, &before), [broker("3")], "a later life has begun");
    assert_eq!(unfit(&cluster, &fenced), [broker("3")], "it is fenced");
    cluster.unfence("3");
    assert_eq!(unfit(&cluster, &fenced), []);
    cluster.state = earlier;
    assert_eq!(unfit(&cluster, &fenced), [], "it may be agreed on by now");
}

#[test]
fn nobody_leads_and_nobody_can_be_put_in_sync() {
    let mut cluster = Cluster::of(2);
    cluster.create_committing_alone("s", 2);
    cluster.fence("2");
    cluster.fence("1");
    cluster.unfence("2");
    assert_eq!(cluster.apply(change(cluster.in_sync("s", 0, &["2"]))), Err(Rejection::Stale));
}

#[test]
fn a_leadership_moves_only_to_another_in_sync_replica() {
    let mut cluster = behind();
    let to = |cluster: &Cluster, id: &str| {
        let (partition, epoch) = (cluster.in_sync("s", 0, &[]).partition, cluster.partition("s", 0).epoch);
        Command::MoveLeader(MoveLeader { partition, epoch, to: broker(id), leaves: false })
    };
    assert_eq!(cluster.apply(to(&cluster, "3")), Err(Rejection::NotEligible { id: broker("3") }));
    assert_eq!(cluster.apply(to(&cluster, "1")), Err(Rejection::Stale));
    let older = to(&cluster, "1");
    cluster.done(to(&cluster, "2"));
    cluster.check("s", "2: 1 2 3 / 1 2");
    assert_eq!(cluster.partition("s", 0).leader_epoch.get(), cluster.index);
    assert_eq!(cluster.apply(older), Err(Rejection::Stale));
}

#[test]
fn a_leader_that_leaves_is_in_sync_no_longer() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    let (partition, epoch) = (cluster.in_sync("s", 0, &[]).partition, cluster.partition("s", 0).epoch);
    cluster.done(Command::MoveLeader(MoveLeader { partition, epoch, to: broker("2"), leaves: true }));
    cluster.check("s", "2: 1 2 3 / 2 3");
}

#[test]
fn a_leadership_moves_to_an_eligible_replica_which_is_in_sync_from_then_on() {
    let mut cluster = behind();
    cluster.done(change(cluster.in_sync("s", 0, &["1"])));
    cluster.check("s", "1: 1 2 3 / 1 + 2");
    let (partition, epoch) = (cluster.in_sync("s", 0, &[]).partition, cluster.partition("s", 0).epoch);
    let to_2 =
        |leaves| Command::MoveLeader(MoveLeader { partition: partition.clone(), epoch, to: broker("2"), leaves });
    let before = cluster.state.clone();
    cluster.done(to_2(false));
    cluster.check("s", "2: 1 2 3 / 1 2");
    cluster.state = before;
    cluster.done(to_2(true));
    cluster.check("s", "2: 1 2 3 / 2 + 1");
}

#[test]
fn who_cannot_read_what_it_had_is_not_eligible() {
    let mut cluster = behind();
    let damaged = |cluster: &Cluster, in_sync: &[&str]| {
        change(ChangeInSync { damaged: vec![broker("2")], ..cluster.in_sync("s", 0, in_sync) })
    };
    let before = cluster.state.clone();
    cluster.done(damaged(&cluster, &["1"]));
    cluster.check("s", "1: 1 2 3 / 1");
    cluster.state = before;
    cluster.done(change(cluster.in_sync("s", 0, &["1"])));
    cluster.check("s", "1: 1 2 3 / 1 + 2");
    cluster.done(damaged(&cluster, &["1"]));
    cluster.check("s", "1: 1 2 3 / 1");
}

#[test]
fn an_unclean_election_is_for_a_partition_without_a_leader() {
    let mut cluster = behind();
    let elect = |cluster: &Cluster, to: Option<&str>| {
        let partition = cluster.in_sync("s", 0, &[]).partition;
        Command::ElectUnclean(ElectUnclean { partition, to: to.map(broker) })
    };
    assert_eq!(cluster.apply(elect(&cluster, None)), Err(Rejection::HasLeader));
    cluster.fence("2");
    cluster.fence("1");
    cluster.check("s", "-: 1 2 3 / 1 + 2");
    assert_eq!(cluster.apply(elect(&cluster, Some("2"))), Err(Rejection::NoCandidate));
    cluster.done(elect(&cluster, None));
    cluster.check("s", "3: 1 2 3 / 3");
    cluster.unfence("1");
    cluster.check("s", "3: 1 2 3 / 3");
}

#[test]
fn a_stream_made_while_some_are_not_heard_of_begins_with_those_who_are() {
    let mut cluster = Cluster::of(3);
    cluster.fence("1");
    cluster.create("s", 1, 3);
    cluster.check("s", "2: 2 3 1 / 2 3");
    for id in ["2", "3"] {
        cluster.fence(id);
    }
    cluster.create("t", 1, 2);
    cluster.check("t", "-: 1 2 / 1");
}

/// What can happen to a cluster, by numbers that only mean something when it is applied.
#[derive(Clone, Debug)]
enum Happening {
    Start {
        number: u64,
        kept_log: bool,
        in_sync_min: u32,
    },
    /// What was appended is on all who are in sync, and so committed, if they are enough.
    Commit(u8),
    Join,
    Fence(u64),
    Unfence(u64),
    Create {
        stream: u8,
        partitions: u32,
        replicas: u32,
    },
    Delete(u8),
    Pause(u8),
    Resume(u8),
    InSync {
        stream: u8,
        keep: u8,
    },
    Move {
        stream: u8,
        to: u64,
    },
    Elect(u8),
    Remove {
        number: u64,
        forced: bool,
    },
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let (number, stream) = (|| 1..6u64, || 0..3u8);
    prop_oneof![
        2 => (number(), any::<bool>(), 0..4u32)
            .prop_map(|(number, kept_log, in_sync_min)| Happening::Start { number, kept_log, in_sync_min }),
        5 => stream().prop_map(Happening::Commit),
        1 => Just(Happening::Join),
        3 => number().prop_map(Happening::Fence),
        5 => number().prop_map(Happening::Unfence),
        2 => (stream(), 1..4u32, 1..4u32)
            .prop_map(|(stream, partitions, replicas)| Happening::Create { stream, partitions, replicas }),
        1 => stream().prop_map(Happening::Delete),
        1 => stream().prop_map(Happening::Pause),
        1 => stream().prop_map(Happening::Resume),
        5 => (stream(), any::<u8>()).prop_map(|(stream, keep)| Happening::InSync { stream, keep }),
        2 => (stream(), number()).prop_map(|(stream, to)| Happening::Move { stream, to }),
        1 => stream().prop_map(Happening::Elect),
        1 => (number(), any::<bool>()).prop_map(|(number, forced)| Happening::Remove { number, forced }),
    ]
}

impl Happening {
    fn apply(&self, cluster: &mut Cluster) -> Option<Result<Vec<ClusterEvent>, Rejection>> {
        let stream_name = |stream: u8| format!("s{stream}");
        let there = |cluster: &Cluster, stream: u8| cluster.state.streams.get(&stream_name(stream)).is_some();
        let known = |cluster: &Cluster, number: u64| cluster.state.brokers.get(&broker(&number.to_string())).is_some();
        let command = match *self {
            Self::Start { number, kept_log, in_sync_min } => start_as(number, |member| {
                (member.kept_log, member.in_sync_min) = (kept_log, std::num::NonZero::new(in_sync_min));
            }),
            Self::Join => {
                let number = cluster.state.nodes.last_id().get() + 1;
                cluster.index += 1;
                cluster.state.change_membership(added(number));
                start(number)
            }
            Self::Fence(number) if known(cluster, number) => Command::FenceBroker(cluster.life(&number.to_string())),
            Self::Unfence(number) if known(cluster, number) => {
                Command::UnfenceBroker(cluster.life(&number.to_string()))
            }
            Self::Create { stream, partitions, replicas } => {
                create(&stream_name(stream), partitions, crate::ReplicaCount::Exactly(replicas))
            }
            Self::Delete(stream) => delete(&stream_name(stream)),
            Self::Pause(stream) => pause(&stream_name(stream), &[], false, 5),
            Self::Resume(stream) => resume(&stream_name(stream), &[0], 6),
            Self::InSync { stream, keep } if there(cluster, stream) => {
                let name = stream_name(stream);
                let replicas = cluster.partition(&name, 0).replicas.clone();
                let kept = replicas.iter().enumerate().filter(|(at, _)| keep >> (at % 8) & 1 == 1);
                let kept: Vec<&str> = kept.map(|(_, id)| id.as_str()).collect();
                change(cluster.in_sync(&name, 0, &kept))
            }
            Self::Move { stream, to } if there(cluster, stream) => {
                let ChangeInSync { partition, epoch, .. } = cluster.in_sync(&stream_name(stream), 0, &[]);
                Command::MoveLeader(MoveLeader { partition, epoch, to: broker(&to.to_string()), leaves: to % 2 == 0 })
            }
            Self::Elect(stream) if there(cluster, stream) => {
                let partition = cluster.in_sync(&stream_name(stream), 0, &[]).partition;
                Command::ElectUnclean(ElectUnclean { partition, to: None })
            }
            Self::Remove { number, forced } => {
                Command::RemoveBroker(RemoveBroker { id: broker(&number.to_string()), forced })
            }
            Self::Commit(_) => return None,
            Self::Fence(_) | Self::Unfence(_) | Self::InSync { .. } | Self::Move { .. } | Self::Elect(_) => {
                return None;
            }
        };
        Some(cluster.apply(command))
    }
}

/// The invariants of [`ClusterState`].
#[track_caller]
fn check_invariants(state: &ClusterState) {
    for stream in state.streams.iter() {
        for partition in &stream.partitions {
            let shown = format!("{}: {partition:?}", stream.name);
            assert!(partition.isr.iter().all(|id| partition.replicas.contains(id)), "in sync are replicas: {shown}");
            assert!(partition.replicas.iter().all(|id| state.brokers.get(id).is_some()), "replicas are there: {shown}");
            let distinct: BTreeSet<&BrokerId> = partition.replicas.iter().collect();
            assert_eq!(distinct.len(), partition.replicas.len(), "each replica once: {shown}");
            let serving = |id: &BrokerId| state.brokers.is_serving(id);
            if let Some(leader) = &partition.leader {
                assert!(partition.isr.contains(leader) && serving(leader), "the leader is in sync and serves: {shown}");
                let minimum = minimum(state, stream, partition);
                let is_settled = partition.eligible.is_empty() || partition.isr.len() < minimum;
                assert!(is_settled, "nobody is eligible where things are committed without it: {shown}");
            } else {
                assert!(!partition.isr.iter().any(serving), "whoever can lead does: {shown}");
                assert!(!partition.eligible.iter().any(serving), "whoever can lead does: {shown}");
            }
            let is_apart = |id: &BrokerId| partition.replicas.contains(id) && !partition.isr.contains(id);
            assert!(partition.eligible.iter().all(is_apart), "eligible are replicas out of sync: {shown}");
            assert!(partition.isr.len() < 2 || partition.isr.iter().all(serving), "of several all serve: {shown}");
        }
    }
}

/// How many in-sync replicas it takes to commit, as the leader counts them.
fn minimum(state: &ClusterState, stream: &Stream, partition: &Partition) -> usize {
    let leader = partition.leader.as_ref().and_then(|leader| state.brokers.get(leader)).unwrap();
    let configured = stream.overrides.min_isr.or(leader.in_sync_min.map(Into::into));
    liftbridge_types::minimum_in_sync(partition.replicas.len(), configured)
}

/// Who has what was committed in the first partition of each stream; nobody is in it whose word would not be enough.
#[derive(Default)]
struct Holders {
    of: BTreeMap<StreamId, BTreeSet<BrokerId>>,
}

impl Holders {
    /// Takes in what has happened to `before`, and holds what is agreed on now to it.
    #[track_caller]
    fn check(&mut self, happening: &Happening, before: &ClusterState, after: &ClusterState) {
        for stream in after.streams.iter() {
            let partition = &stream.partitions[0];
            let everybody = || partition.replicas.iter().cloned().collect();
            let holders = self.of.entry(stream.id).or_insert_with(everybody);
            let is_named = |number: u8| stream.name.as_str() == format!("s{number}");
            let had_leader =
                before.streams.get(stream.name.as_str()).is_some_and(|was| was.partitions[0].leader.is_some());
            match happening {
                Happening::Start { number, kept_log: false, .. } if partition.replicas.len() > 1 => {
                    holders.remove(&broker(&number.to_string()));
                }
                Happening::Commit(number)
                    if is_named(*number)
                        && partition.leader.is_some()
                        && partition.isr.len() >= minimum(after, stream, partition) =>
                {
                    *holders = partition.isr.iter().cloned().collect();
                }
                // Its leader has seen that whoever comes in has everything.
                Happening::InSync { stream, .. } if is_named(*stream) => holders.extend(partition.isr.iter().cloned()),
                // Something is given up, knowingly.
                Happening::Elect(number) if is_named(*number) && !had_leader => {
                    *holders = partition.isr.iter().cloned().collect();
                }
                Happening::Remove { number, forced: true } => {
                    let gone = broker(&number.to_string());
                    let was = before.streams.get(stream.name.as_str()).map(|was| &was.partitions[0]);
                    let mut had_all = was.into_iter().flat_map(|was| was.isr.iter().chain(was.eligible.iter()));
                    if had_all.all(|id| *id == gone) {
                        *holders = partition.isr.iter().chain(partition.eligible.iter()).cloned().collect();
                    }
                }
                _ => {}
            }
            let counted = partition.isr.iter().chain(partition.eligible.iter());
            for id in counted {
                assert!(holders.contains(id), "{id} lacks what was committed in {}: {partition:?}", stream.name);
            }
        }
    }
}

/// Which leader each partition had in each leadership.
type Leaderships = BTreeMap<(StreamId, usize, LeaderEpoch), Option<BrokerId>>;

fn check_leaderships(state: &ClusterState, known: &mut Leaderships) {
    for stream in state.streams.iter() {
        for (at, partition) in stream.partitions.iter().enumerate() {
            let key = (stream.id, at, partition.leader_epoch);
            let leader = known.entry(key).or_insert_with(|| partition.leader.clone());
            assert_eq!(*leader, partition.leader, "one leader in a leadership: {key:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_invariants_hold(happenings in proptest::collection::vec(any_happening(), 0..80)) {
        let mut cluster = Cluster::of(3);
        let mut again = Cluster::of(3);
        let mut leaderships = Leaderships::new();
        let mut holders = Holders::default();
        for happening in happenings {
            let before = cluster.state.clone();
            let outcome = happening.apply(&mut cluster);
            if let Some(Err(_)) = outcome
                && !matches!(happening, Happening::Join)
            {
                prop_assert_eq!(&cluster.state, &before, "a rejection changes nothing");
            }
            let came_true = !matches!(outcome, Some(Err(_)));
            prop_assert_eq!(happening.apply(&mut again), outcome, "the same happens on every server");
            check_invariants(&cluster.state);
            check_leaderships(&cluster.state, &mut leaderships);
            if came_true {
                holders.check(&happening, &before, &cluster.state);
            }
        }
        prop_assert_eq!(&cluster.state, &again.state);
        // A restored state counts loads anew, so this also says that they were counted right along the way.
        let bytes = encode_snapshot(LogIndex::new(9), 1, &[1], &[], &cluster.state);
        prop_assert_eq!(decode_snapshot(&bytes).unwrap().state, cluster.state);
    }
}
