use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::{FaultyVolume, MemoryVolume, Volume};
use liftbridge_types::{AckPolicy, Offset};

use crate::errors::{GoOn, SubscribeError, SubscriptionEnd};
use crate::partition::host::CONCURRENT_READS_MAX;
use crate::partition::testing::{BEGIN, GatedVolume, Node, PartitionTesting, proposal};
use crate::partition::{Partition, READ_BYTES_MODEST};
use crate::requests::{StartPosition, StopPosition};
use crate::subscription::Subscription;

/// Everything up to the end, as offsets, and the end.
async fn drain(mut subscription: Subscription) -> (Vec<u64>, SubscriptionEnd) {
    let mut offsets = Vec::new();
    loop {
        match subscription.next().await {
            Ok(records) => offsets.extend(records.iter().map(|record| record.offset.get())),
            Err(end) => return (offsets, end),
        }
    }
}

async fn publish(partition: &Arc<Partition>, count: usize) {
    let answers: Vec<_> = (0..count).map(|_| partition.post_publish("a", AckPolicy::All, -1)).collect();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
}

/// Has everything read from the files from now on.
async fn park(node: &Node, partition: &Arc<Partition>) {
    node.advance(Duration::from_secs(60));
    partition.settle().await;
}

#[tokio::test]
async fn every_range_is_read_alike_from_memory_and_from_files() {
    let node = Node::new(Arc::new(MemoryVolume::new()), |config| config.batch_messages_max = 7);
    let partition = node.open_with(0, |spec| spec.settings.segment_max_bytes = 500);
    publish(&partition, 100).await;
    for parked in [false, true] {
        if parked {
            park(&node, &partition).await;
        }
        let cases = [(0, 99), (0, 0), (13, 13), (5, 61), (99, 99)];
        for (start, stop) in cases {
            let (start_at, stop_at) = (StartPosition::Offset(start), StopPosition::Offset(stop));
            let forward = drain(partition.subscribe(start_at, stop_at, false).await.unwrap()).await;
            let expected: Vec<u64> = (start.unsigned_abs()..=stop.unsigned_abs()).collect();
            assert_eq!(forward, (expected.clone(), SubscriptionEnd::StopReached), "{start}..={stop} parked {parked}");

            let (start_at, stop_at) = (StartPosition::Offset(stop), StopPosition::Offset(start));
            let downward = drain(partition.subscribe(start_at, stop_at, true).await.unwrap()).await;
            let expected: Vec<u64> = expected.into_iter().rev().collect();
            assert_eq!(downward, (expected, SubscriptionEnd::StopReached), "{stop} down to {start} parked {parked}");
        }
    }
}

#[tokio::test]
async fn reverse_ends_at_the_oldest_record_and_at_once_on_an_empty_log() {
    let node = Node::in_memory();
    let partition = node.open(0);
    let reverse = |start| partition.subscribe(start, StopPosition::OnCancel, true);
    assert_eq!(drain(reverse(StartPosition::Latest).await.unwrap()).await, (vec![], SubscriptionEnd::StopReached));
    publish(&partition, 3).await;
    for start in [StartPosition::Latest, StartPosition::NewOnly, StartPosition::Offset(50)] {
        let read = drain(reverse(start).await.unwrap()).await;
        assert_eq!(read, (vec![2, 1, 0], SubscriptionEnd::StopReached));
    }
    assert_eq!(drain(reverse(StartPosition::Earliest).await.unwrap()).await.0, [0]);
    partition.set_readonly(true).await;
    assert_eq!(drain(reverse(StartPosition::Latest).await.unwrap()).await.0, [2, 1, 0]);
}

#[tokio::test]
async fn times_find_records_by_both_ends() {
    let node = Node::in_memory();
    let partition = node.open(0);
    let mut times = Vec::new();
    for _ in 0..8 {
        node.clock.advance(Duration::from_secs(1));
        times.push(partition.publish_and_wait("a", AckPolicy::All).await.unwrap().received_at);
    }
    let (start, stop) = (StartPosition::Timestamp(times[2]), StopPosition::Timestamp(times[6]));
    assert_eq!(drain(partition.read(start, stop).await).await, (vec![2, 3, 4, 5, 6], SubscriptionEnd::StopReached));
    let before = StopPosition::Timestamp(times[0].minus(Duration::from_secs(1)));
    let refused = partition.subscribe(StartPosition::Earliest, before, false).await;
    assert_eq!(refused.unwrap_err(), SubscribeError::BeforeBeginning);
}

