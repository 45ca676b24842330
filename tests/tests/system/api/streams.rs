//! CreateStream and DeleteStream (2.1, 2.2).

use liftbridge_tests::api::{
    assert_refused, create, metadata, open, publish_values, read_committed, stream, subscribe, values, wire,
};
use tonic::Code::{self, AlreadyExists, InvalidArgument, NotFound};

use super::Fixture;

#[tokio::test]
async fn a_stream_that_cannot_be_is_refused_with_the_reason() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "taken", 1).await;
    let refused: &[(wire::CreateStreamRequest, Code, &str)] = &[
        (wire::CreateStreamRequest { name: String::new(), ..stream("a") }, InvalidArgument, "Name cannot be empty"),
        (wire::CreateStreamRequest { subject: String::new(), ..stream("a") }, InvalidArgument, "Subject is invalid"),
        (wire::CreateStreamRequest { subject: "a b".into(), ..stream("a") }, InvalidArgument, "Subject is invalid"),
        (wire::CreateStreamRequest { subject: "a\tb".into(), ..stream("a") }, InvalidArgument, "Subject is invalid"),
        (wire::CreateStreamRequest { subject: "a\r\n".into(), ..stream("a") }, InvalidArgument, "Subject is invalid"),
        (wire::CreateStreamRequest { subject: "a..b".into(), ..stream("a") }, InvalidArgument, "Subject is invalid"),
        (wire::CreateStreamRequest { subject: ".a".into(), ..stream("a") }, InvalidArgument, "Subject is invalid"),
        (stream("__activity"), InvalidArgument, "Stream is reserved"),
        (stream("__cursors"), InvalidArgument, "Stream is reserved"),
        (
            wire::CreateStreamRequest { replication_factor: -2, ..stream("a") },
            InvalidArgument,
            "Invalid replicationFactor -2",
        ),
        (
            wire::CreateStreamRequest { replication_factor: 2, ..stream("a") },
            InvalidArgument,
            "Invalid replicationFactor 2, cluster size 1",
        ),
        // The replicas are chosen before the name is looked at.
        (
            wire::CreateStreamRequest { replication_factor: 2, ..stream("taken") },
            InvalidArgument,
            "Invalid replicationFactor 2, cluster size 1",
        ),
        (stream("taken"), AlreadyExists, "stream already exists"),
    ];
    for (request, code, text) in refused {
        assert_refused(fixture.client.create_stream(request.clone()).await, *code, text);
    }
}

#[tokio::test]
async fn names_with_paths_and_negative_partitions_are_invalid_arguments() {
    let mut fixture = Fixture::start().await;
    for name in ["../up", "a/b", "a\\b", "..", ".", "a b", "a*", "a>", "a\0b", &"n".repeat(1000)] {
        let request = wire::CreateStreamRequest { name: name.to_owned(), ..stream("subject") };
        let refusal = fixture.client.create_stream(request).await.expect_err(name);
        assert_eq!(refusal.code(), InvalidArgument, "{name:?}: {refusal}");
    }
    let request = wire::CreateStreamRequest { partitions: -1, ..stream("negative") };
    let refusal = fixture.client.create_stream(request).await.expect_err("negative partitions");
    assert_eq!(refusal.code(), InvalidArgument, "{refusal}");
    let unchanged = metadata(&mut fixture.client).await.unwrap();
    assert_eq!(unchanged.stream_metadata, vec![], "nothing refused leaves a stream behind");
}

#[tokio::test]
async fn what_is_left_out_has_its_default() {
    let mut fixture = Fixture::start().await;
    let request = wire::CreateStreamRequest { replication_factor: 0, partitions: 0, ..stream("defaults") };
    fixture.client.create_stream(request).await.unwrap();
    let request = wire::CreateStreamRequest { replication_factor: -1, partitions: 3, ..stream("everywhere") };
    fixture.client.create_stream(request).await.unwrap();
    let request = wire::CreateStreamRequest { subject: "foo.*".into(), ..stream("wild") };
    fixture.client.create_stream(request).await.unwrap();
    let request = wire::FetchMetadataRequest { streams: vec!["defaults".into(), "everywhere".into()], groups: vec![] };
    let metadata = fixture.client.fetch_metadata(request).await.unwrap().into_inner();
    let partitions: Vec<usize> = metadata.stream_metadata.iter().map(|stream| stream.partitions.len()).collect();
    assert_eq!(partitions, [1, 3]);
    assert_eq!(metadata.stream_metadata[1].partitions[&2].replicas.len(), 1);
}

