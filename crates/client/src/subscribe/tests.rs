//! What subscriptions send, how they end, and how they go on.

use std::time::Duration;

use futures_util::StreamExt;
use liftbridge_proto::api as wire;
use tonic::Status;

use super::*;
use crate::error::{PartitionName, RouteError};
use crate::testing::{MockBroker, Wire, message, open_read, read_ending};

async fn broker_with_foo() -> MockBroker {
    let broker = MockBroker::start().await;
    broker.has_stream("foo", 1);
    broker
}

async fn next_value(subscription: &mut Subscription) -> String {
    let message = subscription.next().await.unwrap().unwrap();
    String::from_utf8(message.value.to_vec()).unwrap()
}

/// The errors of subscribing to a broker that refuses like this, every time.
async fn refusal(status: Status) -> SubscribeError {
    let broker = broker_with_foo().await;
    broker.script().reads.extend((0..10).map(|_| Err(status.clone())));
    broker.client().await.subscribe(Subscribe::new("foo")).await.unwrap_err()
}

/// How a subscription ends when its stream ends like this after one message.
async fn end(status: Status) -> Option<SubscribeError> {
    let broker = broker_with_foo().await;
    broker.script().reads.push_back(read_ending(vec![message(0, "a")], status));
    let mut subscription = broker.client().await.subscribe(Subscribe::new("foo")).await.unwrap();
    assert_eq!(next_value(&mut subscription).await, "a");
    let end = subscription.next().await.map(|item| item.unwrap_err());
    assert!(subscription.next().await.is_none(), "nothing follows the end");
    end
}

#[tokio::test]
async fn messages_follow_the_handshake_with_all_their_fields() {
    let broker = broker_with_foo().await;
    let mut sent = message(3, "value");
    sent.key = "key".into();
    sent.reply_subject = "reply".to_owned();
    sent.headers.insert("h".to_owned(), "x".into());
    broker.script().reads.push_back(open_read(vec![sent]));
    let mut subscription = broker.client().await.subscribe(Subscribe::new("foo")).await.unwrap();
    let received = subscription.next().await.unwrap().unwrap();
    let expected = ReceivedMessage {
        stream: "foo".to_owned(),
        partition: PartitionId::default(),
        offset: Offset::new(3),
        time: Timestamp::from_nanos(1003),
        key: Some("key".into()),
        value: "value".into(),
        headers: HashMap::from([("h".to_owned(), "x".into())]),
        subject: "foo".to_owned(),
        reply_subject: "reply".to_owned(),
    };
    assert_eq!(received, expected);
    assert_eq!(subscription.last_offset(), Some(Offset::new(3)));
}

#[tokio::test]
async fn new_messages_of_the_leader_are_the_default() {
    let broker = broker_with_foo().await;
    drop(broker.client().await.subscribe(Subscribe::new("foo")).await.unwrap());
    let expected = wire::SubscribeRequest { stream: "foo".to_owned(), ..wire::SubscribeRequest::default() };
    assert_eq!(broker.script().subscribed, [expected]);
}

#[tokio::test]
async fn every_position_is_sent() {
    let broker = broker_with_foo().await;
    let client = broker.client().await;
    let time = Timestamp::from_nanos(9);
    let asked = [
        Subscribe::new("foo").start(Start::Offset(Offset::new(3))).stop(Stop::Offset(Offset::new(5))),
        Subscribe::new("foo").start(Start::Earliest).stop(Stop::Latest).resume(),
        Subscribe::new("foo").start(Start::Latest).reverse(),
        Subscribe::new("foo").start(Start::Time(time)).stop(Stop::Time(time)).read_isr_replica(),
    ];
    for subscribe in asked {
        drop(client.subscribe(subscribe).await.unwrap());
    }
    let script = broker.script();
    let sent: Vec<_> = script.subscribed.iter().map(|r| (r.start_position(), r.stop_position())).collect();
    use wire::{StartPosition as Begin, StopPosition as End};
    let expected = [
        (Begin::Offset, End::StopOffset),
        (Begin::Earliest, End::StopLatest),
        (Begin::Latest, End::StopOnCancel),
        (Begin::Timestamp, End::StopTimestamp),
    ];
    assert_eq!(sent, expected);
    assert_eq!((script.subscribed[0].start_offset, script.subscribed[0].stop_offset), (3, 5));
    assert!(script.subscribed[1].resume && script.subscribed[2].reverse && script.subscribed[3].read_isr_replica);
    assert_eq!((script.subscribed[3].start_timestamp, script.subscribed[3].stop_timestamp), (9, 9));
}

#[tokio::test]
async fn what_nobody_knows_is_not_asked_for() {
    let broker = broker_with_foo().await;
    let client = broker.client().await;
    let error = client.subscribe(Subscribe::new("bar")).await.unwrap_err();
    assert!(matches!(error, SubscribeError::Route(RouteError::UnknownStream { .. })), "{error}");
    let error = client.subscribe(Subscribe::new("foo").partition(PartitionId::new(1).unwrap())).await.unwrap_err();
    assert!(matches!(error, SubscribeError::Route(RouteError::UnknownPartition(_))), "{error}");
    assert!(broker.script().subscribed.is_empty());
}

