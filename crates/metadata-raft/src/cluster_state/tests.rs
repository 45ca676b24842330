use liftbridge_types::{BrokerIncarnation, LeaderEpoch, StreamId};
use proptest::prelude::*;

use super::*;
use crate::cluster_event::{ChangedPartitions, DeletedStream};
use crate::codec::{decode_snapshot, encode_snapshot};
use crate::command::ReplicaCount;
use crate::placement::Load;
use crate::state::ChangeTimes;
use crate::test_commands::*;

/// Applies commands at indexes 2, 3, ... and returns the outcome of the last one.
fn after(commands: Vec<Command>) -> (ClusterState, Result<Vec<ClusterEvent>, Rejection>) {
    let mut state = ClusterState::founded("test".to_owned());
    let mut outcome = Ok(Vec::new());
    for (command, index) in commands.into_iter().zip(2..) {
        outcome = state.apply(LogIndex::new(index), command);
    }
    (state, outcome)
}

#[track_caller]
fn check_rejected(commands: Vec<Command>, expected: Rejection) {
    assert_eq!(after(commands).1, Err(expected));
}

fn changed(stream: u64, name_text: &str, numbers: &[u32]) -> ChangedPartitions {
    ChangedPartitions { stream: StreamId::new(stream), name: name(name_text), partitions: partitions(numbers) }
}

use ReplicaCount::{EveryBroker, Exactly};

#[test]
fn what_a_stream_presupposes_is_checked_in_the_order_of_the_api() {
    let existing = |command| vec![register("a"), create("s", 1, Exactly(1)), command];
    check_rejected(existing(create("s", 0, Exactly(9))), Rejection::NoPartitions);
    let too_many = Rejection::TooManyPartitions { partitions: 10_001, limit: 10_000 };
    check_rejected(existing(create("s", 10_001, Exactly(9))), too_many);
    check_rejected(existing(create("s", 1, Exactly(0))), Rejection::NoReplicas { factor: 0 });
    check_rejected(existing(create("s", 1, Exactly(2))), Rejection::TooManyReplicas { factor: 2, brokers: 1 });
    check_rejected(existing(create("s", 1, Exactly(1))), Rejection::StreamExists);
    check_rejected(vec![create("s", 1, EveryBroker)], Rejection::NoReplicas { factor: 0 });
}

#[test]
fn a_command_about_something_missing_says_what_is_missing() {
    let existing = |command| vec![register("a"), create("s", 2, Exactly(1)), command];
    check_rejected(existing(delete("t")), Rejection::StreamNotFound);
    check_rejected(existing(pause("t", &[], false, 5)), Rejection::NotFoundForAll);
    check_rejected(existing(pause("t", &[0], false, 5)), Rejection::StreamNotFound);
    check_rejected(existing(pause("s", &[0, 2], false, 5)), Rejection::PartitionNotFound);
    check_rejected(existing(set_readonly("t", &[], true, 5)), Rejection::NotFoundForAll);
    check_rejected(existing(set_readonly("t", &[1], true, 5)), Rejection::StreamNotFound);
    check_rejected(existing(set_readonly("s", &[7], true, 5)), Rejection::PartitionNotFound);
    check_rejected(existing(resume("t", &[0], 5)), Rejection::StreamNotFound);
    check_rejected(existing(resume("s", &[2], 5)), Rejection::PartitionNotFound);
}

#[test]
fn a_recreated_stream_is_another_stream() {
    let (state, outcome) =
        after(vec![register("a"), create("s", 1, Exactly(1)), delete("s"), create("s", 1, Exactly(1))]);
    let stream = state.streams().get("s").unwrap();
    assert_eq!(stream.id, StreamId::new(5));
    assert_eq!(stream.partitions[0].leader_epoch, LeaderEpoch::new(5));
    assert_eq!(outcome, Ok(vec![ClusterEvent::StreamCreated(stream.clone())]));
}

#[test]
fn a_deletion_names_the_life_that_ended() {
    let (state, outcome) = after(vec![register("a"), create("s", 1, Exactly(1)), delete("s")]);
    assert!(state.streams().get("s").is_none());
    let deleted = DeletedStream { id: StreamId::new(3), name: name("s") };
    assert_eq!(outcome, Ok(vec![ClusterEvent::StreamDeleted(deleted)]));
}

#[test]
fn partitions_of_one_stream_spread_over_the_brokers() {
    let (state, _) = after(vec![register("a"), register("b"), create("s", 4, Exactly(1))]);
    let leaders: Vec<_> =
        state.streams().get("s").unwrap().partitions.iter().map(|p| p.leader.clone().unwrap()).collect();
    assert_eq!(leaders, [broker("a"), broker("b"), broker("a"), broker("b")]);
    assert_eq!(state.brokers().get(&broker("a")).unwrap().load, Load { hosted: 2, led: 2 });
}

#[test]
fn every_broker_means_those_there_are_when_it_is_applied() {
    let (state, _) = after(vec![register("a"), register("b"), create("s", 1, EveryBroker), register("c")]);
    let stream = state.streams().get("s").unwrap();
    assert_eq!(*stream.partitions[0].replicas, [broker("a"), broker("b")]);
    assert_eq!(stream.replicas, EveryBroker);
}

