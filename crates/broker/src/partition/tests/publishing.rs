use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_commitlog::{FaultyVolume, MemoryVolume};
use liftbridge_types::{AckPolicy, Offset, PartitionId, Subject};
use tokio::sync::oneshot::error::TryRecvError;

use crate::errors::PublishError;
use crate::partition::RunState;
use crate::partition::testing::{Answer, GatedVolume, Node, PartitionTesting, proposal};
use crate::requests::{StartPosition, StopPosition};

fn is_pending(answer: &mut Answer) -> bool {
    matches!(answer.try_recv(), Err(TryRecvError::Empty))
}

#[tokio::test]
async fn leader_is_acknowledged_before_the_sync_and_all_after_it() {
    let volume = GatedVolume::default();
    let partition = Node::new(Arc::new(volume.clone()), |_| {}).open(0);
    volume.close_gate();
    let mut all = partition.post_publish("a", AckPolicy::All, -1);
    let leader = partition.post_publish("b", AckPolicy::Leader, -1);
    volume.wait_for_sync();
    // The first turn may have taken the first message alone; then the second is acknowledged once its own turn writes it.
    assert!(is_pending(&mut all));
    assert_eq!(partition.status().high_watermark, Offset::ZERO);
    volume.open_gate();
    assert_eq!(all.await.unwrap().unwrap().offset, Offset::ZERO);
    assert_eq!(leader.await.unwrap().unwrap().offset, Offset::new(1));

    volume.close_gate();
    let leader = partition.post_publish("c", AckPolicy::Leader, -1);
    assert_eq!(leader.await.unwrap().unwrap().offset, Offset::new(2), "nobody opened the gate");
    volume.open_gate();
}

#[tokio::test]
async fn what_arrives_during_a_sync_shares_the_next_one() {
    let volume = GatedVolume::default();
    let partition = Node::new(Arc::new(volume.clone()), |_| {}).open(0);
    partition.publish_and_wait("warm", AckPolicy::All).await.unwrap();
    let before = volume.log_syncs();
    volume.close_gate();
    let first = partition.post_publish("first", AckPolicy::All, -1);
    volume.wait_for_sync();
    let others: Vec<Answer> = (0..500).map(|_| partition.post_publish("other", AckPolicy::All, -1)).collect();
    volume.open_gate();
    first.await.unwrap().unwrap();
    for (index, answer) in others.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap().offset, Offset::new(2 + index as u64));
    }
    assert_eq!(volume.log_syncs() - before, 2);
}

#[tokio::test]
async fn acknowledgements_carry_route_and_both_times() {
    let node = Node::in_memory();
    let partition = node.open(2);
    node.clock.advance(Duration::from_secs(5));
    let (first, second) =
        (partition.post_publish("a", AckPolicy::All, -1), partition.post_publish("b", AckPolicy::All, -1));
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    assert_eq!(first.route, *partition.route());
    assert_eq!(first.received_at, crate::partition::testing::BEGIN.plus(Duration::from_secs(5)));
    assert!(second.received_at > first.received_at, "times strictly increase");
    assert_eq!(first.acked_at, first.received_at, "no time passed");
    assert_eq!(second.acked_at, second.received_at, "nothing is acknowledged before it came");
    let received = partition.status().messages_received;
    assert_eq!((received.first, received.latest), (Some(first.received_at), Some(second.received_at)));
}

#[tokio::test]
async fn a_publisher_under_none_can_hear_of_a_refusal() {
    let node = Node::in_memory();
    let partition = node.open(0);
    assert!(partition.publish_and_wait("a", AckPolicy::None).await.is_ok());
    partition.set_readonly(true).await;
    let refused = partition.publish_and_wait("b", AckPolicy::None).await;
    assert_eq!(refused.unwrap_err(), PublishError::Readonly { partition: PartitionId::new(0).unwrap() });
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_and_one_at_it_is_not() {
    let partition = Node::new(Arc::new(MemoryVolume::new()), |config| config.message_bytes_max = 10).open(0);
    assert!(partition.publish_and_wait("0123456789", AckPolicy::All).await.is_ok());
    let refused = partition.publish_and_wait("0123456789x", AckPolicy::All).await;
    assert_eq!(refused.unwrap_err(), PublishError::TooLarge { bytes: 11, limit: 10 });
}

#[tokio::test]
async fn a_message_larger_than_a_batch_should_be_goes_alone() {
    let large = 8 * 1024 * 1024;
    let partition = Node::new(Arc::new(MemoryVolume::new()), |config| config.message_bytes_max = large).open(0);
    let big = "x".repeat(large);
    let answers: Vec<Answer> =
        ["small", &big, "small", &big].iter().map(|value| partition.post_publish(value, AckPolicy::All, -1)).collect();
    for (index, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap().offset, Offset::new(index as u64));
    }
}

