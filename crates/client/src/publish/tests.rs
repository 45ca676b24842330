//! What publishes send, and what their answers become.

use std::time::Duration;

use liftbridge_proto::api::publish_async_error::Code as AsyncCode;
use liftbridge_types::PartitionId;
use tonic::Status;

use super::*;
use crate::testing::{MockBroker, ScriptedAck, Wire};

fn partition(number: u32) -> PartitionId {
    PartitionId::new(number).unwrap()
}

async fn broker_with_foo(partitions: i32) -> MockBroker {
    let broker = MockBroker::start().await;
    broker.has_stream("foo", partitions);
    broker
}

#[tokio::test]
async fn a_publish_waits_for_the_ack_of_the_leader_by_default() {
    let broker = broker_with_foo(1).await;
    let ack = broker.client().await.publish("foo", Outgoing::new("hello")).await.unwrap().unwrap();
    assert_eq!((ack.stream.as_str(), ack.offset, ack.partition_subject.as_str()), ("foo", Offset::ZERO, "foo"));
    assert_eq!(ack.received_at, Some(Timestamp::from_nanos(5)));
    assert_eq!(ack.committed_at, Some(Timestamp::from_nanos(7)));
    let script = broker.script();
    let sent = &script.published[0];
    assert_eq!((sent.value.as_ref(), sent.key.as_ref(), sent.stream.as_str()), (&b"hello"[..], &b""[..], "foo"));
    assert_eq!((sent.partition, sent.expected_offset, sent.ack_inbox.as_str()), (0, -1, ""));
    assert_eq!(sent.ack_policy(), wire::AckPolicy::Leader);
    assert!(!sent.correlation_id.is_empty());
}

#[tokio::test]
async fn everything_a_message_carries_is_sent() {
    let broker = broker_with_foo(2).await;
    let message = Outgoing::new("v")
        .key("k")
        .header("h", &b"\xff"[..])
        .partition(partition(1))
        .ack(AckPolicy::All)
        .expected_offset(Offset::new(7));
    broker.client().await.publish("foo", message).await.unwrap();
    let script = broker.script();
    let sent = &script.published[0];
    assert_eq!((sent.key.as_ref(), sent.partition, sent.expected_offset), (&b"k"[..], 1, 7));
    assert_eq!(sent.headers["h"].as_ref(), b"\xff");
    assert_eq!(sent.ack_policy(), wire::AckPolicy::All);
}

#[tokio::test]
async fn without_an_ack_policy_nothing_is_waited_for_and_closing_still_delivers() {
    let broker = broker_with_foo(1).await;
    let client = broker.client().await;
    let ack = client.publish("foo", Outgoing::new("hello").ack(AckPolicy::None)).await.unwrap();
    assert_eq!(ack, None);
    client.close().await;
    assert_eq!(broker.script().published.len(), 1);
}

#[tokio::test]
async fn a_closed_client_publishes_no_more() {
    let broker = broker_with_foo(1).await;
    let client = broker.client().await;
    client.clone().close().await;
    assert_eq!(client.publish("foo", Outgoing::new("")).await, Err(PublishError::Closed));
}

#[tokio::test]
async fn publishes_go_to_the_leader() {
    let broker = MockBroker::start().await;
    let leader = broker.start_another().await;
    broker.has_stream_led_by("foo", 1, &leader);
    broker.client().await.publish("foo", Outgoing::new("hello")).await.unwrap();
    assert_eq!((broker.script().published.len(), leader.script().published.len()), (0, 1));
}

#[tokio::test]
async fn publishes_go_to_any_broker_while_no_leader_is_known() {
    let broker = broker_with_foo(1).await;
    broker.edit_partition("foo", 0, |partition| partition.leader.clear());
    broker.client().await.publish("foo", Outgoing::new("hello")).await.unwrap();
    assert_eq!(broker.script().published.len(), 1);
}

#[tokio::test]
async fn round_robin_takes_the_partitions_in_turn() {
    let broker = broker_with_foo(3).await;
    let client = broker.client().await;
    let turns = RoundRobin::new();
    for _ in 0..4 {
        client.publish("foo", Outgoing::new("").round_robin(&turns)).await.unwrap();
    }
    let partitions: Vec<_> = broker.script().published.iter().map(|sent| sent.partition).collect();
    assert_eq!(partitions, [0, 1, 2, 0]);
}

