//! Torn and zeroed tails, and derived files that are missing, short or garbage: a killed server starts again by itself.

use std::fs;
use std::path::Path;

use liftbridge_tests::api::{Pipeline, connect, create, publish};
use liftbridge_tests::damage;
use liftbridge_tests::server::{Options, Server};
use tempfile::TempDir;

use super::record::Record;

/// Segments this small make several of them.
const SMALL_SEGMENTS: &str = "streams.segment.max.bytes: 30000";

/// Fills a partition, kills the server, does this damage, and asserts that a new server has everything that was acked
/// and goes on behind it.
async fn check(damage: impl Fn(&Path)) {
    let data = TempDir::new().expect("a temporary directory");
    let folder = data.path().join("data");
    let options = Options::default().with_config(SMALL_SEGMENTS);
    let server = Server::start_with(&folder, &options).await;
    let mut client = connect(&server).await;
    create(&mut client, "hurt", 1).await;
    let mut record = Record::default();
    record.feed(&mut client, "hurt", 0, 300).await;
    server.kill().await;

    let [partition] = &damage::partition_directories(&folder)[..] else { panic!("one partition") };
    assert!(damage::files(partition, "log").len() > 2, "several segments");
    damage(partition);

    let server = Server::start_with(&folder, &options).await;
    record.check(&server, "hurt", 1).await;
    let mut pipeline = Pipeline::open(&mut connect(&server).await).await;
    let ack = pipeline.publish(publish("hurt", 0, "after the damage")).await.expect("it takes messages");
    assert_eq!(ack.offset, 300, "offsets go on where they ended");
}

fn newest(partition: &Path, extension: &str) -> std::path::PathBuf {
    damage::files(partition, extension)
        .pop()
        .unwrap_or_else(|| panic!("a .{extension} file in {}", partition.display()))
}

#[tokio::test]
async fn half_a_batch_at_the_end_is_cut() {
    check(|partition| {
        let log = newest(partition, "log");
        let bytes = fs::read(&log).unwrap();
        damage::append(&log, &bytes[..bytes.len().min(50)]);
    })
    .await;
}

#[tokio::test]
async fn zeros_at_the_end_are_cut() {
    check(|partition| {
        let log = newest(partition, "log");
        let bytes = fs::metadata(&log).unwrap().len();
        damage::resize(&log, bytes + 4096);
    })
    .await;
}

#[tokio::test]
async fn garbage_at_the_end_is_cut() {
    check(|partition| damage::append(&newest(partition, "log"), &[0xa5; 1000])).await;
}

#[tokio::test]
async fn missing_indexes_are_made_anew() {
    check(|partition| damage::files(partition, "index").iter().for_each(|index| fs::remove_file(index).unwrap())).await;
}

#[tokio::test]
async fn short_indexes_are_made_anew() {
    check(|partition| {
        for index in damage::files(partition, "index") {
            let bytes = fs::metadata(&index).unwrap().len();
            damage::resize(&index, bytes / 2);
        }
    })
    .await;
}

#[tokio::test]
async fn garbage_indexes_are_made_anew() {
    check(|partition| {
        for index in damage::files(partition, "index") {
            let bytes = fs::read(&index).unwrap().len();
            damage::replace(&index, &vec![0x5a; bytes.max(100)]);
        }
    })
    .await;
}

#[tokio::test]
async fn indexes_of_other_segments_are_not_believed() {
    check(|partition| {
        let indexes = damage::files(partition, "index");
        if let [first, .., last] = &indexes[..] {
            fs::copy(first, last).unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_empty_or_garbage_checkpoint_is_no_obstacle() {
    for contents in [&b""[..], b"garbage that is no checkpoint at all", &[0; 64]] {
        check(|partition| damage::replace(&partition.join("checkpoint"), contents)).await;
    }
}

#[tokio::test]
async fn a_garbage_table_of_epochs_is_no_obstacle() {
    for contents in [&b""[..], b"garbage that is no table at all"] {
        check(|partition| damage::replace(&partition.join("leader-epochs"), contents)).await;
    }
}
