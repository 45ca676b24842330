//! Subscribe: where it begins, where it ends, which way it goes, how it is told (2.11).

use liftbridge_tests::api::wire::{StartPosition, StopPosition};
use liftbridge_tests::api::{
    assert_refused, create, offsets, open, publish_values, read_committed, subscribe, values, wire,
};
use tonic::Code::{self, InvalidArgument, NotFound, ResourceExhausted};

use super::Fixture;

const TEN: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// A server with ten messages in stream `ten`, and their acks.
async fn ten() -> (Fixture, Vec<wire::Ack>) {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "ten", 1).await;
    create(&mut fixture.client, "empty", 1).await;
    let acks = publish_values(&mut fixture.client, "ten", 0, &TEN).await;
    (fixture, acks)
}

/// What a subscription delivers and how it ends.
async fn delivered(fixture: &mut Fixture, request: wire::SubscribeRequest) -> (Vec<i64>, Code, String) {
    let subscription = open(&mut fixture.client, request).await.expect("the subscription begins");
    let (messages, end) = subscription.to_end().await;
    (messages.iter().map(|message| message.offset).collect(), end.code(), end.message().to_owned())
}

fn range(start: StartPosition, stop: StopPosition) -> wire::SubscribeRequest {
    wire::SubscribeRequest { start_position: start.into(), stop_position: stop.into(), ..subscribe("ten", 0) }
}

#[tokio::test]
async fn a_bounded_subscription_delivers_its_range_and_says_that_it_is_done() {
    let (mut fixture, acks) = ten().await;
    let time = |n: usize| acks[n].reception_timestamp;
    let from_time = |n: usize| wire::SubscribeRequest {
        start_timestamp: time(n),
        ..range(StartPosition::Timestamp, StopPosition::StopLatest)
    };
    let times = |start: i64, stop: i64| wire::SubscribeRequest {
        start_timestamp: start,
        stop_timestamp: stop,
        ..range(StartPosition::Timestamp, StopPosition::StopTimestamp)
    };
    let cases: Vec<(wire::SubscribeRequest, Vec<i64>)> = vec![
        (range(StartPosition::Earliest, StopPosition::StopLatest), (0..10).collect()),
        (range(StartPosition::Latest, StopPosition::StopLatest), vec![9]),
        (offsets("ten", 0, 4, 6), vec![4, 5, 6]),
        (offsets("ten", 0, 4, 4), vec![4]),
        (offsets("ten", 0, -3, 1), vec![0, 1]),
        (from_time(3), (3..10).collect()),
        (times(time(2), time(6)), (2..=6).collect()),
        (times(time(2) + 1, time(6) - 1), (3..=5).collect()),
        (times(0, i64::MAX), (0..10).collect()),
    ];
    for (request, expected) in cases {
        let (offsets, code, text) = delivered(&mut fixture, request.clone()).await;
        assert_eq!(offsets, expected, "of {request:?}");
        assert_eq!((code, text.as_str()), (ResourceExhausted, "Stop offset reached"), "of {request:?}");
    }
}

