//! PauseStream and resuming (2.3, 2.4, 14.1).

use liftbridge_tests::api::{
    Pipeline, assert_refused, create, open, publish, publish_values, read_committed, subscribe, values, wire,
};
use tonic::Code::{FailedPrecondition, NotFound};

use super::Fixture;

/// No partition at all.
const NONE: [i32; 0] = [];

fn pause(name: &str, partitions: &[i32], resume_all: bool) -> wire::PauseStreamRequest {
    wire::PauseStreamRequest { name: name.to_owned(), partitions: partitions.to_vec(), resume_all }
}

/// Which partitions of a stream are paused.
async fn paused(fixture: &mut Fixture, name: &str) -> Vec<i32> {
    let request = wire::FetchMetadataRequest { streams: vec![name.to_owned()], groups: vec![] };
    let metadata = fixture.client.fetch_metadata(request).await.unwrap().into_inner();
    let partitions = metadata.stream_metadata[0].partitions.values();
    let mut paused: Vec<i32> = partitions.filter(|partition| partition.paused).map(|partition| partition.id).collect();
    paused.sort_unstable();
    paused
}

#[tokio::test]
async fn pausing_what_is_not_there_is_refused() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "here", 2).await;
    let refused = [
        (pause("missing", &[], false), "stream not found"),
        (pause("missing", &[0], false), "stream does not exist"),
        (pause("here", &[0, 2], false), "partition does not exist"),
        (pause("here", &[-1], false), "partition does not exist"),
    ];
    for (request, text) in refused {
        assert_refused(fixture.client.pause_stream(request).await, NotFound, text);
    }
    assert_eq!(paused(&mut fixture, "here").await, NONE, "a refused request pauses nothing");
}

#[tokio::test]
async fn a_publish_resumes_its_partition_and_nothing_is_lost() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "resting", 3).await;
    publish_values(&mut fixture.client, "resting", 1, &["before"]).await;
    fixture.client.pause_stream(pause("resting", &[], false)).await.unwrap();
    fixture.client.pause_stream(pause("resting", &[], false)).await.expect("pausing twice is no error");
    assert_eq!(paused(&mut fixture, "resting").await, [0, 1, 2]);
    let acks = publish_values(&mut fixture.client, "resting", 1, &["after"]).await;
    assert_eq!(acks[0].offset, 1);
    assert_eq!(paused(&mut fixture, "resting").await, [0, 2]);
    assert_eq!(values(&read_committed(&mut fixture.client, "resting", 1).await), ["before", "after"]);
}

#[tokio::test]
async fn with_resume_all_one_publish_resumes_every_partition() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "together", 3).await;
    fixture.client.pause_stream(pause("together", &[0, 2], true)).await.unwrap();
    assert_eq!(paused(&mut fixture, "together").await, [0, 2]);
    publish_values(&mut fixture.client, "together", 0, &["x"]).await;
    assert_eq!(paused(&mut fixture, "together").await, NONE);
}

#[tokio::test]
async fn a_subscriber_resumes_only_when_it_asks_to() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "sleeping", 1).await;
    publish_values(&mut fixture.client, "sleeping", 0, &["kept"]).await;
    fixture.client.pause_stream(pause("sleeping", &[0], false)).await.unwrap();
    let refusal = open(&mut fixture.client, subscribe("sleeping", 0)).await;
    assert_refused(refusal, FailedPrecondition, "commit log was closed");
    let resume = wire::SubscribeRequest { resume: true, ..subscribe("sleeping", 0) };
    let subscription = open(&mut fixture.client, resume).await.unwrap();
    assert_eq!(values(&subscription.to_end().await.0), ["kept"]);
    assert_eq!(paused(&mut fixture, "sleeping").await, NONE);
}

#[tokio::test]
async fn many_publishers_at_once_resume_a_partition_once() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "crowd", 1).await;
    fixture.client.pause_stream(pause("crowd", &[0], false)).await.unwrap();
    let mut pipelines = Vec::new();
    for _ in 0..8 {
        let mut pipeline = Pipeline::open(&mut fixture.client).await;
        pipeline.send(publish("crowd", 0, "x")).await.unwrap();
        pipelines.push(pipeline);
    }
    for pipeline in pipelines {
        let (responses, _) = pipeline.finish().await;
        assert!(responses[0].async_error.is_none(), "{responses:?}");
    }
    assert_eq!(read_committed(&mut fixture.client, "crowd", 0).await.len(), 8);
}