#[tokio::test]
async fn every_setting_of_a_stream_is_taken_or_refused_by_name() {
    let mut fixture = Fixture::start().await;
    let number = |value| Some(wire::NullableInt64 { value });
    let request = wire::CreateStreamRequest {
        retention_max_bytes: number(1 << 20),
        retention_max_messages: number(1000),
        retention_max_age: number(3_600_000),
        cleaner_interval: number(1000),
        segment_max_bytes: number(1 << 16),
        segment_max_age: number(60_000),
        min_isr: Some(wire::NullableInt32 { value: 1 }),
        optimistic_concurrency_control: Some(wire::NullableBool { value: false }),
        compact_enabled: Some(wire::NullableBool { value: false }),
        encryption: Some(wire::NullableBool { value: false }),
        ..stream("settings")
    };
    fixture.client.create_stream(request).await.unwrap();

    let request =
        wire::CreateStreamRequest { encryption: Some(wire::NullableBool { value: true }), ..stream("secret") };
    let refusal = fixture.client.create_stream(request).await.expect_err("there is no key");
    assert_eq!(refusal.code(), Code::FailedPrecondition, "{refusal}");

    let request = wire::CreateStreamRequest { retention_max_bytes: number(-1), ..stream("negative") };
    let refusal = fixture.client.create_stream(request).await.expect_err("a negative size");
    assert_eq!(refusal.code(), InvalidArgument, "{refusal}");
}

#[tokio::test]
async fn a_deleted_stream_is_gone_and_its_name_begins_anew() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "again", 2).await;
    publish_values(&mut fixture.client, "again", 0, &["old-1", "old-2"]).await;
    let delete = |name: &str| wire::DeleteStreamRequest { name: name.to_owned() };
    fixture.client.delete_stream(delete("again")).await.unwrap();

    assert_refused(fixture.client.delete_stream(delete("again")).await, NotFound, "stream does not exist");
    assert_refused(open(&mut fixture.client, subscribe("again", 0)).await, NotFound, "No such partition");

    create(&mut fixture.client, "again", 1).await;
    assert_eq!(read_committed(&mut fixture.client, "again", 0).await, vec![]);
    let acks = publish_values(&mut fixture.client, "again", 0, &["new"]).await;
    assert_eq!(acks[0].offset, 0);
    assert_eq!(values(&read_committed(&mut fixture.client, "again", 0).await), ["new"]);
}

#[tokio::test]
async fn deleting_what_cannot_be_deleted_is_refused() {
    let mut fixture = Fixture::start().await;
    let refused = [
        ("__activity", InvalidArgument, "Stream is reserved"),
        ("__cursors", InvalidArgument, "Stream is reserved"),
        ("missing", NotFound, "stream does not exist"),
        ("", NotFound, "stream does not exist"),
        ("../../etc", NotFound, "stream does not exist"),
    ];
    for (name, code, text) in refused {
        let request = wire::DeleteStreamRequest { name: name.to_owned() };
        assert_refused(fixture.client.delete_stream(request).await, code, text);
    }
}

#[tokio::test]
async fn a_deleted_stream_frees_its_space() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "bulky", 1).await;
    publish_values(&mut fixture.client, "bulky", 0, &["a needle in the files of the stream"]).await;
    let partitions = || liftbridge_tests::damage::partition_directories(&fixture.server.data).len();
    assert_eq!(partitions(), 1);
    fixture.client.delete_stream(wire::DeleteStreamRequest { name: "bulky".into() }).await.unwrap();
    assert_eq!(partitions(), 0);
}