#[test]
fn a_broker_that_starts_again_has_a_new_incarnation_and_its_old_load() {
    let (state, outcome) = after(vec![register("a"), create("s", 3, Exactly(1)), register("a")]);
    let incarnation = BrokerIncarnation::new(4);
    assert_eq!(outcome, Ok(vec![ClusterEvent::BrokerRegistered { id: broker("a"), incarnation }]));
    let registered = state.brokers().get(&broker("a")).unwrap();
    assert_eq!((registered.incarnation, registered.load), (incarnation, Load { hosted: 3, led: 3 }));
}

#[test]
fn pausing_again_changes_only_the_time() {
    let (state, outcome) =
        after(vec![register("a"), create("s", 2, Exactly(1)), pause("s", &[1], false, 10), pause("s", &[], true, 20)]);
    assert_eq!(outcome, Ok(vec![ClusterEvent::PartitionsPaused(changed(3, "s", &[0]))]));
    let stream = state.streams().get("s").unwrap();
    assert_eq!(stream.partitions[0].pause_changes, Some(ChangeTimes { first: at(20), latest: at(20) }));
    assert_eq!(stream.partitions[1].pause_changes, Some(ChangeTimes { first: at(10), latest: at(20) }));
    assert!(stream.resume_all);
    assert_eq!(state.brokers().get(&broker("a")).unwrap().load, Load::default());
}

#[test]
fn resuming_one_partition_resumes_it_alone() {
    let (state, outcome) =
        after(vec![register("a"), create("s", 3, Exactly(1)), pause("s", &[], false, 10), resume("s", &[1], 20)]);
    assert_eq!(outcome, Ok(vec![ClusterEvent::PartitionsResumed(changed(3, "s", &[1]))]));
    let paused: Vec<bool> = state.streams().get("s").unwrap().partitions.iter().map(|p| p.paused).collect();
    assert_eq!(paused, [true, false, true]);
}

#[test]
fn resuming_one_partition_resumes_all_when_the_pause_asked_for_it() {
    let commands =
        vec![register("a"), create("s", 3, Exactly(1)), pause("s", &[0, 2], true, 10), resume("s", &[2], 20)];
    let (state, outcome) = after(commands);
    assert_eq!(outcome, Ok(vec![ClusterEvent::PartitionsResumed(changed(3, "s", &[0, 2]))]));
    let stream = state.streams().get("s").unwrap();
    assert!(!stream.resume_all, "it is asked for anew by each pause");
    assert_eq!(stream.partitions[0].pause_changes, Some(ChangeTimes { first: at(10), latest: at(20) }));
}

#[test]
fn resuming_what_is_not_paused_changes_nothing() {
    let (state, outcome) =
        after(vec![register("a"), create("s", 2, Exactly(1)), pause("s", &[0], true, 10), resume("s", &[1], 20)]);
    assert_eq!(outcome, Ok(vec![]));
    assert!(state.streams().get("s").unwrap().resume_all);
    assert!(state.streams().get("s").unwrap().partitions[0].paused);
}

#[test]
fn readonly_survives_a_pause() {
    let mut commands = vec![register("a"), create("s", 2, Exactly(1)), set_readonly("s", &[1, 1], true, 10)];
    assert_eq!(
        after(commands.clone()).1,
        Ok(vec![ClusterEvent::ReadonlyChanged { partitions: changed(3, "s", &[1]), readonly: true }])
    );
    commands.extend([pause("s", &[], false, 20), resume("s", &[1], 30)]);
    let (state, _) = after(commands);
    let partition = &state.streams().get("s").unwrap().partitions[1];
    assert!(partition.readonly && !partition.paused);
    assert_eq!(partition.readonly_changes, Some(ChangeTimes { first: at(10), latest: at(10) }));
}

proptest! {
    #[test]
    fn any_commands_are_applied_or_rejected_without_a_trace(commands in proptest::collection::vec(any_command(), 0..40)) {
        let mut state = ClusterState::founded("test".to_owned());
        for (command, index) in commands.into_iter().zip(2..) {
            let before = state.clone();
            if state.apply(LogIndex::new(index), command).is_err() {
                prop_assert_eq!(&before, &state);
            }
        }
    }

    /// Also that loads counted along the way are those counted anew, because a restored state counts them anew.
    #[test]
    fn a_state_read_back_from_a_snapshot_is_the_same(commands in proptest::collection::vec(any_command(), 0..40)) {
        let (state, _) = after(commands);
        let index = LogIndex::new(77);
        let bytes = encode_snapshot(index, 3, &[1], &[2], &state);
        let contents = decode_snapshot(&bytes).unwrap();
        prop_assert_eq!(&contents.state, &state);
        prop_assert_eq!((contents.index, contents.term), (index, 3));
        prop_assert_eq!((contents.voters, contents.learners), (vec![1], vec![2]));
        prop_assert_eq!(encode_snapshot(index, 3, &[1], &[2], &contents.state), bytes);
    }

    #[test]
    fn replaying_a_log_from_any_snapshot_gives_the_same_state(
        commands in proptest::collection::vec(any_command(), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(commands.len());
        let (early, late) = commands.split_at(cut);
        let (snapshot, _) = after(early.to_vec());
        let bytes = encode_snapshot(LogIndex::new(1), 1, &[1], &[], &snapshot);
        let mut replayed = decode_snapshot(&bytes).unwrap().state;
        for (command, index) in late.iter().zip(2 + cut as u64..) {
            let _ = replayed.apply(LogIndex::new(index), command.clone());
        }
        prop_assert_eq!(replayed, after(commands).0);
    }
}
