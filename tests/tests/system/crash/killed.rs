//! kill -9 under load, again and again, at moments that a seed chooses.

use liftbridge_tests::api::{connect, create};
use liftbridge_tests::dice::Dice;
use liftbridge_tests::server::{Options, Server};
use tempfile::TempDir;

use super::record::Record;

const PARTITIONS: i32 = 3;
const ROUNDS: usize = 6;

/// Kills the server in each round while publishers are busy.
async fn check_kills(config: &[&str]) {
    let mut dice = Dice::announced();
    let data = TempDir::new().expect("a temporary directory");
    let folder = data.path().join("data");
    let options = config.iter().fold(Options::default(), |options, line| options.with_config(*line));
    let mut record = Record::default();
    for round in 0..ROUNDS {
        let server = Server::start_with(&folder, &options).await;
        if round == 0 {
            create(&mut connect(&server).await, "fire", PARTITIONS).await;
        }
        record.check(&server, "fire", PARTITIONS).await;
        record = under_fire(record, server, 1 + dice.below(400)).await;
    }
    let server = Server::start_with(&folder, &options).await;
    record.check(&server, "fire", PARTITIONS).await;
    assert!(record.len() > ROUNDS, "messages were acknowledged");
}

/// Feeds every partition and kills the server as soon as partition 0 has this many acks; the others are in the middle of
/// theirs then.
async fn under_fire(mut record: Record, server: Server, acks: u64) -> Record {
    let mut busy = Vec::new();
    for partition in 1..PARTITIONS {
        let mut client = connect(&server).await;
        let mut part = record.continued();
        busy.push(tokio::spawn(async move {
            part.feed(&mut client, "fire", partition, u64::MAX).await;
            part
        }));
    }
    let mut first = record.continued();
    first.feed(&mut connect(&server).await, "fire", 0, acks).await;
    server.kill().await;
    record.absorb(first);
    for part in busy {
        record.absorb(part.await.expect("a feed does not panic"));
    }
    record
}

#[tokio::test]
async fn what_was_acked_under_all_outlives_every_kill() {
    check_kills(&[]).await;
}

#[tokio::test]
async fn what_was_acked_outlives_kills_while_segments_roll() {
    check_kills(&["streams.segment.max.bytes: 20000"]).await;
}
