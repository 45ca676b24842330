//! PublishAsync (2.9).

use bytes::Bytes;
use liftbridge_tests::api::wire::publish_async_error::Code as Refusal;
use liftbridge_tests::api::{Pipeline, create, publish, read_committed, stream, values, wire};
use tonic::Code;

use super::Fixture;

#[tokio::test]
async fn every_message_is_acked_under_its_correlation_id() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "many", 1).await;
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    let mut sent = Vec::new();
    for number in 0..500 {
        sent.push(pipeline.send(publish("many", 0, &format!("message {number}"))).await.unwrap());
    }
    for (offset, id) in (0..).zip(&sent) {
        let response = pipeline.answer(id).await.unwrap();
        let ack = response.ack.expect("an ack");
        assert_eq!((response.async_error, &response.correlation_id, &ack.correlation_id), (None, id, id));
        assert_eq!((ack.offset, ack.stream.as_str(), ack.msg_subject.as_str()), (offset, "many", "many"));
    }
    let stored = values(&read_committed(&mut fixture.client, "many", 0).await);
    assert_eq!(stored, (0..500).map(|number| format!("message {number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refused_message_is_answered_and_the_stream_goes_on() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "here", 1).await;
    create(&mut fixture.client, "readonly", 1).await;
    let occ = Some(wire::NullableBool { value: true });
    let request = wire::CreateStreamRequest { optimistic_concurrency_control: occ, ..stream("occ") };
    fixture.client.create_stream(request).await.unwrap();
    let readonly = wire::SetStreamReadonlyRequest { name: "readonly".into(), partitions: vec![], readonly: true };
    fixture.client.set_stream_readonly(readonly).await.unwrap();

    let none = wire::PublishRequest { ack_policy: wire::AckPolicy::None.into(), ..publish("occ", 0, "x") };
    let wrong_offset = wire::PublishRequest { expected_offset: 5, ..publish("occ", 0, "x") };
    let large = "x".repeat(1024 * 1024 + 1);
    let refused = [
        (publish("", 0, "x"), Refusal::NotFound, "no such stream: "),
        (publish("missing", 0, "x"), Refusal::NotFound, "no such stream: missing"),
        (publish("here", 7, "x"), Refusal::NotFound, "no such partition: 7"),
        (publish("here", -7, "x"), Refusal::NotFound, "no such partition: -7"),
        (publish("readonly", 0, "x"), Refusal::Readonly, "readonly partition: 0"),
        (none, Refusal::BadRequest, "stream with concurrency control must have AckPolicy set"),
        (wrong_offset, Refusal::IncorrectOffset, "incorrect expected offset"),
        (publish("here", 0, &large), Refusal::BadRequest, "message exceeds max replication size"),
    ];
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    for (request, code, text) in refused {
        let error = pipeline.publish(request).await.expect_err(text);
        assert_eq!((error.code(), error.message.as_str()), (code, text));
        let ack = pipeline.publish(publish("here", 0, "still open")).await.expect("the stream goes on");
        assert_eq!(ack.stream, "here");
    }
}

#[tokio::test]
async fn nobody_is_answered_who_asked_for_no_answer() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "quiet", 1).await;
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    let none = wire::PublishRequest { ack_policy: wire::AckPolicy::None.into(), ..publish("quiet", 0, "quiet") };
    pipeline.send(none).await.unwrap();
    let loud = pipeline.send(publish("quiet", 0, "loud")).await.unwrap();
    let response = pipeline.next().await.unwrap();
    assert_eq!(response.correlation_id, loud, "the first answer is the second message's");
    assert_eq!(response.ack.expect("an ack").offset, 1, "the first message was stored all the same");
    let (rest, end) = pipeline.finish().await;
    assert_eq!((rest, end.code()), (vec![], Code::Ok));
}

#[tokio::test]
async fn a_publisher_that_has_no_more_to_say_gets_every_outstanding_ack() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "closing", 1).await;
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    for number in 0..200 {
        pipeline.send(publish("closing", 0, &format!("{number}"))).await.unwrap();
    }
    let (responses, end) = pipeline.finish().await;
    assert_eq!((responses.len(), end.code()), (200, Code::Ok), "{end}");
}

#[tokio::test]
async fn the_ack_inbox_of_a_request_is_not_looked_at() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "inbox", 1).await;
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    let request = wire::PublishRequest { ack_inbox: "elsewhere".into(), ..publish("inbox", 0, "x") };
    assert!(pipeline.publish(request).await.is_ok());
}

#[tokio::test]
async fn two_messages_may_share_a_correlation_id() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "twins", 1).await;
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    for key in ["a", "b"] {
        let key = Bytes::from_static(key.as_bytes());
        let request = wire::PublishRequest { key, correlation_id: "same".into(), ..publish("twins", 0, "x") };
        pipeline.send(request).await.unwrap();
    }
    let (responses, _) = pipeline.finish().await;
    let mut offsets: Vec<i64> =
        responses.into_iter().filter_map(|response| response.ack).map(|ack| ack.offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 1]);
}

#[tokio::test]
async fn messages_to_many_partitions_keep_their_order_in_each() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "spread", 4).await;
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    for number in 0..200 {
        pipeline.send(publish("spread", number % 4, &number.to_string())).await.unwrap();
    }
    let (responses, _) = pipeline.finish().await;
    assert_eq!(responses.len(), 200);
    for partition in 0..4 {
        let expected: Vec<String> = (0..200).filter(|number| number % 4 == partition).map(|n| n.to_string()).collect();
        assert_eq!(values(&read_committed(&mut fixture.client, "spread", partition).await), expected);
    }
}