#[tokio::test]
async fn expected_offsets_count_only_with_concurrency_control() {
    let node = Node::in_memory();
    let plain = node.open(0);
    assert!(plain.post_publish("a", AckPolicy::Leader, 77).await.unwrap().is_ok());

    let controlled = node.open_with(1, |spec| spec.settings.optimistic_concurrency_control = true);
    let publish = |expected| controlled.post_publish("a", AckPolicy::Leader, expected);
    let answers = [publish(0), publish(0), publish(1), publish(-1), publish(-7), publish(3)];
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.unwrap().map(|acked| acked.offset.get()));
    }
    let incorrect = |expected, next| Err(PublishError::IncorrectOffset { expected, next: Offset::new(next) });
    assert_eq!(outcomes, [Ok(0), incorrect(0, 1), Ok(1), Ok(2), incorrect(-7, 3), Ok(3)]);
}

#[tokio::test]
async fn all_below_the_minimum_is_refused_and_leader_is_served() {
    let partition = Node::in_memory().open_with(0, |spec| spec.settings.min_isr = Some(2));
    let refused = partition.publish_and_wait("a", AckPolicy::All).await;
    assert_eq!(refused.unwrap_err(), PublishError::TooFewInSync { in_sync_count: 1, minimum: 2 });
    partition.publish_and_wait("b", AckPolicy::Leader).await.unwrap();
    let mut subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    assert_eq!(subscription.next().await.unwrap()[0].value, "b");
}

#[tokio::test]
async fn the_subject_a_message_arrived_on_is_stored_only_when_it_is_another() {
    let partition = Node::in_memory().open(0);
    let (mut other, answer) = proposal(b"a");
    other.arrived_on = Some(Subject::new("foo.x").unwrap());
    other.reply_subject = Bytes::from_static(b"inbox");
    partition.publish(other);
    answer.await.unwrap().unwrap();
    partition.publish_and_wait("b", AckPolicy::All).await.unwrap();
    let mut subscription = partition.read(StartPosition::Earliest, StopPosition::Latest).await;
    let mut records = subscription.next().await.unwrap();
    if records.len() == 1 {
        records.extend(subscription.next().await.unwrap());
    }
    let names: Vec<Vec<Bytes>> =
        records.iter().map(|record| record.headers.iter().map(|header| header.name.clone()).collect()).collect();
    assert_eq!(names, [vec![Bytes::from_static(b"subject"), Bytes::from_static(b"reply")], vec![]]);
}

#[tokio::test]
async fn a_full_disk_refuses_publishes_until_there_is_space() {
    let volume = FaultyVolume::new(1);
    let partition = Node::new(Arc::new(volume.clone()), |_| {}).open(0);
    partition.publish_and_wait("before", AckPolicy::All).await.unwrap();
    volume.limit_free_bytes(Some(0));
    for policy in [AckPolicy::All, AckPolicy::Leader, AckPolicy::All] {
        assert_eq!(partition.publish_and_wait("refused", policy).await.unwrap_err(), PublishError::DiskFull);
    }
    assert_eq!(partition.status().state, RunState::Open);
    let mut subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    assert_eq!(subscription.next().await.unwrap()[0].value, "before", "reads go on");
    volume.limit_free_bytes(None);
    assert_eq!(partition.publish_and_wait("after", AckPolicy::All).await.unwrap().offset, Offset::new(1));
    assert_eq!(subscription.next().await.unwrap()[0].value, "after");
}

#[tokio::test]
async fn where_no_file_can_be_opened_publishes_are_refused_until_one_can() {
    let volume = FaultyVolume::new(1);
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let (unused, parked, in_use) = (node.open(0), node.open(1), node.open(2));
    parked.publish_and_wait("before", AckPolicy::All).await.unwrap();
    node.advance(Duration::from_secs(60));
    parked.settle().await;
    in_use.publish_and_wait("before", AckPolicy::All).await.unwrap();

    volume.exhaust_files(Some(0));
    for (partition, policy) in [(&unused, AckPolicy::All), (&parked, AckPolicy::Leader), (&unused, AckPolicy::Leader)] {
        let refused = partition.publish_and_wait("refused", policy).await;
        assert_eq!(refused.unwrap_err(), PublishError::FilesExhausted);
        assert_eq!(partition.status().state, RunState::Open);
    }
    in_use.publish_and_wait("its file is open", AckPolicy::All).await.unwrap();

    volume.exhaust_files(None);
    for (partition, offset) in [(&unused, 0), (&parked, 1), (&in_use, 2)] {
        let stored = partition.publish_and_wait("after", AckPolicy::All).await.unwrap();
        assert_eq!(stored.offset, Offset::new(offset));
    }
}

