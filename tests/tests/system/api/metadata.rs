//! FetchMetadata and FetchPartitionMetadata (2.6, 2.7).

use liftbridge_tests::api::{assert_refused, create, metadata, publish_values, wire};
use tonic::Code::{FailedPrecondition, NotFound};

use super::Fixture;

async fn partition(fixture: &mut Fixture, stream: &str, partition: i32) -> wire::PartitionMetadata {
    let request = wire::FetchPartitionMetadataRequest { stream: stream.to_owned(), partition };
    let response = fixture.client.fetch_partition_metadata(request).await.unwrap().into_inner();
    response.metadata.expect("metadata")
}

#[tokio::test]
async fn brokers_and_streams_are_described() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "one", 1).await;
    create(&mut fixture.client, "three", 3).await;
    publish_values(&mut fixture.client, "three", 1, &["a", "b"]).await;
    let all = metadata(&mut fixture.client).await.unwrap();

    let [broker] = all.brokers.as_slice() else { panic!("one broker, not {:?}", all.brokers) };
    assert_eq!((broker.host.as_str(), broker.port), ("127.0.0.1", i32::from(fixture.server.grpc.port())));
    assert_eq!((broker.partition_count, broker.leader_count), (4, 4));
    assert_eq!(all.group_metadata, vec![]);

    let mut names: Vec<&str> = all.stream_metadata.iter().map(|stream| stream.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "three"]);
    let three = all.stream_metadata.iter().find(|stream| stream.name == "three").unwrap();
    assert_eq!((three.subject.as_str(), three.error()), ("three", wire::stream_metadata::Error::Ok));
    assert!(three.creation_timestamp > 0);
    for (number, expected) in [(0, -1), (1, 1), (2, -1)] {
        let partition = &three.partitions[&number];
        assert_eq!((partition.id, partition.leader.as_str()), (number, broker.id.as_str()));
        assert_eq!((&partition.replicas, &partition.isr), (&vec![broker.id.clone()], &vec![broker.id.clone()]));
        assert_eq!((partition.high_watermark, partition.newest_offset), (expected, expected));
        assert!(!partition.paused && !partition.readonly);
    }
}

#[tokio::test]
async fn named_streams_come_in_the_order_of_the_request_unknown_ones_included() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "known", 1).await;
    let request = wire::FetchMetadataRequest {
        streams: vec!["missing".into(), "known".into(), "../x".into()],
        groups: vec!["nobody".into()],
    };
    let told = fixture.client.fetch_metadata(request).await.unwrap().into_inner();
    let streams: Vec<(&str, wire::stream_metadata::Error, usize)> =
        told.stream_metadata.iter().map(|s| (s.name.as_str(), s.error(), s.partitions.len())).collect();
    use wire::stream_metadata::Error::{Ok, UnknownStream};
    assert_eq!(streams, [("missing", UnknownStream, 0), ("known", Ok, 1), ("../x", UnknownStream, 0)]);
    let [group] = told.group_metadata.as_slice() else { panic!("one group") };
    assert_eq!((group.group_id.as_str(), group.coordinator.as_str(), group.epoch), ("nobody", "", 0));
    assert_eq!(group.error(), wire::consumer_group_metadata::Error::UnknownGroup);
}

#[tokio::test]
async fn a_partition_is_described_by_its_leader() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "told", 1).await;
    let fresh = partition(&mut fixture, "told", 0).await;
    assert_eq!((fresh.high_watermark, fresh.newest_offset), (-1, -1));
    let never = Some(wire::PartitionEventTimestamps::default());
    assert_eq!((fresh.messages_received_timestamps, fresh.pause_timestamps), (never, never));
    assert_eq!(fresh.readonly_timestamps, never);

    publish_values(&mut fixture.client, "told", 0, &["a"]).await;
    let first = partition(&mut fixture, "told", 0).await;
    let received = first.messages_received_timestamps.expect("times");
    assert!(received.first_timestamp > 0 && received.first_timestamp == received.latest_timestamp, "{received:?}");
    assert_eq!((first.high_watermark, first.newest_offset), (0, 0));

    publish_values(&mut fixture.client, "told", 0, &["b"]).await;
    let second = partition(&mut fixture, "told", 0).await.messages_received_timestamps.expect("times");
    assert_eq!(second.first_timestamp, received.first_timestamp);
    assert!(second.latest_timestamp > received.latest_timestamp);
}

#[tokio::test]
async fn changes_of_a_partition_leave_their_times() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "changing", 1).await;
    let readonly = |readonly| wire::SetStreamReadonlyRequest { name: "changing".into(), partitions: vec![], readonly };
    fixture.client.set_stream_readonly(readonly(true)).await.unwrap();
    let on = partition(&mut fixture, "changing", 0).await;
    let on_times = on.readonly_timestamps.expect("times");
    assert!(on.readonly && on_times.first_timestamp > 0);
    fixture.client.set_stream_readonly(readonly(false)).await.unwrap();
    let off = partition(&mut fixture, "changing", 0).await;
    let off_times = off.readonly_timestamps.expect("times");
    assert!(!off.readonly && off_times.latest_timestamp > on_times.latest_timestamp);
    assert_eq!(off_times.first_timestamp, on_times.first_timestamp);

    let pause = wire::PauseStreamRequest { name: "changing".into(), ..Default::default() };
    fixture.client.pause_stream(pause).await.unwrap();
    publish_values(&mut fixture.client, "changing", 0, &["resumes"]).await;
    let resumed = partition(&mut fixture, "changing", 0).await;
    let pauses = resumed.pause_timestamps.expect("times");
    assert!(!resumed.paused, "the flag does not stick");
    assert!(pauses.first_timestamp > 0 && pauses.latest_timestamp > pauses.first_timestamp, "{pauses:?}");
}

#[tokio::test]
async fn what_nobody_leads_is_not_described() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "here", 1).await;
    for (stream, number) in [("missing", 0), ("here", 1), ("here", -1)] {
        let request = wire::FetchPartitionMetadataRequest { stream: stream.into(), partition: number };
        assert_refused(fixture.client.fetch_partition_metadata(request).await, NotFound, "partition not found");
    }
    let pause = wire::PauseStreamRequest { name: "here".into(), ..Default::default() };
    fixture.client.pause_stream(pause).await.unwrap();
    let request = wire::FetchPartitionMetadataRequest { stream: "here".into(), partition: 0 };
    let refusal = fixture.client.fetch_partition_metadata(request).await;
    assert_refused(refusal, FailedPrecondition, "The request should be sent to partition leader");
}

/// How many partitions the only broker says it keeps and leads.
async fn load(fixture: &mut Fixture) -> (i32, i32) {
    let all = metadata(&mut fixture.client).await.unwrap();
    (all.brokers[0].partition_count, all.brokers[0].leader_count)
}

#[tokio::test]
async fn paused_partitions_are_no_load() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "resting", 2).await;
    assert_eq!(load(&mut fixture).await, (2, 2));
    let pause = wire::PauseStreamRequest { name: "resting".into(), ..Default::default() };
    fixture.client.pause_stream(pause.clone()).await.unwrap();
    fixture.client.pause_stream(pause).await.unwrap();
    assert_eq!(load(&mut fixture).await, (0, 0));
    publish_values(&mut fixture.client, "resting", 0, &["x"]).await;
    assert_eq!(load(&mut fixture).await, (1, 1));
}
