//! Connecting, calls about streams, and whom they are sent to.

use std::time::Duration;

use liftbridge_proto::api as wire;
use liftbridge_types::{Offset, Timestamp};
use tonic::Status;

use super::*;
use crate::testing::MockBroker;
use crate::{Client, ConnectError};

#[tokio::test]
async fn a_client_without_addresses_is_refused() {
    assert_eq!(Client::builder::<&str>([]).connect().await.unwrap_err(), ConnectError::NoAddresses);
}

#[tokio::test]
async fn the_first_address_that_answers_is_enough() {
    let broker = MockBroker::start().await;
    // Nobody listens on port 1.
    let addresses = ["127.0.0.1:1".to_owned(), broker.address.to_string()];
    let client = Client::builder(addresses).impatient().connect().await.unwrap();
    client.create_stream(NewStream::new("foo")).await.unwrap();
}

#[tokio::test]
async fn addresses_that_do_not_answer_are_reported_with_the_reason() {
    let error = Client::builder(["127.0.0.1:1"]).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable { tried: 1, last } if last.never_sent), "{error}");
    assert!(error.retryable());
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_new_stream_is_sent_as_asked_for() {
    let broker = MockBroker::start().await;
    let settings = SettingOverrides {
        retention_max_bytes: Some(1),
        retention_max_messages: Some(2),
        retention_max_age: Some(Duration::from_secs(3)),
        cleaner_interval: Some(Duration::from_secs(4)),
        segment_max_bytes: Some(5),
        segment_max_age: Some(Duration::from_secs(6)),
        compact_max_goroutines: Some(7),
        compact_enabled: Some(true),
        auto_pause_time: Some(Duration::ZERO),
        auto_pause_disable_if_subscribers: Some(false),
        min_isr: Some(8),
        optimistic_concurrency_control: Some(true),
        encryption: Some(false),
    };
    let stream = NewStream::new("foo")
        .subject("bar.*")
        .group("baz")
        .partitions(3)
        .replication_factor(ReplicationFactor::EveryServer)
        .settings(settings);
    broker.client().await.create_stream(stream).await.unwrap();

    let number = |value| Some(wire::NullableInt64 { value });
    let flag = |value| Some(wire::NullableBool { value });
    let expected = wire::CreateStreamRequest {
        subject: "bar.*".to_owned(),
        name: "foo".to_owned(),
        group: "baz".to_owned(),
        replication_factor: -1,
        partitions: 3,
        retention_max_bytes: number(1),
        retention_max_messages: number(2),
        retention_max_age: number(3000),
        cleaner_interval: number(4000),
        segment_max_bytes: number(5),
        segment_max_age: number(6000),
        compact_max_goroutines: Some(wire::NullableInt32 { value: 7 }),
        compact_enabled: flag(true),
        auto_pause_time: number(0),
        auto_pause_disable_if_subscribers: flag(false),
        min_isr: Some(wire::NullableInt32 { value: 8 }),
        optimistic_concurrency_control: flag(true),
        encryption: flag(false),
    };
    assert_eq!(broker.script().created, [expected]);
}

#[tokio::test]
async fn settings_that_were_not_given_are_not_sent() {
    let broker = MockBroker::start().await;
    broker.client().await.create_stream(NewStream::new("foo")).await.unwrap();
    let expected = wire::CreateStreamRequest {
        subject: "foo".to_owned(),
        name: "foo".to_owned(),
        replication_factor: 1,
        partitions: 1,
        ..wire::CreateStreamRequest::default()
    };
    assert_eq!(broker.script().created, [expected]);
}

#[tokio::test]
async fn a_taken_name_has_an_error_of_its_own() {
    let broker = MockBroker::start().await;
    let client = broker.client().await;
    broker.script().refusals.push_back(Status::already_exists("stream already exists"));
    let error = client.create_stream(NewStream::new("foo")).await.unwrap_err();
    assert_eq!(error, CreateStreamError::Exists { name: "foo".to_owned() });
    assert!(!error.retryable());
}

#[tokio::test]
async fn unavailable_brokers_are_asked_again_up_to_ten_times() {
    let broker = MockBroker::start().await;
    let client = broker.client().await;
    broker.script().refusals.extend((0..9).map(|_| Status::unavailable("away")));
    client.create_stream(NewStream::new("foo")).await.unwrap();
    assert_eq!(broker.script().created.len(), 10);

    broker.script().refusals.extend((0..10).map(|_| Status::unavailable("away")));
    let error = client.create_stream(NewStream::new("foo")).await.unwrap_err();
    assert!(error.retryable());
    assert_eq!(broker.script().created.len(), 20);
}

#[tokio::test]
async fn a_cluster_that_elects_its_controller_is_asked_again() {
    let broker = MockBroker::start().await;
    let client = broker.client().await;
    broker.script().refusals.push_back(Status::internal("no known metadata leader"));
    client.create_stream(NewStream::new("foo")).await.unwrap();
    assert_eq!(broker.script().created.len(), 2);
}

#[tokio::test]
async fn other_refusals_are_final() {
    let broker = MockBroker::start().await;
    let client = broker.client().await;
    broker.script().refusals.push_back(Status::invalid_argument("Subject is invalid"));
    let error = client.create_stream(NewStream::new("foo")).await.unwrap_err();
    assert!(matches!(&error, CreateStreamError::Call(call) if call.is_callers_fault()), "{error}");
    assert_eq!(broker.script().created.len(), 1);
}