#[tokio::test]
async fn a_subscriber_waits_for_the_commit_not_for_the_append() {
    let volume = GatedVolume::default();
    let partition = Node::new(Arc::new(volume.clone()), |_| {}).open(0);
    let mut subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    volume.close_gate();
    partition.publish_and_wait("a", AckPolicy::Leader).await.unwrap();
    volume.wait_for_sync();
    assert_eq!(partition.status().log_end, Offset::new(1));
    assert!(tokio::time::timeout(Duration::ZERO, subscription.next()).await.is_err(), "not committed");
    volume.open_gate();
    assert_eq!(subscription.next().await.unwrap()[0].offset, Offset::ZERO);
}

#[tokio::test]
async fn a_start_beyond_the_end_delivers_the_next_record() {
    let partition = Node::in_memory().open(0);
    publish(&partition, 5).await;
    let mut subscription = partition.read(StartPosition::Offset(100), StopPosition::OnCancel).await;
    publish(&partition, 1).await;
    assert_eq!(subscription.next().await.unwrap()[0].offset, Offset::new(5));
}

#[tokio::test]
async fn making_a_partition_readonly_ends_who_has_read_everything() {
    let partition = Node::in_memory().open(0);
    publish(&partition, 2).await;
    let early = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    let waiting = tokio::spawn(drain(early));
    partition.set_readonly(true).await;
    assert_eq!(waiting.await.unwrap(), (vec![0, 1], SubscriptionEnd::ReadonlyEnd));
    let late = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    assert_eq!(drain(late).await, (vec![0, 1], SubscriptionEnd::StopReached));
}

#[tokio::test]
async fn an_empty_readonly_partition_ends_at_once() {
    let partition = Node::in_memory().open_with(0, |spec| spec.readonly = true);
    let subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    assert_eq!(drain(subscription).await, (vec![], SubscriptionEnd::ReadonlyEnd));
}

#[tokio::test]
async fn stop_latest_on_an_empty_partition_is_refused() {
    let partition = Node::in_memory().open(0);
    let refused = partition.subscribe(StartPosition::Earliest, StopPosition::Latest, false).await;
    assert_eq!(refused.unwrap_err(), SubscribeError::Empty);
    assert_eq!(partition.status().subscription_count, 0, "nothing is left behind");
}

#[tokio::test]
async fn one_delivery_is_bounded_by_number_and_by_size() {
    let node = Node::in_memory();
    let partition = node.open(0);
    publish(&partition, 5000).await;
    for parked in [false, true] {
        if parked {
            park(&node, &partition).await;
        }
        let mut subscription = partition.read(StartPosition::Earliest, StopPosition::Latest).await;
        let mut count = 0;
        while let Ok(records) = subscription.next().await {
            assert!(records.len() <= 1024);
            count += records.len();
        }
        assert_eq!(count, 5000);
    }
    let large = "x".repeat(200_000);
    for _ in 0..10 {
        partition.publish_and_wait(&large, AckPolicy::All).await.unwrap();
    }
    let mut subscription = partition.read(StartPosition::Offset(5000), StopPosition::Latest).await;
    while let Ok(records) = subscription.next().await {
        assert!(records.len() <= 2, "256 KiB and what the last record has beyond");
    }
}