#[tokio::test]
async fn keys_choose_the_partition_and_unknown_streams_have_one() {
    let broker = broker_with_foo(2).await;
    let client = broker.client().await;
    client.publish("foo", Outgoing::new("").key("foobarbazqux").by_key()).await.unwrap();
    client.publish("foo", Outgoing::new("").key("blah").by_key()).await.unwrap();
    client.publish("bar", Outgoing::new("").key("foobarbazqux").by_key()).await.unwrap();
    let partitions: Vec<_> = broker.script().published.iter().map(|sent| sent.partition).collect();
    assert_eq!(partitions, [1, 0, 0]);
}

#[tokio::test]
async fn a_missing_ack_is_a_timeout() {
    let broker = broker_with_foo(1).await;
    let after = Duration::from_millis(20);
    let client = broker.builder().ack_timeout(after).connect().await.unwrap();
    broker.script().acks.push_back(ScriptedAck::Ignore);
    let error = client.publish("foo", Outgoing::new("")).await.unwrap_err();
    assert_eq!(error, PublishError::AckTimeout { after });
    assert!(error.outcome_unknown());
}

#[tokio::test]
async fn what_is_behind_a_message_without_an_ack_is_given_up_with_it_and_the_next_goes_where_the_leader_is_now() {
    let silent = broker_with_foo(1).await;
    let next = silent.start_another().await;
    let after = Duration::from_millis(100);
    let client = silent.builder().ack_timeout(after).connect().await.unwrap();
    silent.script().acks.extend([ScriptedAck::Ignore, ScriptedAck::Ignore]);
    let producer = client.producer();
    let first = producer.publish("foo", Outgoing::new("first")).await.unwrap();
    // Half of the first one's time passes before the second is sent.
    tokio::time::timeout(after / 2, std::future::pending::<()>()).await.unwrap_err();
    let behind = producer.publish("foo", Outgoing::new("behind")).await.unwrap();
    silent.has_stream_led_by("foo", 1, &next);
    assert_eq!(first.await, Err(PublishError::AckTimeout { after }));
    let error = behind.await.unwrap_err();
    assert!(matches!(error, PublishError::OutcomeUnknown { .. }), "{error}");
    client.publish("foo", Outgoing::new("third")).await.unwrap();
    assert_eq!((silent.script().published.len(), next.script().published.len()), (2, 1));
}

#[tokio::test]
async fn a_message_refused_because_another_broker_leads_is_sent_there() {
    let former = broker_with_foo(1).await;
    let next = former.start_another().await;
    let client = former.client().await;
    client.publish("foo", Outgoing::new("first")).await.unwrap();
    former.script().acks.push_back(ScriptedAck::Refuse(AsyncCode::Internal, "Server not partition leader"));
    former.has_stream_led_by("foo", 1, &next);
    let asked = || (former.script().metadata_asked.len(), next.script().metadata_asked.len());
    let (asked_former, asked_next) = asked();
    client.publish("foo", Outgoing::new("second")).await.unwrap();
    assert_eq!((former.script().published.len(), next.script().published.len()), (2, 1));
    assert_eq!(asked(), (asked_former, asked_next + 1), "a broker that does not know better is not asked again");
}

#[tokio::test]
async fn refusals_have_types() {
    let broker = broker_with_foo(1).await;
    let client = broker.client().await;
    let message = || "the text".to_owned();
    let cases = [
        (AsyncCode::NotFound, PublishError::NotFound { message: message() }),
        (AsyncCode::Readonly, PublishError::Readonly { message: message() }),
        (AsyncCode::BadRequest, PublishError::BadRequest { message: message() }),
        (AsyncCode::IncorrectOffset, PublishError::IncorrectOffset),
        (AsyncCode::PermissionDenied, PublishError::PermissionDenied { message: message() }),
        (AsyncCode::EncryptionFailed, PublishError::EncryptionFailed { message: message() }),
        (AsyncCode::Internal, PublishError::Internal { message: message() }),
        (AsyncCode::Unknown, PublishError::Internal { message: message() }),
    ];
    for (code, expected) in cases {
        broker.script().acks.push_back(ScriptedAck::Refuse(code, "the text"));
        assert_eq!(client.publish("foo", Outgoing::new("")).await, Err(expected));
    }
    assert_eq!(broker.script().publish_streams, 1, "a refusal does not end the stream");
}

#[tokio::test]
async fn a_broken_stream_leaves_the_outcome_unknown_and_the_next_message_opens_another() {
    let broker = broker_with_foo(1).await;
    let client = broker.client().await;
    broker.script().acks.push_back(ScriptedAck::Break(Status::unavailable("going away")));
    let error = client.publish("foo", Outgoing::new("first")).await.unwrap_err();
    assert!(matches!(error, PublishError::OutcomeUnknown { .. }), "{error}");
    client.publish("foo", Outgoing::new("second")).await.unwrap();
    assert_eq!(broker.script().publish_streams, 2);
}

