//! The whole node over a volume in memory: what is asked of the handle and what comes of it.

mod stopping;

use std::time::{Duration, Instant};

use bytes::Bytes;
use liftbridge_auth::Authorized;
use liftbridge_commitlog::{FaultyVolume, MemoryVolume, Volume};
use liftbridge_types::{AckPolicy, Message, Offset, SettingOverrides, StreamName, Subject};

use super::*;
use crate::errors::{
    ChangeStreamError, CreateStreamError, DescribeError, MetadataUnavailable, PublishError, SubscribeError,
    SubscriptionEnd,
};
use crate::publish_reply::{PublishOutcome, PublishReply};
use crate::requests::{
    CreateStream, DeleteStream, PauseStream, Publish, PublishToSubject, ReplicationFactor, SetStreamReadonly, Shutdown,
    StartPosition, StopPosition, Subscribe,
};

/// A broker on this volume.
async fn start(volume: &(impl Volume + Clone + 'static)) -> Broker {
    try_start(volume, "a").await.unwrap()
}

async fn try_start(volume: &(impl Volume + Clone + 'static), id: &str) -> Result<Broker, StartError> {
    Broker::start(BrokerConfig::new(Arc::new(volume.clone()), BrokerId::new(id).unwrap())).await
}

async fn stop(broker: Broker) {
    broker.shutdown(Shutdown::Graceful(Duration::from_secs(60))).await;
}

fn stream(name: &str) -> CreateStream {
    CreateStream {
        name: StreamName::new(name).unwrap(),
        subject: Subject::new(name).unwrap(),
        group: None,
        partitions: 1,
        replication_factor: ReplicationFactor::Count(1),
        overrides: SettingOverrides::default(),
    }
}

async fn create(broker: &Broker, request: CreateStream) {
    broker.create_stream(Authorized::internal(request)).await.unwrap();
}

async fn delete(broker: &Broker, name: &str) -> Result<(), ChangeStreamError> {
    broker.delete_stream(Authorized::internal(DeleteStream { name: name.to_owned() })).await
}

async fn pause(broker: &Broker, name: &str, partitions: &[i32], resume_all: bool) -> Result<(), ChangeStreamError> {
    let request = PauseStream { name: name.to_owned(), partitions: partitions.to_vec(), resume_all };
    broker.pause_stream(Authorized::internal(request)).await
}

async fn set_readonly(
    broker: &Broker,
    name: &str,
    partitions: &[i32],
    readonly: bool,
) -> Result<(), ChangeStreamError> {
    let request = SetStreamReadonly { name: name.to_owned(), partitions: partitions.to_vec(), readonly };
    broker.set_stream_readonly(Authorized::internal(request)).await
}

fn message(value: &'static str) -> Message {
    Message { value: Bytes::from_static(value.as_bytes()), ..Message::default() }
}

fn to(stream: &str, partition: i32, value: &'static str) -> Publish {
    let (message, ack_policy) = (message(value), AckPolicy::All);
    Publish { stream: stream.to_owned(), partition, message, ack_policy, expected_offset: -1 }
}

async fn publish(broker: &Broker, request: Publish) -> PublishOutcome {
    let (reply, outcome) = PublishReply::one();
    broker.publish(Authorized::internal(request), reply).await;
    outcome.await.expect("a reply is answered even when it is dropped")
}

/// Publishes to a partition; the offset it got.
async fn publish_ok(broker: &Broker, stream: &str, partition: i32, value: &'static str) -> u64 {
    publish(broker, to(stream, partition, value)).await.unwrap().offset.get()
}

async fn publish_to_subject(broker: &Broker, subject: &str, value: &'static str) -> PublishOutcome {
    let (reply, outcome) = PublishReply::one();
    let request = PublishToSubject { subject: subject.to_owned(), message: message(value), ack_policy: AckPolicy::All };
    broker.publish_to_subject(Authorized::internal(request), reply, None).await;
    outcome.await.expect("a reply is answered even when it is dropped")
}

/// To a subject that no stream listens to.
fn to_nobody() -> PublishToSubject {
    PublishToSubject { subject: "bills".to_owned(), message: message("x"), ack_policy: AckPolicy::All }
}

fn reading(stream: &str, partition: i32) -> Subscribe {
    Subscribe {
        stream: stream.to_owned(),
        partition,
        start: StartPosition::Earliest,
        stop: StopPosition::Latest,
        reverse: false,
        resume: false,
        read_isr_replica: false,
    }
}

/// The values of a partition from the first to the newest.
async fn values(broker: &Broker, stream: &str, partition: i32) -> Vec<String> {
    let mut subscription = match broker.subscribe(Authorized::internal(reading(stream, partition))).await {
        Ok(subscription) => subscription,
        Err(SubscribeError::Empty) => return Vec::new(),
        Err(error) => panic!("{stream}/{partition}: {error}"),
    };
    let mut values = Vec::new();
    loop {
        match subscription.next().await {
            Ok(records) => {
                values.extend(records.iter().map(|record| String::from_utf8_lossy(&record.value).into_owned()))
            }
            Err(SubscriptionEnd::StopReached) => return values,
            Err(end) => panic!("{stream}/{partition}: {end}"),
        }
    }
}

fn paused(broker: &Broker, name: &str) -> Vec<bool> {
    let described = broker.describe_stream(&Authorized::internal(()), name).unwrap();
    described.partitions.iter().map(|partition| partition.paused).collect()
}

#[tokio::test]
async fn what_was_published_is_read_before_and_after_a_restart() {
    let volume = MemoryVolume::new();
    let first = start(&volume).await;
    create(&first, CreateStream { partitions: 2, ..stream("orders") }).await;
    assert_eq!(publish_ok(&first, "orders", 0, "one").await, 0);
    assert_eq!(publish_ok(&first, "orders", 0, "two").await, 1);
    assert_eq!(publish_ok(&first, "orders", 1, "three").await, 0);
    assert_eq!(values(&first, "orders", 0).await, ["one", "two"]);
    stop(first).await;
    let second = start(&volume).await;
    assert_eq!(values(&second, "orders", 0).await, ["one", "two"]);
    assert_eq!(values(&second, "orders", 1).await, ["three"]);
    assert_eq!(publish_ok(&second, "orders", 0, "four").await, 2);
    stop(second).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_cut() {
    let volume = FaultyVolume::new(1);
    let first = start(&volume).await;
    create(&first, stream("orders")).await;
    publish_ok(&first, "orders", 0, "one").await;
    volume.crash();
    let second = start(&volume).await;
    assert_eq!(values(&second, "orders", 0).await, ["one"]);
    stop(second).await;
    first.shutdown(Shutdown::Fast).await;
}

#[tokio::test]
async fn a_new_stream_is_described_by_its_defaults() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, CreateStream { partitions: 2, ..stream("orders") }).await;
    let described = broker.describe_stream(&Authorized::internal(()), "orders").unwrap();
    assert_eq!((described.name.as_str(), described.subject.as_str()), ("orders", "orders"));
    assert_eq!(described.partitions.len(), 2);
    let id = broker.id().clone();
    let partition = &described.partitions[1];
    assert_eq!(
        (partition.leader.clone(), partition.replicas.clone(), partition.isr.clone()),
        (Some(id.clone()), vec![id.clone()], vec![id])
    );
    assert_eq!((partition.high_watermark, partition.log_end), (Some(Offset::ZERO), Some(Offset::ZERO)));
    assert!(!partition.paused && !partition.readonly);
    assert_eq!(broker.describe_partition(&Authorized::internal(()), "orders", 1).as_ref(), Ok(partition));
    let brokers = broker.describe_brokers(&Authorized::internal(()));
    assert_eq!((brokers.len(), brokers[0].partition_count, brokers[0].leader_count), (1, 2, 2));
    for (stream, partition) in [("orders", 2), ("orders", -1), ("bills", 0)] {
        let described = broker.describe_partition(&Authorized::internal(()), stream, partition);
        assert_eq!(described, Err(DescribeError::NotFound), "{stream}/{partition}");
    }
    assert!(broker.describe_stream(&Authorized::internal(()), "bills").is_none());
    stop(broker).await;
}

#[tokio::test]
async fn streams_that_cannot_be_are_refused_in_the_order_of_the_api() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    let check = async |request: CreateStream, expected: CreateStreamError| {
        assert_eq!(broker.create_stream(Authorized::internal(request)).await, Err(expected));
    };
    let replicated = |name, count| CreateStream { replication_factor: ReplicationFactor::Count(count), ..stream(name) };
    let set = |overrides| CreateStream { overrides, ..stream("bills") };
    let default = SettingOverrides::default;
    check(stream("__cursors"), CreateStreamError::Reserved).await;
    check(stream("__activity"), CreateStreamError::Reserved).await;
    check(CreateStream { partitions: 0, ..replicated("orders", 2) }, CreateStreamError::NoPartitions).await;
    check(replicated("orders", 0), CreateStreamError::NoReplicas { factor: 0 }).await;
    check(replicated("orders", 2), CreateStreamError::TooManyReplicas { factor: 2, brokers: 1 }).await;
    check(stream("orders"), CreateStreamError::Exists).await;
    let encrypted = set(SettingOverrides { encryption: Some(true), ..default() });
    check(encrypted, CreateStreamError::Unsupported { setting: "encryption" }).await;
    let compacted = set(SettingOverrides { compact_enabled: Some(true), ..default() });
    check(compacted, CreateStreamError::Unsupported { setting: "compactEnabled" }).await;
    let pausing = set(SettingOverrides { auto_pause_time: Some(Duration::from_secs(1)), ..default() });
    check(pausing, CreateStreamError::Unsupported { setting: "autoPauseTime" }).await;
    let all_off = SettingOverrides {
        encryption: Some(false),
        compact_enabled: Some(false),
        auto_pause_time: Some(Duration::ZERO),
        ..default()
    };
    create(&broker, set(all_off)).await;
    create(&broker, CreateStream { replication_factor: ReplicationFactor::Max, ..stream("everywhere") }).await;
    stop(broker).await;
}