#[tokio::test]
async fn a_log_that_could_not_be_opened_for_want_of_descriptors_is_opened_when_there_are_some() {
    let volume = FaultyVolume::new(1);
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    volume.exhaust_files(Some(0));
    let (partition, paused) = (node.open(0), node.open(1));
    paused.pause().await;
    for _ in 0..3 {
        let refused = partition.publish_and_wait("refused", AckPolicy::All).await;
        assert!(matches!(refused, Err(PublishError::Offline { .. })), "{refused:?}");
        node.advance(Duration::from_secs(1));
        partition.settle().await;
    }
    volume.exhaust_files(None);
    node.advance(Duration::from_secs(1));
    assert_eq!(partition.publish_and_wait("after", AckPolicy::All).await.unwrap().offset, Offset::ZERO);
    assert_eq!(paused.status().state, RunState::Paused, "nobody resumed it");
}

#[tokio::test]
async fn a_failed_sync_takes_one_partition_offline_and_no_other() {
    let volume = FaultyVolume::new(1);
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let (bad, good) = (node.open(0), node.open(1));
    bad.publish_and_wait("committed", AckPolicy::All).await.unwrap();
    good.publish_and_wait("committed", AckPolicy::All).await.unwrap();
    volume.fail_syncs(Some(io::ErrorKind::Other));
    let unknown = bad.publish_and_wait("lost", AckPolicy::All).await;
    assert!(matches!(unknown, Err(PublishError::WentOffline { .. })), "{unknown:?}");
    volume.fail_syncs(None);
    let refused = bad.publish_and_wait("late", AckPolicy::Leader).await;
    assert!(matches!(refused, Err(PublishError::Offline { .. })), "it stays offline: {refused:?}");
    good.publish_and_wait("fine", AckPolicy::All).await.unwrap();

    let status = bad.status();
    assert!(matches!(status.state, RunState::Offline { .. }), "{status:?}");
    assert_eq!(status.high_watermark, Offset::new(1), "what failed to sync is not committed");
    let mut subscription = bad.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    assert_eq!(subscription.next().await.unwrap().len(), 1, "what is committed is served");
    assert!(subscription.next().await.is_err());
}

#[tokio::test]
async fn what_comes_behind_a_failed_write_is_certainly_not_stored() {
    let volume = FaultyVolume::new(1);
    let node = Node::new(Arc::new(volume.clone()), |config| config.batch_messages_max = 2);
    let partition = node.open(0);
    partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    volume.fail_operation(0, io::ErrorKind::Other);
    let (mut proposals, answers): (Vec<_>, Vec<_>) = (0..6).map(|_| proposal(b"b")).unzip();
    partition.publish_all(&mut proposals);
    for (index, answer) in answers.into_iter().enumerate() {
        let refused = answer.await.unwrap().unwrap_err();
        let is_as_expected = match index {
            0..2 => matches!(refused, PublishError::WentOffline { .. }),
            _ => matches!(refused, PublishError::Offline { .. }),
        };
        assert!(is_as_expected, "{index}: {refused:?}");
    }
    assert_eq!(partition.status().log_end, Offset::new(1));
}

#[tokio::test]
async fn a_crash_keeps_every_message_acknowledged_under_all() {
    for seed in 0..20 {
        let volume = FaultyVolume::new(seed);
        let node = Node::new(Arc::new(volume.clone()), |config| config.batch_messages_max = 3);
        let partition = node.open(0);
        let answers: Vec<Answer> =
            (0..40).map(|n| partition.post_publish(&format!("message {n}"), AckPolicy::All, -1)).collect();
        let mut acked = HashSet::new();
        for answer in answers.into_iter().take(10 + usize::try_from(seed).unwrap()) {
            acked.insert(answer.await.unwrap().unwrap().offset);
        }
        volume.crash();
        node.host.stop(false);

        let reopened = Node::new(Arc::new(volume), |_| {}).open(0);
        let status = reopened.status();
        assert_eq!(status.state, RunState::Open, "seed {seed}");
        assert_eq!(status.high_watermark, status.log_end, "a sole replica commits what it recovered");
        let mut found = Vec::new();
        let mut subscription = reopened.read(StartPosition::Earliest, StopPosition::Latest).await;
        while let Ok(records) = subscription.next().await {
            found.extend(records);
        }
        for (index, record) in found.iter().enumerate() {
            assert_eq!(record.offset, Offset::new(index as u64), "seed {seed}");
            assert_eq!(record.value, format!("message {index}"), "seed {seed}");
        }
        let lost: Vec<&Offset> = acked.iter().filter(|offset| offset.get() >= found.len() as u64).collect();
        assert!(lost.is_empty(), "seed {seed} lost {lost:?}");
        reopened.publish_and_wait("after", AckPolicy::All).await.unwrap();
    }
}
