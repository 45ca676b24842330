//! The unary Publish (2.8).

use std::time::Duration;

use bytes::Bytes;
use liftbridge_tests::api::{assert_refused, create, open, publish, read_committed, stream, subscribe, values, wire};
use liftbridge_tests::server::PATIENCE;
use tonic::Code::{InvalidArgument, NotFound};
use tonic::{Code, Request};

use super::Fixture;

/// A request whose caller waits for the ack.
fn waiting(request: wire::PublishRequest) -> Request<wire::PublishRequest> {
    let mut request = Request::new(request);
    request.set_timeout(PATIENCE);
    request
}

#[tokio::test]
async fn a_waiting_publisher_gets_the_ack_of_its_message() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "acked", 2).await;
    for policy in [wire::AckPolicy::Leader, wire::AckPolicy::All] {
        let request = wire::PublishRequest {
            ack_inbox: "my.inbox".into(),
            correlation_id: "mine".into(),
            ack_policy: policy.into(),
            ..publish("acked", 1, "hello")
        };
        let response = fixture.client.publish(waiting(request)).await.unwrap().into_inner();
        let ack = response.ack.expect("an ack");
        assert_eq!((response.async_error, response.correlation_id.as_str()), (None, ""));
        assert_eq!((ack.stream.as_str(), ack.partition_subject.as_str()), ("acked", "acked"), "the base subject");
        assert_eq!(ack.msg_subject, "acked.1");
        assert_eq!((ack.ack_inbox.as_str(), ack.correlation_id.as_str()), ("my.inbox", "mine"));
        assert_eq!((ack.ack_policy(), ack.ack_error()), (policy, wire::ack::Error::Ok));
        assert!(ack.reception_timestamp > 0 && ack.commit_timestamp >= ack.reception_timestamp, "{ack:?}");
    }
    assert_eq!(values(&read_committed(&mut fixture.client, "acked", 1).await), ["hello", "hello"]);
}

#[tokio::test]
async fn without_a_deadline_or_a_policy_there_is_no_ack_but_the_message_is_stored() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "unacked", 1).await;
    let follow = wire::SubscribeRequest {
        stop_position: wire::StopPosition::StopOffset.into(),
        stop_offset: 1,
        ..subscribe("unacked", 0)
    };
    let subscription = open(&mut fixture.client, follow).await.unwrap();
    let response = fixture.client.publish(publish("unacked", 0, "no deadline")).await.unwrap().into_inner();
    assert_eq!(response, wire::PublishResponse::default());
    let nobody = wire::PublishRequest { ack_policy: wire::AckPolicy::None.into(), ..publish("unacked", 0, "none") };
    let response = fixture.client.publish(waiting(nobody)).await.unwrap().into_inner();
    assert_eq!(response, wire::PublishResponse::default());
    let (messages, _) = subscription.to_end().await;
    assert_eq!(values(&messages), ["no deadline", "none"]);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_with_the_reason() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "here", 1).await;
    create(&mut fixture.client, "readonly", 1).await;
    let readonly = wire::SetStreamReadonlyRequest { name: "readonly".into(), partitions: vec![], readonly: true };
    fixture.client.set_stream_readonly(readonly).await.unwrap();
    let large = "x".repeat(1024 * 1024 + 1);
    let refused = [
        (publish("", 0, "x"), InvalidArgument, "no stream provided"),
        (publish("missing", 0, "x"), NotFound, "no such stream: missing"),
        (publish("here", 42, "x"), NotFound, "no such partition: 42"),
        (publish("here", -1, "x"), NotFound, "no such partition: -1"),
        (publish("readonly", 0, "x"), Code::FailedPrecondition, "readonly partition: 0"),
        (publish("here", 0, &large), InvalidArgument, "message exceeds max replication size"),
    ];
    for (request, code, text) in refused {
        assert_refused(fixture.client.publish(waiting(request)).await, code, text);
    }
    assert_eq!(read_committed(&mut fixture.client, "here", 0).await, vec![]);
}

#[tokio::test]
async fn the_limit_itself_fits() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "limit", 1).await;
    let value = "x".repeat(1024 * 1024);
    fixture.client.publish(waiting(publish("limit", 0, &value))).await.unwrap();
    assert_eq!(read_committed(&mut fixture.client, "limit", 0).await[0].value.len(), value.len());
}

#[tokio::test]
async fn keys_values_and_headers_come_back_as_they_were() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "content", 1).await;
    let bytes = Bytes::from((0..=255).collect::<Vec<u8>>());
    let headers = [("plain".to_owned(), Bytes::from_static(b"text")), ("bytes".to_owned(), bytes.clone())];
    let full = wire::PublishRequest {
        key: bytes.clone(),
        value: bytes.clone(),
        headers: headers.iter().cloned().collect(),
        ack_inbox: "inbox".into(),
        correlation_id: "id".into(),
        ..publish("content", 0, "")
    };
    fixture.client.publish(waiting(full)).await.unwrap();
    fixture.client.publish(waiting(publish("content", 0, ""))).await.unwrap();

    let messages = read_committed(&mut fixture.client, "content", 0).await;
    let first = &messages[0];
    assert_eq!((first.offset, &first.key, &first.value), (0, &bytes, &bytes));
    assert_eq!((first.stream.as_str(), first.partition, first.subject.as_str()), ("content", 0, "content"));
    for (name, value) in headers {
        assert_eq!(first.headers.get(&name), Some(&value));
    }
    assert_eq!(first.headers.get("subject"), Some(&Bytes::from_static(b"content")), "the subject is added");
    assert!(first.headers.contains_key("reply"), "the reply subject is added");
    // How a message was acknowledged is not part of it.
    assert_eq!((first.ack_inbox.as_str(), first.correlation_id.as_str(), first.ack_policy), ("", "", 0));
    assert_eq!((messages[1].key.len(), messages[1].value.len()), (0, 0));
    assert!(messages[1].timestamp >= first.timestamp && first.timestamp > 0);
}

#[tokio::test]
async fn a_group_of_streams_does_not_matter_to_a_direct_publish() {
    let mut fixture = Fixture::start().await;
    for name in ["first", "second"] {
        let request = wire::CreateStreamRequest { subject: "shared".into(), group: "g".into(), ..stream(name) };
        fixture.client.create_stream(request).await.unwrap();
    }
    fixture.client.publish(waiting(publish("second", 0, "x"))).await.unwrap();
    assert_eq!(read_committed(&mut fixture.client, "first", 0).await.len(), 0);
    assert_eq!(read_committed(&mut fixture.client, "second", 0).await.len(), 1);
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_deadline_exceeded() {
    let mut fixture = Fixture::start().await;
    let mut request = liftbridge_tests::api::message("nobody.listens", "x", Duration::from_millis(50));
    request.set_timeout(Duration::from_millis(50));
    let refusal = fixture.client.publish_to_subject(request).await.expect_err("nobody can ack");
    // The client's own clock may be first; both say the same.
    assert!(matches!(refusal.code(), Code::DeadlineExceeded | Code::Cancelled), "{refusal}");
}