#[tokio::test]
async fn changes_to_what_does_not_exist_say_what_is_missing() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    assert_eq!(delete(&broker, "bills").await, Err(ChangeStreamError::StreamNotFound));
    assert_eq!(delete(&broker, "").await, Err(ChangeStreamError::StreamNotFound));
    assert_eq!(delete(&broker, "../..").await, Err(ChangeStreamError::StreamNotFound));
    assert_eq!(delete(&broker, "__cursors").await, Err(ChangeStreamError::Reserved));
    let cases: [(&str, &[i32], ChangeStreamError); 7] = [
        ("bills", &[], ChangeStreamError::NotFoundForAll),
        ("", &[], ChangeStreamError::NotFoundForAll),
        ("bills", &[0], ChangeStreamError::StreamNotFound),
        ("bills", &[-1], ChangeStreamError::StreamNotFound),
        ("orders", &[1], ChangeStreamError::PartitionNotFound),
        ("orders", &[-1], ChangeStreamError::PartitionNotFound),
        ("orders", &[0, i32::MAX], ChangeStreamError::PartitionNotFound),
    ];
    for (stream, partitions, expected) in cases {
        assert_eq!(pause(&broker, stream, partitions, false).await, Err(expected.clone()), "{stream} {partitions:?}");
        assert_eq!(set_readonly(&broker, stream, partitions, true).await, Err(expected), "{stream} {partitions:?}");
    }
    stop(broker).await;
}

