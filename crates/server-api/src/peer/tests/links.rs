//! What links carry, and what becomes of it when they break.

use std::time::Duration;

use bytes::Bytes;
use liftbridge_broker::Peers;
use liftbridge_proto::v1;

use crate::peer::outbox::Lane;
use crate::peer::pairs::LinkEvent;
use crate::peer::testing::{Got, Means, Node, append, id, pair, raft};

#[tokio::test]
async fn messages_arrive_in_order_and_say_who_sent_them() {
    let (a, b) = pair(Means::default()).await;
    for n in 0..100_u8 {
        a.send("b", Lane::Raft, raft(vec![n]));
    }
    for n in 0..100_u8 {
        let Got::Message(from, message) = b.next().await else { panic!("only messages come") };
        assert_eq!((from, message), (id("a"), raft(vec![n])));
    }
}

#[tokio::test]
async fn a_batch_as_large_as_a_log_takes_arrives_unchanged() {
    const LARGEST: usize = 128 * 1024 * 1024;
    let (a, b) = pair(Means::default()).await;
    let sent = append(vec![Bytes::from(vec![7; LARGEST - 1024]), Bytes::from_static(b"end")]);
    a.send("b", Lane::Batches, sent.clone());
    assert!(b.next_message().await == sent);
}

#[tokio::test]
async fn raft_overtakes_batches_that_wait() {
    const BATCHES: usize = 48;
    let (a, b) = pair(Means::default()).await;
    let batch = append(vec![Bytes::from(vec![0; 1024 * 1024])]);
    for _ in 0..BATCHES {
        a.send("b", Lane::Batches, batch.clone());
    }
    a.send("b", Lane::Raft, raft("urgent"));
    let mut before = 0;
    while b.next_message().await == batch {
        before += 1;
    }
    // Windows and buffers of a connection hold some; what waited for them had to wait for raft too.
    assert!(before < BATCHES / 2, "{before} of {BATCHES} batches came first");
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_and_the_rest_arrives() {
    const BATCH: usize = 8 * 1024 * 1024;
    let (a, b) = pair(Means::default()).await;
    for n in 0..64_u8 {
        a.send("b", Lane::Batches, append(vec![Bytes::from(vec![n; BATCH])]));
    }
    a.send("b", Lane::Raft, raft("after"));
    let mut arrived = 0;
    while b.next_message().await != raft("after") {
        arrived += 1;
    }
    // The first ones, as many as fit into the outbox and what was on its way already.
    a.send("b", Lane::Batches, raft("last"));
    while b.next_message().await != raft("last") {
        arrived += 1;
    }
    assert!((1..=16).contains(&arrived), "{arrived} batches of {BATCH} bytes were kept");
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again() {
    let (a, b) = pair(Means::default()).await;
    let address = b.address();
    b.stop().await;
    a.until("b", LinkEvent::Down).await;
    a.send("b", Lane::Raft, raft("lost"));
    let b = Node::start_at(&address, "b", Means::default()).await;
    b.know(&[("a", &a)]);
    a.until("b", LinkEvent::Up).await;
    a.send("b", Lane::Raft, raft("kept"));
    assert_eq!(b.next_message().await, raft("kept"));
    b.send("a", Lane::Raft, raft("answer"));
    assert_eq!(a.next_message().await, raft("answer"));
}

#[tokio::test]
async fn a_peer_that_moves_is_followed_and_one_that_is_none_any_more_is_let_go() {
    let (a, b) = pair(Means::default()).await;
    let moved = Node::start("b", Means::default()).await;
    moved.know(&[("a", &a)]);
    a.know(&[("b", &moved)]);
    a.until("b", LinkEvent::Down).await;
    a.send("b", Lane::Raft, raft("first"));
    a.until("b", LinkEvent::Up).await;
    a.send("b", Lane::Raft, raft("there"));
    while moved.next_message().await != raft("there") {}
    drop(b);
    a.know(&[]);
    a.until("b", LinkEvent::Down).await;
    assert!(!a.peers.is_linked(&id("b")));
}

#[tokio::test]
async fn bytes_that_mean_nothing_do_no_harm() {
    let (a, b) = pair(Means::default()).await;
    a.send("b", Lane::Raft, v1::LinkMessage { message: None });
    a.send("b", Lane::Raft, raft("after"));
    assert_eq!(b.next_message().await, raft("after"));
}

#[tokio::test]
async fn a_network_that_stops_says_so_at_once() {
    let (a, b) = pair(Means::default()).await;
    b.network.stop(Duration::from_secs(20)).await;
    a.until("b", LinkEvent::Down).await;
}