#[tokio::test]
async fn a_cut_connection_leaves_the_outcome_unknown() {
    let mut broker = broker_with_foo(1).await;
    let wire = Wire::to(&mut broker).await;
    let client = broker.client().await;
    client.publish("foo", Outgoing::new("first")).await.unwrap();
    broker.script().acks.push_back(ScriptedAck::Ignore);
    let unanswered = client.producer().publish("foo", Outgoing::new("second")).await.unwrap();
    while broker.script().published.len() < 2 {
        tokio::task::yield_now().await;
    }
    wire.cut();
    let error = unanswered.await.unwrap_err();
    assert!(matches!(error, PublishError::OutcomeUnknown { .. }), "{error}");
    client.publish("foo", Outgoing::new("third")).await.unwrap();
    assert_eq!(broker.script().publish_streams, 2);
}

#[tokio::test]
async fn a_message_whose_outcome_is_unknown_is_repeated_on_request() {
    let broker = broker_with_foo(1).await;
    let client = broker.client().await;
    broker.script().acks.push_back(ScriptedAck::Break(Status::unavailable("going away")));
    client.publish("foo", Outgoing::new("first").at_least_once()).await.unwrap();
    assert_eq!(broker.script().published.len(), 2);
}

#[tokio::test]
async fn a_message_that_was_pending_when_the_leadership_moved_may_be_stored_and_is_repeated_on_request_only() {
    let moved = "the partition's leadership moved before the message was acknowledged: it may have been stored";
    let broker = broker_with_foo(1).await;
    let client = broker.client().await;
    broker.script().acks.push_back(ScriptedAck::Refuse(AsyncCode::Internal, moved));
    let error = client.publish("foo", Outgoing::new("first")).await.unwrap_err();
    assert!(error.outcome_unknown() && error.retryable(), "{error}");
    assert_eq!(broker.script().published.len(), 1);
    broker.script().acks.push_back(ScriptedAck::Refuse(AsyncCode::Internal, moved));
    client.publish("foo", Outgoing::new("second").at_least_once()).await.unwrap();
    assert_eq!(broker.script().published.len(), 3);
    broker.script().acks.push_back(ScriptedAck::Refuse(AsyncCode::Internal, "disk is full"));
    let refused = client.publish("foo", Outgoing::new("third").at_least_once()).await.unwrap_err();
    assert!(!refused.outcome_unknown());
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_is_replaced_once_another_leads() {
    let broker = broker_with_foo(1).await;
    let gone = broker.start_another().await;
    broker.has_stream_led_by("foo", 1, &gone);
    // Nobody listens there.
    broker.cluster().brokers[1].port = 1;
    let client = broker.client().await;
    client.fetch_metadata(&["foo"]).await.unwrap();
    broker.has_stream("foo", 1);
    assert!(client.publish("foo", Outgoing::new("hello")).await.unwrap().is_some());
    assert_eq!(broker.script().published.len(), 1);
}

#[tokio::test]
async fn pipelined_messages_share_one_stream_and_keep_their_order() {
    let broker = broker_with_foo(1).await;
    let producer = broker.client().await.producer();
    let mut acks = Vec::new();
    for number in 0..100u32 {
        acks.push(producer.publish("foo", Outgoing::new(number.to_string())).await.unwrap());
    }
    for (number, ack) in acks.into_iter().enumerate() {
        assert_eq!(ack.await.unwrap().unwrap().offset, Offset::new(number as u64));
    }
    let script = broker.script();
    assert_eq!(script.publish_streams, 1);
    let values: Vec<_> = script.published.iter().map(|sent| sent.value.clone()).collect();
    let expected: Vec<_> = (0..100u32).map(|number| bytes::Bytes::from(number.to_string())).collect();
    assert_eq!(values, expected);
}

#[tokio::test]
async fn a_full_window_makes_publishing_wait() {
    let broker = broker_with_foo(1).await;
    broker.script().acks.extend([ScriptedAck::Ignore, ScriptedAck::Ignore]);
    let client = broker.builder().ack_timeout(Duration::from_millis(50)).connect().await.unwrap();
    let producer = client.producer_with(ProducerWindow { messages: 2, bytes: 1 << 20 });
    let first = producer.publish("foo", Outgoing::new("1")).await.unwrap();
    let second = producer.publish("foo", Outgoing::new("2")).await.unwrap();
    let third = producer.publish("foo", Outgoing::new("3"));
    tokio::pin!(third);
    tokio::select! {
        biased;
        _ = &mut third => panic!("the window is full"),
        () = std::future::ready(()) => {}
    }
    // The first two give up their places only when they are given up.
    assert!(matches!(first.await, Err(PublishError::AckTimeout { .. })));
    assert!(third.await.unwrap().await.unwrap().is_some());
    assert!(matches!(second.await, Err(PublishError::AckTimeout { .. })));
}

#[tokio::test]
async fn a_message_larger_than_the_window_goes_alone() {
    let broker = broker_with_foo(1).await;
    let producer = broker.client().await.producer_with(ProducerWindow { messages: 10, bytes: 10 });
    let ack = producer.publish("foo", Outgoing::new(vec![0; 1000])).await.unwrap();
    assert!(ack.await.unwrap().is_some());
    producer.flush().await;
}

#[tokio::test]
async fn pipelined_messages_on_a_broken_stream_are_not_repeated() {
    let broker = broker_with_foo(1).await;
    let producer = broker.client().await.producer();
    broker.script().acks.extend([ScriptedAck::Ignore, ScriptedAck::Break(Status::unavailable("going away"))]);
    let first = producer.publish("foo", Outgoing::new("1")).await.unwrap();
    let second = producer.publish("foo", Outgoing::new("2").at_least_once()).await.unwrap();
    assert!(matches!(first.await, Err(PublishError::OutcomeUnknown { .. })));
    assert!(matches!(second.await, Err(PublishError::OutcomeUnknown { .. })));
    let third = producer.publish("foo", Outgoing::new("3")).await.unwrap();
    assert!(third.await.unwrap().is_some());
    assert_eq!(broker.script().published.len(), 3);
}

#[tokio::test]
async fn a_partition_changes_its_stream_only_when_nothing_is_outstanding() {
    let old = broker_with_foo(1).await;
    let new = old.start_another().await;
    let client = old.client().await;
    let producer = client.producer();
    old.script().acks.push_back(ScriptedAck::Ignore);
    let unanswered = producer.publish("foo", Outgoing::new("1")).await.unwrap();
    old.has_stream_led_by("foo", 1, &new);
    client.fetch_metadata(&["foo"]).await.unwrap();
    client.publish("foo", Outgoing::new("2")).await.unwrap();
    assert_eq!((old.script().published.len(), new.script().published.len()), (2, 0));

    old.script().acks.push_back(ScriptedAck::Break(Status::unavailable("going away")));
    let _ = client.publish("foo", Outgoing::new("3")).await;
    assert!(unanswered.await.is_err());
    client.publish("foo", Outgoing::new("4")).await.unwrap();
    assert_eq!(new.script().published.len(), 1);
}

#[tokio::test]
async fn a_subject_gets_key_value_and_headers_and_the_first_ack_comes_back() {
    let broker = MockBroker::start().await;
    broker.script().subject_ack = Some(wire::Ack { stream: "foo".to_owned(), offset: 3, ..wire::Ack::default() });
    let message = Outgoing::new("v").key("k").header("h", "x");
    let ack = broker.client().await.publish_to_subject("foo.bar", message).await.unwrap().unwrap();
    assert_eq!((ack.stream.as_str(), ack.offset), ("foo", Offset::new(3)));
    let script = broker.script();
    let sent = &script.published_to_subject[0];
    assert_eq!((sent.subject.as_str(), sent.key.as_ref(), sent.value.as_ref()), ("foo.bar", &b"k"[..], &b"v"[..]));
    assert_eq!((sent.ack_policy(), sent.correlation_id.as_str()), (wire::AckPolicy::Leader, ""));
    assert_eq!(sent.headers["h"].as_ref(), b"x");
}

#[tokio::test]
async fn a_subject_nobody_listens_on_is_an_ack_timeout() {
    let broker = MockBroker::start().await;
    let client = broker.client().await;
    broker.script().refusals.push_back(Status::deadline_exceeded("nobody"));
    let error = client.publish_to_subject("foo", Outgoing::new("")).await.unwrap_err();
    assert!(matches!(error, PublishError::AckTimeout { .. }), "{error}");
}

#[tokio::test]
async fn an_ack_from_a_subject_may_be_a_refusal() {
    let broker = MockBroker::start().await;
    let mut ack = wire::Ack::default();
    ack.set_ack_error(wire::ack::Error::TooLarge);
    broker.script().subject_ack = Some(ack);
    let error = broker.client().await.publish_to_subject("foo", Outgoing::new("")).await.unwrap_err();
    assert!(matches!(error, PublishError::BadRequest { .. }), "{error}");
}