#[tokio::test]
async fn a_recreated_stream_begins_anew() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    create(&broker, stream("orders")).await;
    publish_ok(&broker, "orders", 0, "old").await;
    let mut reader = broker
        .subscribe(Authorized::internal(Subscribe { stop: StopPosition::OnCancel, ..reading("orders", 0) }))
        .await
        .unwrap();
    reader.next().await.unwrap();
    delete(&broker, "orders").await.unwrap();
    assert_eq!(reader.next().await, Err(SubscriptionEnd::Deleted));
    assert_eq!(volume.list_directories("streams").unwrap(), Vec::<String>::new());
    let outcome = publish(&broker, to("orders", 0, "lost")).await;
    assert_eq!(outcome.unwrap_err(), PublishError::StreamNotFound { stream: "orders".to_owned() });
    create(&broker, stream("orders")).await;
    assert_eq!(publish_ok(&broker, "orders", 0, "new").await, 0);
    assert_eq!(values(&broker, "orders", 0).await, ["new"]);
    stop(broker).await;
    let broker = start(&volume).await;
    assert_eq!(values(&broker, "orders", 0).await, ["new"]);
    stop(broker).await;
}

#[tokio::test]
async fn publishing_resumes_one_partition_or_all_of_them() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, CreateStream { partitions: 3, ..stream("orders") }).await;
    publish_ok(&broker, "orders", 0, "before").await;
    pause(&broker, "orders", &[], false).await.unwrap();
    assert_eq!(paused(&broker, "orders"), [true, true, true]);
    let refused = broker.subscribe(Authorized::internal(reading("orders", 0))).await.unwrap_err();
    assert_eq!(refused, SubscribeError::Paused);
    let refused = broker.describe_partition(&Authorized::internal(()), "orders", 0);
    assert_eq!(refused, Err(DescribeError::NotLeader));
    assert_eq!(publish_ok(&broker, "orders", 0, "after").await, 1);
    assert_eq!(paused(&broker, "orders"), [false, true, true]);
    assert_eq!(values(&broker, "orders", 0).await, ["before", "after"]);
    pause(&broker, "orders", &[0], true).await.unwrap();
    publish_ok(&broker, "orders", 2, "all").await;
    assert_eq!(paused(&broker, "orders"), [false, false, false]);
    stop(broker).await;
}