#[tokio::test]
async fn streams_and_partitions_that_do_not_exist_cannot_be_changed() {
    let broker = MockBroker::start().await;
    let client = broker.client().await;
    let missing = ChangeStreamError::StreamNotFound { name: "foo".to_owned() };
    broker.script().refusals.extend((0..3).map(|_| Status::not_found("stream does not exist")));
    assert_eq!(client.delete_stream("foo").await.unwrap_err(), missing);
    assert_eq!(client.pause_stream("foo", &Partitions::All, false).await.unwrap_err(), missing);
    assert_eq!(client.set_stream_readonly("foo", &Partitions::All, true).await.unwrap_err(), missing);
    assert_eq!(missing.to_string(), "stream `foo` does not exist");

    let first = Partitions::Only(vec![PartitionId::default()]);
    broker.script().refusals.push_back(Status::not_found("partition does not exist"));
    let refused = client.pause_stream("foo", &first, false).await.unwrap_err();
    assert_eq!(refused.to_string(), "cannot change stream `foo`: partition does not exist");
}

#[tokio::test]
async fn partitions_and_flags_of_changes_are_sent() {
    let broker = MockBroker::start().await;
    let client = broker.client().await;
    let partitions = Partitions::Only(vec![PartitionId::default(), PartitionId::new(2).unwrap()]);
    client.pause_stream("foo", &partitions, true).await.unwrap();
    client.set_stream_readonly("foo", &Partitions::All, true).await.unwrap();
    client.delete_stream("foo").await.unwrap();
    let script = broker.script();
    let paused = wire::PauseStreamRequest { name: "foo".to_owned(), partitions: vec![0, 2], resume_all: true };
    assert_eq!(script.paused, [paused]);
    let readonly = wire::SetStreamReadonlyRequest { name: "foo".to_owned(), partitions: vec![], readonly: true };
    assert_eq!(script.readonly, [readonly]);
}

#[tokio::test]
async fn metadata_of_all_streams_is_asked_for_by_naming_none() {
    let broker = MockBroker::start().await;
    broker.has_stream("foo", 2);
    let metadata = broker.client().await.fetch_metadata(&[]).await.unwrap();
    assert!(broker.script().metadata_asked.last().unwrap().streams.is_empty());
    assert_eq!(metadata.brokers.len(), 1);
    assert_eq!(metadata.brokers[0].id, broker.id());
    assert_eq!((metadata.brokers[0].partition_count, metadata.brokers[0].leader_count), (3, 2));
    assert_eq!(metadata.streams[0].name, "foo");
    let partition = &metadata.streams[0].partitions[1];
    assert_eq!(partition.id.get(), 1);
    assert_eq!(partition.leader.as_deref(), Some(broker.id().as_str()));
    assert_eq!((partition.high_watermark, partition.log_end), (Offset::ZERO, Offset::ZERO));
}

#[tokio::test]
async fn streams_that_do_not_exist_are_missing_from_metadata() {
    let broker = MockBroker::start().await;
    let metadata = broker.client().await.fetch_metadata(&["foo"]).await.unwrap();
    assert!(metadata.streams.is_empty());
}

#[tokio::test]
async fn partition_metadata_comes_from_the_leader() {
    let broker = MockBroker::start().await;
    let leader = broker.start_another().await;
    broker.has_stream_led_by("foo", 1, &leader);
    leader.script().partition_info = Some(wire::PartitionMetadata {
        leader: leader.id(),
        high_watermark: 4,
        newest_offset: 9,
        readonly: true,
        messages_received_timestamps: Some(wire::PartitionEventTimestamps { first_timestamp: 0, latest_timestamp: 3 }),
        ..wire::PartitionMetadata::default()
    });
    let info = broker.client().await.fetch_partition_metadata("foo", PartitionId::default()).await.unwrap();
    assert_eq!((info.high_watermark, info.log_end), (Offset::new(5), Offset::new(10)));
    assert!(info.readonly && !info.paused);
    assert_eq!((info.messages_received.first, info.messages_received.latest), (None, Some(Timestamp::from_nanos(3))));
    assert!(broker.script().partition_asked.is_empty());
}

#[tokio::test]
async fn a_broker_that_does_not_lead_is_asked_five_times_with_fresh_metadata() {
    let broker = MockBroker::start().await;
    broker.has_stream("foo", 1);
    let client = broker.client().await;
    let error = client.fetch_partition_metadata("foo", PartitionId::default()).await.unwrap_err();
    assert!(matches!(error, PartitionInfoError::NotLeader(_)), "{error}");
    assert_eq!(broker.script().partition_asked.len(), 5);
    assert_eq!(broker.script().metadata_asked.iter().filter(|asked| asked.streams == ["foo"]).count(), 5);
}

#[tokio::test]
async fn partitions_nobody_knows_are_not_asked_for() {
    let broker = MockBroker::start().await;
    broker.has_stream("foo", 1);
    let client = broker.client().await;
    let error = client.fetch_partition_metadata("foo", PartitionId::new(1).unwrap()).await.unwrap_err();
    assert!(matches!(error, PartitionInfoError::Route(RouteError::UnknownPartition(_))), "{error}");
    let error = client.fetch_partition_metadata("bar", PartitionId::default()).await.unwrap_err();
    assert!(matches!(error, PartitionInfoError::Route(RouteError::UnknownStream { .. })), "{error}");
    assert!(broker.script().partition_asked.is_empty());
}
