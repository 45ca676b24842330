//! PublishToSubject (2.10).

use std::time::Duration;

use bytes::Bytes;
use liftbridge_tests::api::{create, message, read_committed, stream, values, wire};
use liftbridge_tests::server::PATIENCE;
use tonic::Code;

use super::Fixture;

/// How long a publish that nobody can answer waits; only such publishes use it.
const SHORT: Duration = Duration::from_millis(200);

async fn on_subject(fixture: &mut Fixture, name: &str, subject: &str, group: &str, partitions: i32) {
    let request =
        wire::CreateStreamRequest { subject: subject.into(), group: group.into(), partitions, ..stream(name) };
    fixture.client.create_stream(request).await.unwrap();
}

async fn counts(fixture: &mut Fixture, partitions: &[(&str, i32)]) -> Vec<usize> {
    let mut counts = Vec::new();
    for (name, partition) in partitions {
        counts.push(read_committed(&mut fixture.client, name, *partition).await.len());
    }
    counts
}

#[tokio::test]
async fn every_matching_partition_gets_the_message() {
    let mut fixture = Fixture::start().await;
    on_subject(&mut fixture, "literal", "weather.ewr", "", 2).await;
    on_subject(&mut fixture, "token", "weather.*", "", 1).await;
    on_subject(&mut fixture, "rest", "weather.>", "", 1).await;
    on_subject(&mut fixture, "other", "weather.jfk", "", 1).await;
    let publish = message("weather.ewr", "cold", PATIENCE);
    let ack = fixture.client.publish_to_subject(publish).await.unwrap().into_inner().ack.expect("an ack");
    assert_eq!((ack.msg_subject.as_str(), ack.offset), ("weather.ewr", 0));
    let publish = message("weather.ewr.1", "partition 1", PATIENCE);
    fixture.client.publish_to_subject(publish).await.unwrap();
    let partitions = [("literal", 0), ("literal", 1), ("token", 0), ("rest", 0), ("other", 0)];
    // Only the first ack is waited for; the other partitions answer a reader once theirs is committed.
    let all = async {
        while counts(&mut fixture, &partitions).await != [1, 1, 1, 2, 0] {
            tokio::task::yield_now().await;
        }
    };
    liftbridge_tests::server::within("the message in every matching partition", all).await;
    let stored = read_committed(&mut fixture.client, "token", 0).await;
    assert_eq!((stored[0].subject.as_str(), values(&stored)), ("weather.ewr", vec!["cold".to_owned()]));
}

#[tokio::test]
async fn of_a_load_balance_group_one_gets_it() {
    let mut fixture = Fixture::start().await;
    on_subject(&mut fixture, "a", "shared", "workers", 1).await;
    on_subject(&mut fixture, "b", "shared", "workers", 1).await;
    for number in 0..20 {
        let publish = message("shared", &number.to_string(), PATIENCE);
        fixture.client.publish_to_subject(publish).await.unwrap();
    }
    let counts = counts(&mut fixture, &[("a", 0), ("b", 0)]).await;
    assert_eq!(counts.iter().sum::<usize>(), 20, "{counts:?}");
}

#[tokio::test]
async fn keys_and_headers_arrive_and_the_ack_names_its_message() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "full", 1).await;
    let mut publish = message("full", "value", PATIENCE);
    let request = publish.get_mut();
    request.key = Bytes::from_static(b"key");
    request.headers = [("name".to_owned(), Bytes::from_static(b"header"))].into();
    request.correlation_id = "mine".into();
    let ack = fixture.client.publish_to_subject(publish).await.unwrap().into_inner().ack.expect("an ack");
    assert_eq!((ack.stream.as_str(), ack.correlation_id.as_str()), ("full", "mine"));
    let stored = read_committed(&mut fixture.client, "full", 0).await;
    assert_eq!(
        (&stored[0].key[..], stored[0].headers.get("name")),
        (&b"key"[..], Some(&Bytes::from_static(b"header")))
    );
}

#[tokio::test]
async fn who_does_not_wait_gets_an_empty_answer() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "quiet", 1).await;
    let mut publish = message("quiet", "x", PATIENCE);
    publish.get_mut().ack_policy = wire::AckPolicy::None.into();
    let response = fixture.client.publish_to_subject(publish).await.unwrap().into_inner();
    assert_eq!(response, wire::PublishToSubjectResponse::default());
    let no_deadline = message("quiet", "x", PATIENCE).into_inner();
    let response = fixture.client.publish_to_subject(no_deadline).await.unwrap().into_inner();
    assert_eq!(response, wire::PublishToSubjectResponse::default());
}

#[tokio::test]
async fn where_nobody_takes_it_the_deadline_passes() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "readonly", 1).await;
    create(&mut fixture.client, "paused", 1).await;
    let readonly = wire::SetStreamReadonlyRequest { name: "readonly".into(), partitions: vec![], readonly: true };
    fixture.client.set_stream_readonly(readonly).await.unwrap();
    let pause = wire::PauseStreamRequest { name: "paused".into(), ..Default::default() };
    fixture.client.pause_stream(pause).await.unwrap();
    for subject in ["nobody", "readonly", "paused"] {
        let refusal = fixture.client.publish_to_subject(message(subject, "x", SHORT)).await.expect_err(subject);
        assert!(matches!(refusal.code(), Code::DeadlineExceeded | Code::Cancelled), "{subject}: {refusal}");
    }
}

#[tokio::test]
async fn a_subject_to_publish_on_is_literal_and_legal() {
    let mut fixture = Fixture::start().await;
    for subject in ["", "a b", "a..b", "a.*", "a.>"] {
        let refusal = fixture.client.publish_to_subject(message(subject, "x", PATIENCE)).await.expect_err(subject);
        assert_eq!(refusal.code(), Code::InvalidArgument, "{subject}: {refusal}");
    }
}