#[tokio::test]
async fn subscribing_resumes_when_it_is_asked_to() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    create(&broker, stream("orders")).await;
    publish_ok(&broker, "orders", 0, "one").await;
    pause(&broker, "orders", &[0], false).await.unwrap();
    stop(broker).await;
    let broker = start(&volume).await;
    assert_eq!(paused(&broker, "orders"), [true], "a pause outlives the server");
    let request = Subscribe { resume: true, ..reading("orders", 0) };
    let mut subscription = broker.subscribe(Authorized::internal(request)).await.unwrap();
    assert_eq!(subscription.next().await.unwrap().len(), 1);
    assert_eq!(paused(&broker, "orders"), [false]);
    stop(broker).await;
}

#[tokio::test]
async fn many_publishers_resume_a_partition_once() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    pause(&broker, "orders", &[], false).await.unwrap();
    create(&broker, stream("before")).await;
    let mut publishers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let broker = broker.clone();
        publishers.spawn(async move { publish_ok(&broker, "orders", 0, "x").await });
    }
    let mut offsets = publishers.join_all().await;
    offsets.sort_unstable();
    assert_eq!(offsets, (0..50).collect::<Vec<u64>>());
    create(&broker, stream("after")).await;
    // A stream's id is its place in the metadata log: one command stands between the two.
    let id = |name| broker.node.streams.get(name).unwrap().id.get();
    assert_eq!(id("after") - id("before"), 2);
    stop(broker).await;
}

#[tokio::test]
async fn a_readonly_partition_refuses_publishes_through_pause_and_restart() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    create(&broker, CreateStream { partitions: 2, ..stream("orders") }).await;
    set_readonly(&broker, "orders", &[1], true).await.unwrap();
    pause(&broker, "orders", &[], false).await.unwrap();
    let readonly =
        |outcome: PublishOutcome| assert!(matches!(outcome, Err(PublishError::Readonly { .. })), "{outcome:?}");
    readonly(publish(&broker, to("orders", 1, "x")).await);
    assert_eq!(paused(&broker, "orders"), [true, true], "a refused publish resumes nothing");
    publish_ok(&broker, "orders", 0, "x").await;
    stop(broker).await;
    let broker = start(&volume).await;
    readonly(publish(&broker, to("orders", 1, "x")).await);
    set_readonly(&broker, "orders", &[], false).await.unwrap();
    publish_ok(&broker, "orders", 1, "x").await;
    stop(broker).await;
}

