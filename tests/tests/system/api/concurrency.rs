//! Optimistic concurrency control (2.17).

use liftbridge_tests::api::wire::publish_async_error::Code as Refusal;
use liftbridge_tests::api::{OCC_ANY, Pipeline, create, publish, read_committed, stream, wire};
use tonic::{Code, Request};

use super::Fixture;

async fn controlled(fixture: &mut Fixture, name: &str) {
    let occ = Some(wire::NullableBool { value: true });
    let request = wire::CreateStreamRequest { optimistic_concurrency_control: occ, ..stream(name) };
    fixture.client.create_stream(request).await.unwrap();
}

fn expecting(name: &str, expected_offset: i64) -> wire::PublishRequest {
    wire::PublishRequest { expected_offset, ..publish(name, 0, "x") }
}

#[tokio::test]
async fn a_message_is_stored_only_at_the_offset_it_expects() {
    let mut fixture = Fixture::start().await;
    controlled(&mut fixture, "strict").await;
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    // What is expected, and whether that is what comes next.
    for (expected, stored) in
        [(1, false), (0, true), (0, false), (1, true), (OCC_ANY, true), (2, false), (-2, false), (3, true)]
    {
        let answer = pipeline.publish(expecting("strict", expected)).await;
        match answer {
            Ok(ack) => assert!(stored && (expected == OCC_ANY || ack.offset == expected), "{expected}: {ack:?}"),
            Err(error) => {
                assert!(!stored, "{expected}: {error:?}");
                assert_eq!(
                    (error.code(), error.message.as_str()),
                    (Refusal::IncorrectOffset, "incorrect expected offset")
                );
            }
        }
    }
    assert_eq!(read_committed(&mut fixture.client, "strict", 0).await.len(), 4);
}

#[tokio::test]
async fn of_two_publishers_with_one_expectation_one_is_refused_and_can_try_again() {
    let mut fixture = Fixture::start().await;
    controlled(&mut fixture, "raced").await;
    let mut first = Pipeline::open(&mut fixture.client).await;
    let mut second = Pipeline::open(&mut fixture.client).await;
    let (one, other) = tokio::join!(first.publish(expecting("raced", 0)), second.publish(expecting("raced", 0)));
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|stored| **stored).count(), 1);
    let request = wire::FetchPartitionMetadataRequest { stream: "raced".into(), partition: 0 };
    let metadata = fixture.client.fetch_partition_metadata(request).await.unwrap().into_inner().metadata.unwrap();
    let again = second.publish(expecting("raced", metadata.newest_offset + 1)).await.expect("stored now");
    assert_eq!(again.offset, 1);
}

#[tokio::test]
async fn one_pipeline_of_right_expectations_is_stored_whole() {
    let mut fixture = Fixture::start().await;
    controlled(&mut fixture, "chain").await;
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    for offset in 0..100 {
        pipeline.send(expecting("chain", offset)).await.unwrap();
    }
    let (responses, _) = pipeline.finish().await;
    let refused: Vec<_> = responses.iter().filter(|response| response.async_error.is_some()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(read_committed(&mut fixture.client, "chain", 0).await.len(), 100);
}

#[tokio::test]
async fn a_wrong_expectation_in_a_unary_publish_has_its_code() {
    let mut fixture = Fixture::start().await;
    controlled(&mut fixture, "unary").await;
    let send = |request: wire::PublishRequest| {
        let mut request = Request::new(request);
        request.set_timeout(liftbridge_tests::server::PATIENCE);
        request
    };
    let refusal = fixture.client.publish(send(expecting("unary", 9))).await;
    liftbridge_tests::api::assert_refused(refusal, Code::Unknown, "incorrect expected offset");
    let none = wire::PublishRequest { ack_policy: wire::AckPolicy::None.into(), ..expecting("unary", 0) };
    let refusal = fixture.client.publish(send(none)).await;
    let text = "stream with concurrency control must have AckPolicy set";
    liftbridge_tests::api::assert_refused(refusal, Code::InvalidArgument, text);
}

#[tokio::test]
async fn other_streams_do_not_look_at_expectations() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "free", 1).await;
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    for expected in [1, 0, 77, -5] {
        assert!(pipeline.publish(expecting("free", expected)).await.is_ok(), "{expected}");
    }
}
