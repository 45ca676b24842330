//! How a server is asked to stop.

use liftbridge_tests::api::{
    Pipeline, connect, create, open, publish, publish_values, read_committed, subscribe, wire,
};
use liftbridge_tests::server::Server;
use rustix::process::Signal;
use tempfile::TempDir;

async fn check_clean_stop(signal: Signal) {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    let server = Server::start(&folder).await;
    let mut client = connect(&server).await;
    create(&mut client, "kept", 1).await;
    publish_values(&mut client, "kept", 0, &["a", "b", "c"]).await;
    server.signal(signal);
    let (status, stderr) = server.ended().await;
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let server = Server::start(&folder).await;
    assert_eq!(read_committed(&mut connect(&server).await, "kept", 0).await.len(), 3);
}

#[tokio::test]
async fn sigterm_stops_cleanly() {
    check_clean_stop(Signal::TERM).await;
}

#[tokio::test]
async fn sigint_stops_cleanly() {
    check_clean_stop(Signal::INT).await;
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_anybody() {
    let data = TempDir::new().unwrap();
    let server = Server::start(&data.path().join("data")).await;
    let mut client = connect(&server).await;
    create(&mut client, "busy", 1).await;
    // Open streams of both kinds, which a graceful stop would see out.
    let idle = Pipeline::open(&mut client).await;
    let follow =
        wire::SubscribeRequest { stop_position: wire::StopPosition::StopOnCancel.into(), ..subscribe("busy", 0) };
    let subscription = open(&mut client, follow).await.unwrap();
    server.signal(Signal::TERM);
    server.signal(Signal::TERM);
    // That it ends at all, with both streams still held open here, is the point.
    let (status, stderr) = server.ended().await;
    assert!(!stderr.contains("panicked"), "{status}: {stderr}");
    drop((idle, subscription));
}

#[tokio::test]
async fn what_was_acked_before_a_stop_is_there_after_it() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    let server = Server::start(&folder).await;
    let mut client = connect(&server).await;
    create(&mut client, "pouring", 1).await;
    let mut pipeline = Pipeline::open(&mut client).await;
    let mut acked = 0;
    for number in 0..2000 {
        let leader = wire::PublishRequest {
            ack_policy: wire::AckPolicy::Leader.into(),
            ..publish("pouring", 0, &number.to_string())
        };
        pipeline.send(leader).await.unwrap();
        if number == 1000 {
            server.signal(Signal::TERM);
            break;
        }
    }
    while let Ok(response) = pipeline.next().await {
        acked += usize::from(response.async_error.is_none());
    }
    let (status, stderr) = server.ended().await;
    assert!(status.success(), "{status}: {stderr}");
    let server = Server::start(&folder).await;
    let stored = read_committed(&mut connect(&server).await, "pouring", 0).await.len();
    assert!(stored >= acked, "{acked} were acked, {stored} are there");
}