#[tokio::test]
async fn dropping_a_wait_loses_no_record() {
    let node = Node::in_memory();
    let partition = node.open(0);
    publish(&partition, 3000).await;
    park(&node, &partition).await;
    let mut subscription = partition.read(StartPosition::Earliest, StopPosition::Latest).await;
    let mut offsets = Vec::new();
    loop {
        // Polled once and dropped, again and again: a blocking read never ends within its first poll.
        match tokio::time::timeout(Duration::ZERO, subscription.next()).await {
            Err(_) => tokio::task::yield_now().await,
            Ok(Ok(records)) => offsets.extend(records.iter().map(|record| record.offset.get())),
            Ok(Err(end)) => {
                assert_eq!(end, SubscriptionEnd::StopReached);
                break;
            }
        }
    }
    assert_eq!(offsets, (0..3000).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_waiting_subscriber_holds_no_file() {
    let volume = GatedVolume::default();
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let partition = node.open(0);
    publish(&partition, 10).await;
    park(&node, &partition).await;
    let mut subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    assert_eq!(subscription.next().await.unwrap().len(), 10);
    assert!(tokio::time::timeout(Duration::ZERO, subscription.next()).await.is_err());
    park(&node, &partition).await;
    assert_eq!(volume.open_files(), 0);
    publish(&partition, 1).await;
    assert_eq!(subscription.next().await.unwrap()[0].offset, Offset::new(10));
}

#[tokio::test]
async fn there_are_never_more_subscriptions_than_the_limit() {
    let node = Node::new(Arc::new(MemoryVolume::new()), |config| config.subscriptions_max = 2);
    let partition = node.open(0);
    let first = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    let _second = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    let refused = partition.subscribe(StartPosition::Earliest, StopPosition::OnCancel, false).await;
    assert_eq!(refused.unwrap_err(), SubscribeError::TooManySubscriptions { limit: 2 });
    assert_eq!(partition.status().subscription_count, 2);
    drop(first);
    let _third = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
}

/// Batches of one record and of many, from memory and from the files, up and down.
#[tokio::test]
async fn subscribers_beyond_what_all_may_hold_read_little_by_little_and_miss_nothing() {
    const RECORDS: usize = 32;
    let held = Arc::new(MemoryVolume::new());
    for batch_messages_max in [1, RECORDS] {
        let node = Node::new(held.clone(), |config| {
            config.batch_messages_max = batch_messages_max;
            // The whole log fits three times and a half.
            config.read_bytes_max = 7 * RECORDS * READ_BYTES_MODEST / 4;
        });
        let partition = node.open(u32::try_from(batch_messages_max).unwrap());
        publish_values(&partition, RECORDS, READ_BYTES_MODEST / 2).await;
        for (is_parked, reverse) in [(false, false), (true, false), (true, true)] {
            if is_parked {
                park(&node, &partition).await;
            }
            let start = if reverse { StartPosition::Latest } else { StartPosition::Earliest };
            let mut unread = Vec::new();
            let mut delivered_count = 0;
            for _ in 0..20 {
                let mut subscription = partition.subscribe(start, StopPosition::OnCancel, reverse).await.unwrap();
                delivered_count += subscription.next().await.unwrap().len();
                unread.push(subscription);
            }
            let everything_count = 20 * RECORDS;
            assert!(delivered_count < everything_count / 2, "{delivered_count} of {everything_count} records are held");
            let mut modest = partition.subscribe(start, StopPosition::OnCancel, reverse).await.unwrap();
            let mut offsets = drain_some(&mut modest, RECORDS).await;
            if reverse {
                offsets.reverse();
            }
            assert_eq!(offsets, (0..RECORDS as u64).collect::<Vec<_>>(), "slower, and nothing is left out");
        }
    }
}

/// A record shares the memory of its batch, and the batch is large though the record is small.
#[tokio::test]
async fn who_may_not_hold_a_batch_holds_copies() {
    let node = Node::new(Arc::new(MemoryVolume::new()), |config| config.read_bytes_max = 0);
    let partition = node.open(0);
    publish_values(&partition, 64, READ_BYTES_MODEST).await;
    for is_parked in [false, true] {
        if is_parked {
            park(&node, &partition).await;
        }
        let mut subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
        let delivered = subscription.next().await.unwrap();
        assert_eq!(delivered.len(), 1);
        assert!(delivered.into_iter().next().unwrap().value.is_unique(), "nobody else has this memory");
    }
}

#[tokio::test]
async fn what_a_subscriber_holds_is_given_back_when_it_has_taken_it_or_leaves() {
    let node = Node::new(Arc::new(MemoryVolume::new()), |config| {
        config.batch_messages_max = 1;
        // What is read at once, four times.
        config.read_bytes_max = 4 * 200 * 1024;
    });
    let partition = node.open(0);
    publish_values(&partition, 8, 64 * 1024).await;
    let whole_count = async || {
        let mut subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
        (subscription.next().await.unwrap().len(), subscription)
    };
    let held = [whole_count().await, whole_count().await, whole_count().await, whole_count().await];
    assert_eq!(whole_count().await.0, 1, "there is no room for more");
    drop(held);
    assert!(whole_count().await.0 > 1);
}

/// Publishes all of them at once, so that they share batches where they may.
async fn publish_values(partition: &Arc<Partition>, count: usize, bytes: usize) {
    let value = "x".repeat(bytes);
    let answers: Vec<_> = (0..count).map(|_| partition.post_publish(&value, AckPolicy::All, -1)).collect();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
}

/// The offsets of the next deliveries, up to `count` of them or more.
async fn drain_some(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        offsets.extend(subscription.next().await.unwrap().iter().map(|record| record.offset.get()));
    }
    offsets
}

#[tokio::test]
async fn damage_ends_with_its_place_and_everything_else_is_served() {
    let volume = FaultyVolume::new(3);
    let node = Node::new(Arc::new(volume.clone()) as Arc<dyn Volume>, |config| config.batch_messages_max = 1);
    let partition = node.open(4);
    let mut batch_ends = Vec::new();
    for _ in 0..6 {
        partition.publish_and_wait("some value", AckPolicy::All).await.unwrap();
        batch_ends.push(log_bytes(&volume));
    }
    park(&node, &partition).await;
    let inside_third = batch_ends[2] - 3;
    volume.flip_bit(&format!("{DIRECTORY}/{LOG}"), inside_third, 1).unwrap();

    let (offsets, end) = drain(partition.read(StartPosition::Earliest, StopPosition::OnCancel).await).await;
    assert_eq!(offsets, [0, 1]);
    let expected = |go_on| SubscriptionEnd::DataLoss {
        stream: "orders".to_owned(),
        partition: partition.route().partition,
        start: Offset::new(2),
        last: Offset::new(2),
        go_on,
    };
    assert_eq!(end, expected(GoOn::Upward(Offset::new(3))));
    let rest = drain(partition.read(StartPosition::Offset(3), StopPosition::Latest).await).await;
    assert_eq!(rest, (vec![3, 4, 5], SubscriptionEnd::StopReached));

    let reverse = partition.subscribe(StartPosition::Latest, StopPosition::OnCancel, true).await.unwrap();
    assert_eq!(drain(reverse).await, (vec![5, 4, 3], expected(GoOn::Downward(Offset::new(1)))));
    let reverse = partition.subscribe(StartPosition::Offset(1), StopPosition::OnCancel, true).await.unwrap();
    assert_eq!(drain(reverse).await, (vec![1, 0], SubscriptionEnd::StopReached));
    partition.publish_and_wait("still writable", AckPolicy::All).await.unwrap();
}

#[tokio::test]
async fn damage_is_told_to_whoever_reads_from_a_time_or_up_to_one_that_it_may_hold() {
    let volume = FaultyVolume::new(3);
    let node = Node::new(Arc::new(volume.clone()) as Arc<dyn Volume>, |config| config.batch_messages_max = 1);
    let partition = node.open(4);
    let (mut batch_ends, mut times) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        node.clock.advance(Duration::from_secs(1));
        times.push(partition.publish_and_wait("some value", AckPolicy::All).await.unwrap().received_at);
        batch_ends.push(log_bytes(&volume));
    }
    park(&node, &partition).await;
    volume.flip_bit(&format!("{DIRECTORY}/{LOG}"), batch_ends[2] - 3, 1).unwrap();
    let sought = times[2];
    let third = Offset::new(2);
    let is_loss = |end: &SubscriptionEnd| match end {
        SubscriptionEnd::DataLoss { start, last, .. } => (*start, *last) == (third, third),
        _ => false,
    };
    let from = partition.read(StartPosition::Timestamp(sought), StopPosition::OnCancel).await;
    let (offsets, end) = drain(from).await;
    assert!(offsets.is_empty() && is_loss(&end), "{offsets:?}, {end}");
    let up_to = partition.read(StartPosition::Earliest, StopPosition::Timestamp(sought)).await;
    let (offsets, end) = drain(up_to).await;
    assert!(offsets == [0, 1] && is_loss(&end), "{offsets:?}, {end}");
}

