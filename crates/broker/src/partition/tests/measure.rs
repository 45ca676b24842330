use super::*;
use std::sync::Arc;
use liftbridge_types::AckPolicy;
use crate::partition::testing::{Node, PartitionTesting};
fn rss() -> u64 { std::fs::read_to_string("/proc/self/status").unwrap().lines().find(|l| l.starts_with("VmRSS")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap() }
#[tokio::test]
#[ignore]
async fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let volume = liftbridge_commitlog::DiskVolume::new(dir.path());
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let a = rss();
    let t = std::time::Instant::now();
    let ps: Vec<_> = (0..10000).map(|n| node.open(n)).collect();
    println!("empty: {} KiB/10k = {} B each, {:?}", rss() - a, (rss()-a)*1024/10000, t.elapsed());
    let t = std::time::Instant::now();
    for (n, p) in ps.iter().enumerate() { p.publish_and_wait("hello", AckPolicy::All).await.unwrap(); if n % 500 == 499 { node.advance(std::time::Duration::from_secs(11)); for q in &ps[n-499..=n] { q.settle().await; } } }
    node.advance(std::time::Duration::from_secs(11)); for q in &ps { q.settle().await; }
    println!("with a record: {} B each, {:?} fds {}", (rss()-a)*1024/10000, t.elapsed(), std::fs::read_dir("/proc/self/fd").unwrap().count());
    drop(ps); drop(node);
    let node = Node::new(Arc::new(volume), |_| {});
    let t = std::time::Instant::now();
    let a = rss();
    let ps: Vec<_> = (0..10000).map(|n| node.open(n)).collect();
    println!("reopened in {:?} fds {} rss+{}", t.elapsed(), std::fs::read_dir("/proc/self/fd").unwrap().count(), rss()-a);
    let t = std::time::Instant::now();
    for p in &ps { p.shutdown().await; }
    println!("shutdown in {:?}", t.elapsed());
}