#[tokio::test]
async fn a_subscription_that_cannot_be_is_refused_with_the_reason() {
    let (mut fixture, acks) = ten().await;
    let consumer = Some(wire::Consumer { group_id: "group".into(), group_epoch: 0, consumer_id: String::new() });
    let to = |stop: StopPosition, request: wire::SubscribeRequest| wire::SubscribeRequest {
        stop_position: stop.into(),
        ..request
    };
    let refused = [
        (subscribe("missing", 0), NotFound, "No such partition"),
        (subscribe("ten", 1), NotFound, "No such partition"),
        (subscribe("ten", -1), NotFound, "No such partition"),
        (
            wire::SubscribeRequest { consumer, ..subscribe("ten", 0) },
            InvalidArgument,
            "Consumer id cannot be empty when group id is provided",
        ),
        (
            wire::SubscribeRequest { start_position: 99, ..subscribe("ten", 0) },
            InvalidArgument,
            "Unknown StartPosition 99",
        ),
        (
            wire::SubscribeRequest { stop_position: 99, ..subscribe("ten", 0) },
            InvalidArgument,
            "Unknown StopPosition 99",
        ),
        (subscribe("empty", 0), ResourceExhausted, "Stream is empty"),
        (offsets("ten", 0, 5, 3), InvalidArgument, "Stop offset is before start offset: 3 < 5"),
        (
            to(StopPosition::StopLatest, offsets("ten", 0, 20, 0)),
            InvalidArgument,
            "Stop offset is before start offset: 9 < 20",
        ),
        (
            range(StartPosition::NewOnly, StopPosition::StopLatest),
            InvalidArgument,
            "Stop offset is before start offset: 9 < 10",
        ),
        (
            wire::SubscribeRequest {
                stop_timestamp: acks[0].reception_timestamp - 1,
                ..range(StartPosition::Earliest, StopPosition::StopTimestamp)
            },
            Code::Internal,
            "Failed to lookup offset for timestamp: timestamp is before the beginning of the log",
        ),
    ];
    for (request, code, text) in refused {
        assert_refused(open(&mut fixture.client, request).await, code, text);
    }
    let empty_until = wire::SubscribeRequest {
        stream: "empty".into(),
        stop_timestamp: i64::MAX,
        ..range(StartPosition::Earliest, StopPosition::StopTimestamp)
    };
    let refusal = open(&mut fixture.client, empty_until).await.expect_err("nothing to look up");
    assert_eq!(refusal.code(), Code::Internal);
    assert!(refusal.message().starts_with("Failed to lookup offset for timestamp: "), "{refusal}");
}

#[tokio::test]
async fn beyond_the_end_one_waits_for_the_next_message() {
    let (mut fixture, acks) = ten().await;
    let until_cancelled =
        |request| wire::SubscribeRequest { stop_position: StopPosition::StopOnCancel.into(), ..request };
    let after_all = acks[9].reception_timestamp + 1_000_000_000;
    let waiting = [
        until_cancelled(range(StartPosition::NewOnly, StopPosition::StopOnCancel)),
        until_cancelled(offsets("ten", 0, 10, 0)),
        until_cancelled(offsets("ten", 0, 100, 0)),
        wire::SubscribeRequest {
            start_timestamp: after_all,
            ..range(StartPosition::Timestamp, StopPosition::StopOnCancel)
        },
    ];
    let mut subscriptions = Vec::new();
    for request in waiting {
        subscriptions.push(open(&mut fixture.client, request).await.expect("it waits"));
    }
    publish_values(&mut fixture.client, "ten", 0, &["next"]).await;
    for mut subscription in subscriptions {
        let message = subscription.next().await.expect("the next message");
        assert_eq!((message.offset, values(&[message])), (10, vec!["next".to_owned()]));
    }
}

#[tokio::test]
async fn on_an_empty_partition_every_start_waits_for_the_first_message() {
    let (mut fixture, _) = ten().await;
    let mut subscriptions = Vec::new();
    for start in [StartPosition::NewOnly, StartPosition::Earliest, StartPosition::Latest, StartPosition::Offset] {
        let request = wire::SubscribeRequest {
            stream: "empty".into(),
            start_offset: 5,
            ..range(start, StopPosition::StopOnCancel)
        };
        subscriptions.push(open(&mut fixture.client, request).await.expect("it waits"));
    }
    publish_values(&mut fixture.client, "empty", 0, &["first"]).await;
    for mut subscription in subscriptions {
        assert_eq!(subscription.next().await.expect("the first message").offset, 0);
    }
}

#[tokio::test]
async fn a_running_subscription_is_told_why_it_ends() {
    let (mut fixture, _) = ten().await;
    create(&mut fixture.client, "doomed", 1).await;
    let follow = |stream: &str| wire::SubscribeRequest {
        stream: stream.into(),
        ..range(StartPosition::NewOnly, StopPosition::StopOnCancel)
    };
    let deleted = open(&mut fixture.client, follow("doomed")).await.unwrap();
    let paused = open(&mut fixture.client, follow("ten")).await.unwrap();
    fixture.client.delete_stream(wire::DeleteStreamRequest { name: "doomed".into() }).await.unwrap();
    let pause = wire::PauseStreamRequest { name: "ten".into(), ..Default::default() };
    fixture.client.pause_stream(pause).await.unwrap();
    let end_of = |end: tonic::Status| (end.code(), end.message().to_owned());
    assert_eq!(end_of(deleted.to_end().await.1), (NotFound, "commit log was deleted".to_owned()));
    assert_eq!(end_of(paused.to_end().await.1), (Code::FailedPrecondition, "commit log was closed".to_owned()));
}