/// Nobody can say in which order lie what cannot be read, so no order is wrong.
#[tokio::test]
async fn a_reverse_read_between_times_that_the_same_damage_may_hold_is_told_of_the_damage() {
    let volume = FaultyVolume::new(3);
    let node = Node::new(Arc::new(volume.clone()) as Arc<dyn Volume>, |config| config.batch_messages_max = 4);
    let partition = node.open(4);
    let (mut batch_ends, mut times) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        node.clock.advance(Duration::from_secs(1));
        // One batch of four.
        let (mut proposals, answers): (Vec<_>, Vec<_>) = (0..4).map(|_| proposal(b"some value")).unzip();
        partition.publish_all(&mut proposals);
        for answer in answers {
            times.push(answer.await.unwrap().unwrap().received_at);
        }
        batch_ends.push(log_bytes(&volume));
    }
    park(&node, &partition).await;
    volume.flip_bit(&format!("{DIRECTORY}/{LOG}"), batch_ends[1] - 3, 1).unwrap();
    let is_loss = |end: &SubscriptionEnd| match end {
        SubscriptionEnd::DataLoss { start, last, .. } => (start.get(), last.get()) == (4, 7),
        _ => false,
    };
    let time = |offset: usize| (StartPosition::Timestamp(times[offset]), StopPosition::Timestamp(times[offset]));
    let (inside, later) = (time(5), time(6));
    let offset = |offset| (StartPosition::Offset(offset), StopPosition::Offset(offset));
    for (start, stop) in [
        (inside.0, inside.1),
        (later.0, inside.1),
        (inside.0, later.1),
        (inside.0, offset(6).1),
        (offset(7).0, inside.1),
        (time(7).0, time(2).1),
    ] {
        let read = partition.subscribe(start, stop, true).await.unwrap();
        let (offsets, end) = drain(read).await;
        assert!(offsets.is_empty() && is_loss(&end), "{start:?} to {stop:?}: {offsets:?}, {end}");
    }
    let read = partition.subscribe(time(9).0, inside.1, true).await.unwrap();
    let (offsets, end) = drain(read).await;
    assert!(offsets == [9, 8] && is_loss(&end), "{offsets:?}, {end}");
    let refused = partition.subscribe(time(2).0, inside.1, true).await;
    assert!(matches!(refused, Err(SubscribeError::StopAfterStart { .. })), "whatever it is, it is above");
}