#[tokio::test]
async fn a_partition_without_leader_is_waited_for_and_then_given_up() {
    let broker = broker_with_foo().await;
    broker.edit_partition("foo", 0, |partition| partition.leader.clear());
    let error = broker.client().await.subscribe(Subscribe::new("foo")).await.unwrap_err();
    assert!(matches!(error, SubscribeError::Route(RouteError::NoLeader(_))), "{error}");
    assert!(broker.script().subscribed.is_empty());
    assert_eq!(broker.script().metadata_asked.iter().filter(|asked| asked.streams == ["foo"]).count(), 5);
}

#[tokio::test]
async fn subscriptions_follow_the_leader() {
    let old = broker_with_foo().await;
    let new = old.start_another().await;
    let client = old.client().await;
    client.fetch_metadata(&["foo"]).await.unwrap();
    old.has_stream_led_by("foo", 1, &new);
    old.script().reads.push_back(Err(Status::failed_precondition("Server not partition leader")));
    drop(client.subscribe(Subscribe::new("foo").start(Start::Earliest)).await.unwrap());
    assert_eq!((old.script().subscribed.len(), new.script().subscribed.len()), (1, 1));
    assert_eq!(new.script().subscribed[0].start_position(), wire::StartPosition::Earliest);
}

#[tokio::test]
async fn any_in_sync_replica_may_be_asked_instead() {
    let leader = broker_with_foo().await;
    let replica = leader.start_another().await;
    leader.edit_partition("foo", 0, |partition| partition.isr = vec![replica.id()]);
    drop(leader.client().await.subscribe(Subscribe::new("foo").read_isr_replica()).await.unwrap());
    assert_eq!((leader.script().subscribed.len(), replica.script().subscribed.len()), (0, 1));
}

#[tokio::test]
async fn refusals_before_the_first_message_have_types() {
    let error = refusal(Status::not_found("No such partition")).await;
    assert!(matches!(error, SubscribeError::NotFound(_)), "{error}");
    let error = refusal(Status::failed_precondition("commit log was closed")).await;
    assert!(matches!(error, SubscribeError::Paused(_)), "{error}");
    let error = refusal(Status::resource_exhausted("Stream is empty")).await;
    assert!(matches!(error, SubscribeError::NothingToRead { .. }), "{error}");
    let error = refusal(Status::data_loss("offsets 3 to 4 are damaged")).await;
    assert!(matches!(error, SubscribeError::DataLoss { .. }), "{error}");
    let error = refusal(Status::resource_exhausted("server has 5 subscriptions already")).await;
    assert!(matches!(error, SubscribeError::Call(_)), "a limit is no regular end: {error}");
}

#[tokio::test]
async fn brokers_that_are_away_are_asked_five_times() {
    let broker = broker_with_foo().await;
    broker.script().reads.extend((0..5).map(|_| Err(Status::unavailable("away"))));
    let client = broker.client().await;
    let error = client.subscribe(Subscribe::new("foo")).await.unwrap_err();
    assert!(error.retryable(), "{error}");
    assert_eq!(broker.script().subscribed.len(), 5);
    drop(client.subscribe(Subscribe::new("foo")).await.unwrap());
}

#[tokio::test]
async fn a_stream_that_is_not_found_is_asked_for_once_more() {
    let broker = broker_with_foo().await;
    broker.script().reads.push_back(Err(Status::not_found("No such partition")));
    drop(broker.client().await.subscribe(Subscribe::new("foo")).await.unwrap());
    assert_eq!(broker.script().subscribed.len(), 2);
}

#[tokio::test]
async fn ends_have_types() {
    assert_eq!(end(Status::resource_exhausted("Stop offset reached")).await, None);
    let deleted = SubscribeError::StreamDeleted { stream: "foo".to_owned() };
    assert_eq!(end(Status::not_found("commit log was deleted")).await, Some(deleted));
    let paused = SubscribeError::Paused(PartitionName::new("foo", PartitionId::default()));
    assert_eq!(end(Status::failed_precondition("commit log was closed")).await, Some(paused));
    let words = "offsets 3 to 4 are damaged on disk; subscribe from offset 5 to go on";
    let damaged = SubscribeError::DataLoss { message: words.to_owned(), go_on: Some(Offset::new(5)) };
    assert_eq!(end(Status::data_loss(words)).await, Some(damaged));
    let other = end(Status::unknown("something else")).await;
    assert!(matches!(other, Some(SubscribeError::Call(_))), "{other:?}");
}

