//! A flipped bit in the middle of a log: reported with its place, served around, never deleted.

use std::fs;

use liftbridge_tests::api::{Pipeline, connect, create, offsets, open, publish, subscribe, wire};
use liftbridge_tests::damage;
use liftbridge_tests::server::{Options, Server};
use tempfile::TempDir;
use tonic::Code;

use super::record::Record;

const MESSAGES: i64 = 200;

#[tokio::test]
async fn a_flipped_bit_is_reported_and_everything_else_is_served() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    // Batches of at most ten messages, so that there is much besides the damaged one.
    let options =
        Options::default().with_config("streams.segment.max.bytes: 40000").with_config("batch.max.messages: 10");
    let server = Server::start_with(&folder, &options).await;
    let mut client = connect(&server).await;
    create(&mut client, "rotten", 1).await;
    create(&mut client, "sound", 1).await;
    let mut record = Record::default();
    record.feed(&mut client, "rotten", 0, MESSAGES.unsigned_abs()).await;
    assert_eq!(record.offsets(0), (0..MESSAGES).collect::<Vec<_>>());
    server.kill().await;

    // The 60th published value is in the first half of the log, far from the tail that recovery may cut.
    let (log, place) = damage::partition_directories(&folder)
        .iter()
        .flat_map(|partition| damage::files(partition, "log"))
        .find_map(|log| damage::find(&log, b"0/60/").map(|place| (log, place)))
        .expect("the value is stored as it is");
    damage::flip_bit(&log, place + 2);
    let bytes_before = fs::read(&log).unwrap();

    for round in 0..2 {
        let server = Server::start_with(&folder, &options).await;
        let mut client = connect(&server).await;
        check_served_around(&mut client).await;
        let mut pipeline = Pipeline::open(&mut client).await;
        let ack = pipeline.publish(publish("rotten", 0, "more")).await.expect("the partition takes messages");
        assert_eq!(ack.offset, MESSAGES + round);
        assert!(pipeline.publish(publish("sound", 0, "more")).await.is_ok(), "the neighbour is not touched");
        server.stop().await;
        let bytes_after = fs::read(&log).expect("the damaged segment is still there");
        assert!(bytes_after.starts_with(&bytes_before), "its bytes are kept");
    }
}

/// Reads over the damage: up to it, its report, and everything behind it.
async fn check_served_around(client: &mut liftbridge_tests::api::Client) {
    let (before, end) = open(client, subscribe("rotten", 0)).await.expect("it can be read").to_end().await;
    assert_eq!(end.code(), Code::DataLoss, "{end}");
    let first_lost = i64::try_from(before.len()).unwrap();
    let told = end.message();
    assert!(told.contains("`rotten`") && told.contains("partition 0"), "the report names the partition: {told}");
    assert!(told.contains(&format!("offsets {first_lost} to ")), "and the first lost offset {first_lost}: {told}");
    let resume_at: i64 = told
        .split("subscribe from offset ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("and where to go on: {told}"));
    assert!(first_lost > 0 && resume_at > first_lost && resume_at - first_lost <= 10, "one batch is lost: {told}");
    let behind = open(client, offsets("rotten", 0, resume_at, MESSAGES - 1)).await.expect("it can be read");
    let (messages, end) = behind.to_end().await;
    assert_eq!((messages.first().map(|m| m.offset), end.code()), (Some(resume_at), Code::ResourceExhausted), "{end}");
    assert_eq!(messages.len(), usize::try_from(MESSAGES - resume_at).unwrap());

    let reverse = wire::SubscribeRequest {
        reverse: true,
        start_position: wire::StartPosition::Latest.into(),
        stop_position: wire::StopPosition::StopOnCancel.into(),
        ..subscribe("rotten", 0)
    };
    let (down, end) = open(client, reverse).await.expect("it can be read").to_end().await;
    assert_eq!((down.last().map(|m| m.offset), end.code()), (Some(resume_at), Code::DataLoss), "{end}");
}
