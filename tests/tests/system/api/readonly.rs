//! SetStreamReadonly (2.5, 14.2).

use liftbridge_tests::api::{Pipeline, assert_refused, create, open, publish, publish_values, subscribe, values, wire};
use tonic::Code::{NotFound, ResourceExhausted};

use super::Fixture;

fn readonly(name: &str, partitions: &[i32], readonly: bool) -> wire::SetStreamReadonlyRequest {
    wire::SetStreamReadonlyRequest { name: name.to_owned(), partitions: partitions.to_vec(), readonly }
}

/// Whether a message can be published to each of these partitions.
async fn writable(fixture: &mut Fixture, name: &str, partitions: &[i32]) -> Vec<bool> {
    let mut pipeline = Pipeline::open(&mut fixture.client).await;
    let mut writable = Vec::new();
    for partition in partitions {
        writable.push(pipeline.publish(publish(name, *partition, "try")).await.is_ok());
    }
    writable
}

fn follow(name: &str) -> wire::SubscribeRequest {
    wire::SubscribeRequest { stop_position: wire::StopPosition::StopOnCancel.into(), ..subscribe(name, 0) }
}

#[tokio::test]
async fn what_is_not_there_cannot_become_readonly() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "here", 1).await;
    let refused = [
        (readonly("missing", &[], true), "stream not found"),
        (readonly("missing", &[0], true), "stream does not exist"),
        (readonly("here", &[1], true), "partition does not exist"),
    ];
    for (request, text) in refused {
        assert_refused(fixture.client.set_stream_readonly(request).await, NotFound, text);
    }
}

#[tokio::test]
async fn exactly_the_named_partitions_refuse_publishes_until_they_are_writable_again() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "locked", 2).await;
    for (request, expected) in [
        (readonly("locked", &[1], true), [true, false]),
        (readonly("locked", &[1], true), [true, false]),
        (readonly("locked", &[], true), [false, false]),
        (readonly("locked", &[0], false), [true, false]),
        (readonly("locked", &[], false), [true, true]),
    ] {
        fixture.client.set_stream_readonly(request.clone()).await.unwrap();
        assert_eq!(writable(&mut fixture, "locked", &[0, 1]).await, expected, "after {request:?}");
    }
}

#[tokio::test]
async fn subscribers_of_a_readonly_partition_get_everything_and_then_the_end() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "ending", 1).await;
    create(&mut fixture.client, "empty", 1).await;
    publish_values(&mut fixture.client, "ending", 0, &["a", "b"]).await;
    let running = open(&mut fixture.client, follow("ending")).await.unwrap();
    for name in ["ending", "empty"] {
        fixture.client.set_stream_readonly(readonly(name, &[], true)).await.unwrap();
    }
    let (messages, end) = running.to_end().await;
    assert_eq!((values(&messages), end.code()), (vec!["a".to_owned(), "b".to_owned()], ResourceExhausted));
    for (name, expected) in [("ending", &["a", "b"][..]), ("empty", &[])] {
        let (messages, end) = open(&mut fixture.client, follow(name)).await.unwrap().to_end().await;
        assert_eq!(values(&messages), expected);
        assert_eq!(end.code(), ResourceExhausted, "{end}");
    }
}

#[tokio::test]
async fn a_readonly_partition_stays_so_through_pause_and_resume() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "both", 1).await;
    publish_values(&mut fixture.client, "both", 0, &["a"]).await;
    fixture.client.set_stream_readonly(readonly("both", &[], true)).await.unwrap();
    let pause = wire::PauseStreamRequest { name: "both".into(), ..Default::default() };
    fixture.client.pause_stream(pause).await.unwrap();
    let resume = wire::SubscribeRequest { resume: true, ..follow("both") };
    let (messages, end) = open(&mut fixture.client, resume).await.unwrap().to_end().await;
    assert_eq!((values(&messages), end.code()), (vec!["a".to_owned()], ResourceExhausted));
    assert_eq!(writable(&mut fixture, "both", &[0]).await, [false]);
}