#[tokio::test]
async fn a_subscription_goes_on_after_its_last_message_when_the_server_goes_away() {
    let broker = broker_with_foo().await;
    broker.script().reads.push_back(read_ending(vec![message(6, "a"), message(7, "b")], Status::unavailable("bye")));
    broker.script().reads.push_back(open_read(vec![message(8, "c")]));
    let subscribe = Subscribe::new("foo").start(Start::Earliest).stop(Stop::Offset(Offset::new(20)));
    let mut subscription = broker.client().await.subscribe(subscribe).await.unwrap();
    for expected in ["a", "b", "c"] {
        assert_eq!(next_value(&mut subscription).await, expected);
    }
    let script = broker.script();
    let again = &script.subscribed[1];
    assert_eq!((again.start_position(), again.start_offset), (wire::StartPosition::Offset, 8));
    assert_eq!((again.stop_position(), again.stop_offset), (wire::StopPosition::StopOffset, 20));
}

#[tokio::test]
async fn a_subscription_goes_on_when_its_connection_is_cut() {
    let mut broker = broker_with_foo().await;
    let wire = Wire::to(&mut broker).await;
    broker.script().reads.push_back(open_read(vec![message(6, "a")]));
    broker.script().reads.push_back(open_read(vec![message(7, "b")]));
    let mut subscription = broker.client().await.subscribe(Subscribe::new("foo")).await.unwrap();
    assert_eq!(next_value(&mut subscription).await, "a");
    wire.cut();
    assert_eq!(next_value(&mut subscription).await, "b");
    assert_eq!(broker.script().subscribed[1].start_offset, 7);
}

#[tokio::test]
async fn a_reverse_subscription_goes_on_below_its_last_message() {
    let broker = broker_with_foo().await;
    broker.script().reads.push_back(read_ending(vec![message(7, "a")], Status::unavailable("bye")));
    broker
        .script()
        .reads
        .push_back(read_ending(vec![message(6, "b")], Status::resource_exhausted("Stop offset reached")));
    let subscribe = Subscribe::new("foo").start(Start::Latest).reverse();
    let subscription = broker.client().await.subscribe(subscribe).await.unwrap();
    let received: Vec<_> = subscription.map(|item| item.unwrap().offset.get()).collect().await;
    assert_eq!(received, [7, 6]);
    assert_eq!(broker.script().subscribed[1].start_offset, 6);
}

#[tokio::test]
async fn a_subscription_that_had_everything_ends_when_the_server_goes_away() {
    for past in [
        "Stop offset is before start offset: 7 < 8",
        "Stop offset is after start offset of a reverse subscription: 7 > 6",
    ] {
        let broker = broker_with_foo().await;
        broker.script().reads.push_back(read_ending(vec![message(7, "a")], Status::unavailable("bye")));
        broker.script().reads.push_back(Err(Status::invalid_argument(past)));
        let subscribe = Subscribe::new("foo").start(Start::Earliest).stop(Stop::Latest);
        let mut subscription = broker.client().await.subscribe(subscribe).await.unwrap();
        assert_eq!(next_value(&mut subscription).await, "a");
        assert!(subscription.next().await.is_none(), "{past}");
    }
}

#[tokio::test]
async fn a_subscription_whose_stream_vanished_meanwhile_says_so() {
    let broker = broker_with_foo().await;
    broker.script().reads.push_back(read_ending(vec![message(7, "a")], Status::unavailable("bye")));
    broker.script().reads.extend((0..2).map(|_| Err(Status::not_found("No such partition"))));
    let mut subscription = broker.client().await.subscribe(Subscribe::new("foo")).await.unwrap();
    assert_eq!(next_value(&mut subscription).await, "a");
    let error = subscription.next().await.unwrap().unwrap_err();
    assert_eq!(error, SubscribeError::StreamDeleted { stream: "foo".to_owned() });
}

#[tokio::test]
async fn the_reason_is_given_when_going_on_takes_too_long() {
    let broker = broker_with_foo().await;
    broker.script().reads.push_back(read_ending(vec![message(7, "a")], Status::unavailable("bye")));
    broker.script().reads.extend((0..1000).map(|_| Err(Status::unavailable("still away"))));
    let client = broker.builder().resubscribe_window(Duration::from_millis(100)).connect().await.unwrap();
    let mut subscription = client.subscribe(Subscribe::new("foo")).await.unwrap();
    assert_eq!(next_value(&mut subscription).await, "a");
    let error = subscription.next().await.unwrap().unwrap_err();
    assert!(error.retryable(), "{error}");
    assert!(subscription.next().await.is_none());
}

#[tokio::test]
async fn a_server_that_skips_the_handshake_is_not_believed() {
    let broker = broker_with_foo().await;
    broker.script().skips_handshake = true;
    broker.script().reads.push_back(open_read(vec![message(7, "a")]));
    let error = broker.client().await.subscribe(Subscribe::new("foo")).await.unwrap_err();
    assert!(matches!(error, SubscribeError::Malformed { .. }), "{error}");
}
