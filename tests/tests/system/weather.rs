//! The main job on real data: readings published from the command line, read back in every way, across a kill -9.

use std::collections::BTreeMap;

use liftbridge_tests::admin::admin;
use liftbridge_tests::api::wire::{StartPosition, StopPosition};
use liftbridge_tests::api::{Client, connect, open, read_committed, subscribe, values, wire};
use liftbridge_tests::server::Server;
use liftbridge_tests::weather::Weather;
use tempfile::TempDir;

const PARTITIONS: i32 = 3;

#[tokio::test]
async fn readings_come_back_as_they_went_in_before_and_after_a_kill() {
    let directory = TempDir::new().unwrap();
    let weather = Weather::load(directory.path());
    let folder = directory.path().join("data");
    let server = Server::start(&folder).await;
    admin(&server, &["streams", "create", "--name", "weather", "--partitions", "3"]).await.succeeded();
    let file = weather.file.to_str().expect("a temporary path is text");
    let publish = ["publish", "weather", "--file", file, "--csv", "--key-column", "origin", "--by-key", "--ack", "all"];
    admin(&server, &publish).await.succeeded();

    let before = check_readings(&weather, &server).await;
    server.kill().await;
    let server = Server::start(&folder).await;
    let after = check_readings(&weather, &server).await;
    assert_eq!(before, after, "offsets, times, keys and values are the same after the kill");
}

/// Reads every partition in every way and compares it with the file; what each partition holds.
async fn check_readings(weather: &Weather, server: &Server) -> Vec<Vec<wire::Message>> {
    let mut client = connect(server).await;
    let mut partitions = Vec::new();
    for partition in 0..PARTITIONS {
        let messages = read_committed(&mut client, "weather", partition).await;
        check_ranges(&mut client, partition, &messages).await;
        partitions.push(messages);
    }
    let mut by_origin: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (partition, messages) in (0_u32..).zip(&partitions) {
        for (message, value) in messages.iter().zip(values(messages)) {
            let origin = Weather::origin(&value).to_owned();
            assert_eq!(message.key, origin.as_bytes(), "the key is the airport");
            // The partitioner of every Liftbridge client: CRC-32 of the key, modulo the number of partitions.
            assert_eq!(crc32(origin.as_bytes()) % 3, partition, "{origin} is in its partition");
            by_origin.entry(origin).or_default().push(value);
        }
    }
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for reading in &weather.readings {
        expected.entry(Weather::origin(reading).to_owned()).or_default().push(reading.clone());
    }
    assert_eq!(by_origin, expected, "each airport's readings, in their order, each once");
    partitions
}

/// Compares ranges by offset, by time and in reverse with the whole partition.
async fn check_ranges(client: &mut Client, partition: i32, all: &[wire::Message]) {
    if all.is_empty() {
        return;
    }
    let (third, last) = (all.len() / 3, all.len() - 1);
    let by_offset = wire::SubscribeRequest {
        start_position: StartPosition::Offset.into(),
        start_offset: all[third].offset,
        ..subscribe("weather", partition)
    };
    let by_time = wire::SubscribeRequest {
        start_position: StartPosition::Timestamp.into(),
        start_timestamp: all[third].timestamp,
        stop_position: StopPosition::StopTimestamp.into(),
        stop_timestamp: all[last - 1].timestamp,
        ..subscribe("weather", partition)
    };
    let reverse = wire::SubscribeRequest {
        reverse: true,
        start_position: StartPosition::Latest.into(),
        stop_position: StopPosition::StopOnCancel.into(),
        ..subscribe("weather", partition)
    };
    let backward: Vec<wire::Message> = all.iter().rev().cloned().collect();
    for (request, expected) in [(by_offset, &all[third..]), (by_time, &all[third..last]), (reverse, &backward[..])] {
        let (messages, _) = open(client, request.clone()).await.expect("it can be read").to_end().await;
        // Not `assert_eq`: thousands of readings on the screen would help nobody.
        assert!(messages == expected, "{} of {} messages for {request:?}", messages.len(), expected.len());
    }
}

/// CRC-32 (IEEE), bit by bit: slow and plainly right.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn the_check_value_of_crc32_is_right() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
