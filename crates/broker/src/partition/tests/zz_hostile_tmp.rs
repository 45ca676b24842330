//! Temporary reviewer's test. Never committed.
#![allow(clippy::all, clippy::pedantic)]
use liftbridge_commitlog::{FaultyVolume, Volume};
use liftbridge_metadata_raft::{Metadata, MetadataOptions};
use liftbridge_types::AckPolicy;
use std::sync::Arc;
use std::time::Duration;

use crate::partition::testing::{Node, PartitionTesting};
use crate::requests::{StartPosition, StopPosition};

#[tokio::test]
async fn zz_a_reader_over_a_pause_and_resume_misses_nothing() {
    let node = Node::in_memory();
    let partition = node.open(0);
    partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    let mut subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    let mut got: Vec<String> = Vec::new();
    let mut take = |d: crate::requests::Delivery| got.extend(d.iter().map(|r| format!("{}={}", r.offset, String::from_utf8_lossy(&r.value))));
    take(subscription.next().await.unwrap());
    // The client reads slowly: the subscription is not polled meanwhile.
    partition.pause().await;
    partition.resume().await;
    for v in ["b", "c", "d"] {
        partition.publish_and_wait(v, AckPolicy::All).await.unwrap();
    }
    let end = loop {
        match tokio::time::timeout(Duration::from_millis(300), subscription.next()).await {
            Ok(Ok(d)) => take(d),
            Ok(Err(end)) => break Some(end),
            Err(_) => break None,
        }
    };
    partition.publish_and_wait("e", AckPolicy::All).await.unwrap();
    let later = tokio::time::timeout(Duration::from_millis(300), subscription.next()).await;
    println!("got {got:?}, end {end:?}, after another publish {later:?}");
    assert!(end.is_some() || got.len() == 4, "silently missed b, c, d: got {got:?}, no end");
}

#[test]
fn zz_metadata_opens_on_a_full_disk() {
    let volume = FaultyVolume::new(1);
    let options = MetadataOptions { snapshot_threshold: 10, snapshot_retain: 2, new_cluster_id: "c".into(), may_found: true };
    let (metadata, _) = Metadata::open(&volume, &options, |_| {}).unwrap();
    metadata.close();
    drop(metadata);
    volume.limit_free_bytes(Some(0));
    let opened = Metadata::open(&volume, &options, |_| {});
    assert!(opened.is_ok(), "{}", opened.err().unwrap());
}

#[tokio::test]
async fn zz_retention_frees_a_full_disk() {
    let volume = FaultyVolume::new(1);
    let node = Node::new(Arc::new(volume.clone()) as Arc<dyn Volume>, |_| {});
    let partition = node.open_with(0, |spec| { spec.settings.segment_max_bytes = 500; spec.settings.retention_max_bytes = Some(1000); });
    for _ in 0..50 { partition.publish_and_wait("some value", AckPolicy::All).await.unwrap(); }
    volume.limit_free_bytes(Some(0));
    println!("{:?}", partition.publish_and_wait("refused", AckPolicy::All).await.err());
    for _ in 0..5 { node.advance(Duration::from_secs(600)); partition.settle().await; }
    let used: u64 = volume.directory("streams/orders/0").list().unwrap().iter().map(|e| e.bytes).sum();
    let after = partition.publish_and_wait("after retention ran", AckPolicy::All).await;
    println!("used {used} bytes of files, log_start {}, publish {:?}", partition.status().log_start, after.as_ref().err());
    assert!(after.is_ok(), "retention did not free a byte: {used} bytes of files for a limit of 1000");
}