#[tokio::test]
async fn publishes_are_refused_in_the_order_of_the_api() {
    let broker = start(&MemoryVolume::new()).await;
    let checked = SettingOverrides { optimistic_concurrency_control: Some(true), ..SettingOverrides::default() };
    create(&broker, CreateStream { overrides: checked, ..stream("checked") }).await;
    let check = async |request: Publish, expected: PublishError| {
        assert_eq!(publish(&broker, request).await.unwrap_err(), expected);
    };
    let silent = |stream, partition| Publish { ack_policy: AckPolicy::None, ..to(stream, partition, "x") };
    check(to("", -1, "x"), PublishError::NoStream).await;
    check(to("bills", -1, "x"), PublishError::StreamNotFound { stream: "bills".to_owned() }).await;
    check(silent("checked", 1), PublishError::PartitionNotFound { partition: 1 }).await;
    check(silent("checked", -1), PublishError::PartitionNotFound { partition: -1 }).await;
    check(silent("checked", 0), PublishError::AckPolicyRequired).await;
    let expecting = |expected_offset| Publish { expected_offset, ..to("checked", 0, "x") };
    publish(&broker, expecting(0)).await.unwrap();
    check(expecting(0), PublishError::IncorrectOffset { expected: 0, next: Offset::new(1) }).await;
    publish(&broker, expecting(-1)).await.unwrap();
    set_readonly(&broker, "checked", &[], true).await.unwrap();
    let partition = liftbridge_types::PartitionId::new(0).unwrap();
    check(silent("checked", 0), PublishError::Readonly { partition }).await;
    stop(broker).await;
}

#[tokio::test]
async fn a_message_on_a_subject_reaches_every_partition_that_listens_there() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, CreateStream { partitions: 2, ..stream("orders") }).await;
    create(&broker, CreateStream { subject: Subject::new("orders").unwrap(), ..stream("copy") }).await;
    create(&broker, CreateStream { subject: Subject::new("orders.*").unwrap(), ..stream("wild") }).await;
    for name in ["shared1", "shared2"] {
        let group = Some("group".to_owned());
        create(&broker, CreateStream { subject: Subject::new("orders").unwrap(), group, ..stream(name) }).await;
    }
    publish_to_subject(&broker, "orders", "m1").await.unwrap();
    publish_to_subject(&broker, "orders", "m2").await.unwrap();
    publish_to_subject(&broker, "orders.1", "m3").await.unwrap();
    // The first outcome is answered before the others are stored: one more to each place puts everything before it in order.
    for (name, partition) in [("orders", 0), ("copy", 0), ("orders", 1), ("wild", 0), ("shared1", 0), ("shared2", 0)] {
        publish_ok(&broker, name, partition, "end").await;
    }
    assert_eq!(values(&broker, "orders", 0).await, ["m1", "m2", "end"]);
    assert_eq!(values(&broker, "copy", 0).await, ["m1", "m2", "end"]);
    assert_eq!(values(&broker, "orders", 1).await, ["m3", "end"]);
    assert_eq!(values(&broker, "wild", 0).await, ["m3", "end"]);
    assert_eq!(values(&broker, "shared1", 0).await, ["m1", "end"]);
    assert_eq!(values(&broker, "shared2", 0).await, ["m2", "end"]);
    stop(broker).await;
}

#[tokio::test]
async fn a_subject_without_listeners_is_not_answered_until_patience_ends() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    let refused = async |subject| publish_to_subject(&broker, subject, "x").await.unwrap_err();
    assert_eq!(refused("bills").await, PublishError::Closed);
    assert_eq!(refused("orders.*").await, PublishError::InvalidSubject);
    assert_eq!(refused("or ders").await, PublishError::InvalidSubject);
    set_readonly(&broker, "orders", &[], true).await.unwrap();
    assert_eq!(refused("orders").await, PublishError::Closed);
    set_readonly(&broker, "orders", &[], false).await.unwrap();
    pause(&broker, "orders", &[], false).await.unwrap();
    assert_eq!(refused("orders").await, PublishError::Closed, "it resumes nothing");
    let (reply, outcome) = PublishReply::one();
    let waits = broker.publish_to_subject(Authorized::internal(to_nobody()), reply, Some(Duration::from_secs(3600)));
    tokio::join!(waits, stop(broker.clone()));
    assert!(matches!(outcome.await, Ok(Err(PublishError::Closed))), "stopping ends the patience");
}

#[tokio::test]
async fn a_publisher_that_leaves_a_subject_without_listeners_leaves_nothing_behind() {
    let broker = start(&MemoryVolume::new()).await;
    let (reply, outcome) = PublishReply::one();
    let year = Some(Duration::from_hours(24 * 365));
    let waits = broker.publish_to_subject(Authorized::internal(to_nobody()), reply, year);
    assert!(tokio::time::timeout(Duration::ZERO, waits).await.is_err(), "the wait is the publisher's own");
    assert!(matches!(outcome.await, Ok(Err(PublishError::Closed))));
    stop(broker).await;
}