const DIRECTORY: &str = "streams/orders/4";
const LOG: &str = "00000000000000000000.log";

fn log_bytes(volume: &FaultyVolume) -> u64 {
    let files = volume.directory(DIRECTORY).list().unwrap();
    files.iter().find(|file| file.name == LOG).map(|file| file.bytes).unwrap()
}

#[tokio::test]
async fn a_subscription_ends_at_a_pause_even_if_it_looks_only_after_the_resumption() {
    let node = Node::in_memory();
    let partition = node.open(0);
    publish(&partition, 1).await;
    let mut slow = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    let mut waiting = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    let unread = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    assert_eq!(slow.next().await.unwrap().len(), 1);
    assert_eq!(waiting.next().await.unwrap().len(), 1);
    assert!(tokio::time::timeout(Duration::ZERO, waiting.next()).await.is_err());
    partition.pause().await;
    partition.resume().await;
    publish(&partition, 3).await;
    for subscription in [slow, waiting, unread] {
        let drained = tokio::time::timeout(Duration::from_secs(20), drain(subscription)).await;
        assert_eq!(drained.expect("it ends"), (vec![], SubscriptionEnd::Paused));
    }
    let afterwards = partition.read(StartPosition::Earliest, StopPosition::Latest).await;
    assert_eq!(drain(afterwards).await, (vec![0, 1, 2, 3], SubscriptionEnd::StopReached));
}

#[tokio::test]
async fn a_pause_while_a_position_is_looked_up_refuses_the_subscription() {
    let node = Node::in_memory();
    let partition = node.open(0);
    publish(&partition, 1).await;
    let mut reads = Vec::new();
    for _ in 0..CONCURRENT_READS_MAX {
        reads.push(node.host.admit_read().await);
    }
    let mut subscribing = pin!(partition.subscribe(StartPosition::Timestamp(BEGIN), StopPosition::OnCancel, false));
    assert!(tokio::time::timeout(Duration::ZERO, &mut subscribing).await.is_err(), "it waits to be let read");
    partition.pause().await;
    partition.resume().await;
    drop(reads);
    assert_eq!(subscribing.await.unwrap_err(), SubscribeError::Paused);
}