#[tokio::test]
async fn in_reverse_the_newest_comes_first_and_the_oldest_last() {
    let (mut fixture, acks) = ten().await;
    let reverse = |request| wire::SubscribeRequest { reverse: true, ..request };
    let down_from = |offset| wire::SubscribeRequest {
        stop_position: StopPosition::StopOnCancel.into(),
        ..reverse(offsets("ten", 0, offset, 0))
    };
    let by_time = wire::SubscribeRequest {
        start_timestamp: acks[4].reception_timestamp,
        ..reverse(range(StartPosition::Timestamp, StopPosition::StopOnCancel))
    };
    let cases: Vec<(wire::SubscribeRequest, Vec<i64>)> = vec![
        (reverse(range(StartPosition::Latest, StopPosition::StopOnCancel)), (0..10).rev().collect()),
        (reverse(range(StartPosition::NewOnly, StopPosition::StopOnCancel)), (0..10).rev().collect()),
        (reverse(range(StartPosition::Earliest, StopPosition::StopOnCancel)), vec![0]),
        (down_from(3), vec![3, 2, 1, 0]),
        (down_from(100), (0..10).rev().collect()),
        (reverse(offsets("ten", 0, 7, 5)), vec![7, 6, 5]),
        (by_time, vec![4, 3, 2, 1, 0]),
    ];
    for (request, expected) in cases {
        let (offsets, code, _) = delivered(&mut fixture, request.clone()).await;
        assert_eq!((offsets, code), (expected, ResourceExhausted), "of {request:?}");
    }
}

#[tokio::test]
async fn below_the_oldest_kept_message_one_begins_at_it() {
    let mut fixture = Fixture::start().await;
    let number = |value| Some(wire::NullableInt64 { value });
    let request = wire::CreateStreamRequest {
        retention_max_messages: number(5),
        segment_max_bytes: number(1),
        cleaner_interval: number(20),
        ..liftbridge_tests::api::stream("kept")
    };
    fixture.client.create_stream(request).await.unwrap();
    publish_values(&mut fixture.client, "kept", 0, &TEN).await;
    // Each look is a round trip, and the cleaner runs many times within the patience of any of them.
    let mut oldest = 0;
    let retained = async {
        while oldest < 5 {
            oldest = read_committed(&mut fixture.client, "kept", 0).await[0].offset;
        }
    };
    liftbridge_tests::server::within("retention", retained).await;
    assert_eq!(oldest, 5, "exactly the newest five are kept");
    let (offsets, ..) = delivered(&mut fixture, offsets("kept", 0, 2, 9)).await;
    assert_eq!(offsets, [5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_client_that_only_reads_slowly_still_gets_everything_in_order() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "slow", 1).await;
    let follow = wire::SubscribeRequest {
        stop_position: StopPosition::StopOffset.into(),
        stop_offset: 1999,
        ..subscribe("slow", 0)
    };
    let subscription = open(&mut fixture.client, follow).await.unwrap();
    let texts: Vec<String> = (0..2000).map(|number| format!("{number:0>1000}")).collect();
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    for chunk in borrowed.chunks(500) {
        let mut pipeline = liftbridge_tests::api::Pipeline::open(&mut fixture.client).await;
        for text in chunk {
            pipeline.send(liftbridge_tests::api::publish("slow", 0, text)).await.unwrap();
        }
        assert_eq!(pipeline.finish().await.0.len(), chunk.len());
    }
    let (messages, _) = subscription.to_end().await;
    assert_eq!(values(&messages), texts);
}