#[tokio::test]
async fn nobody_is_kept_waiting_for_longer_than_an_hour() {
    let broker = start(&MemoryVolume::new()).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let year = Some(Duration::from_hours(24 * 365));
    let (reply, outcome) = PublishReply::one();
    broker.publish_to_subject(Authorized::internal(to_nobody()), reply, year).await;
    assert!(matches!(outcome.await, Ok(Err(PublishError::Closed))));
    let waited = begun.elapsed();
    tokio::time::resume();
    assert!((3600..3700).contains(&waited.as_secs()), "{waited:?}");
    stop(broker).await;
}

#[tokio::test]
async fn the_stored_id_wins_over_the_configured_one() {
    let volume = MemoryVolume::new();
    stop(try_start(&volume, "first").await.unwrap()).await;
    let broker = try_start(&volume, "second").await.unwrap();
    assert_eq!(broker.id().as_str(), "first");
    assert_eq!(broker.describe_brokers(&Authorized::internal(())).len(), 1);
    stop(broker).await;
    volume.directory("").remove("server-id").unwrap();
    let refused = try_start(&volume, "second").await;
    assert!(matches!(&refused, Err(StartError::Storage { reason }) if reason.contains("`first`")), "{refused:?}");
}

#[tokio::test]
async fn streams_without_metadata_are_not_taken_for_an_empty_server() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    create(&broker, stream("orders")).await;
    publish_ok(&broker, "orders", 0, "x").await;
    stop(broker).await;
    volume.remove_directory("raft").unwrap();
    let refused = try_start(&volume, "a").await;
    assert!(matches!(&refused, Err(StartError::Metadata { reason }) if reason.contains("raft")), "{refused:?}");
    assert_eq!(volume.list_directories("streams").unwrap().len(), 1);
}

#[tokio::test]
async fn a_deletion_that_a_crash_interrupts_is_finished_by_the_next_start() {
    // Where the power goes in the middle of it depends on the operation that fails.
    for after in 0..40 {
        let volume = FaultyVolume::new(after);
        let broker = start(&volume).await;
        create(&broker, stream("orders")).await;
        create(&broker, stream("kept")).await;
        publish_ok(&broker, "orders", 0, "x").await;
        publish_ok(&broker, "kept", 0, "y").await;
        let failing = volume.operation_count() + after;
        volume.fail_operation(after, std::io::ErrorKind::Other);
        let deleted = delete(&broker, "orders").await;
        while volume.operation_count() <= failing {
            // The deletion takes fewer operations: the fault is used up here and not by the next start.
            let _ = volume.directory("").list();
        }
        volume.crash();
        broker.shutdown(Shutdown::Fast).await;
        let broker = start(&volume).await;
        assert_eq!(values(&broker, "kept", 0).await, ["y"], "operation {after}");
        let exists = broker.describe_stream(&Authorized::internal(()), "orders").is_some();
        assert!(!(exists && deleted.is_ok()), "operation {after}: a deletion that was answered is undone");
        stop(broker).await;
        // A removal that failed is tried again by the start after.
        stop(start(&volume).await).await;
        let directories = volume.list_directories("streams").unwrap();
        assert_eq!(directories.len(), 1 + usize::from(exists), "operation {after}: {directories:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_streams_are_created_and_restarted() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    let begun = Instant::now();
    let mut creators = tokio::task::JoinSet::new();
    for some in 0..100 {
        let broker = broker.clone();
        creators.spawn(async move {
            for number in 0..100 {
                create(&broker, stream(&format!("stream-{some}-{number}"))).await;
            }
        });
    }
    creators.join_all().await;
    println!("10,000 streams created in {:?}", begun.elapsed());
    publish_ok(&broker, "stream-7-7", 0, "x").await;
    stop(broker).await;
    let begun = Instant::now();
    let broker = start(&volume).await;
    let took = begun.elapsed();
    println!("10,000 streams restarted in {took:?}");
    assert_eq!(broker.describe_all_streams(&Authorized::internal(())).len(), 10_000);
    assert_eq!(values(&broker, "stream-7-7", 0).await, ["x"]);
    // The target of an optimised build; even an unoptimised one keeps it.
    assert!(took < Duration::from_secs(5), "{took:?}");
    stop(broker).await;
}
