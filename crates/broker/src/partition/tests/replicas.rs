//! Two or three replicas of one partition.

mod catching_up;
mod disks;
mod leadership;
mod rot;

use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::{FaultyVolume, MemoryVolume, Volume};
use liftbridge_replication::BrokerLife;
use liftbridge_types::{AckPolicy, BrokerIncarnation, Offset};
use tokio::sync::oneshot::error::TryRecvError;

use crate::config::BrokerConfig;
use crate::errors::PublishError;
use crate::partition::testing::{PartitionTesting, Replicas, broker};
use crate::partition::{PartitionSpec, PeerEvent, RunState, Wish};
use crate::requests::{StartPosition, StopPosition};

/// More than a new high watermark waits for company.
const A_MOMENT: Duration = Duration::from_millis(10);
/// Longer than a replica may lag.
const LONG: Duration = Duration::from_secs(20);

async fn replicas(count: usize) -> Replicas {
    replicas_with(count, |_, _| {}).await
}

async fn replicas_with(count: usize, change: fn(&mut BrokerConfig, &mut PartitionSpec)) -> Replicas {
    let volumes = (0..count).map(|_| Arc::new(MemoryVolume::new()) as Arc<dyn Volume>).collect();
    Replicas::start(volumes, change).await
}

/// Publishes through replica `leader` what must be stored.
async fn publish(replicas: &Replicas, leader: usize, values: &[&str]) {
    let answers: Vec<_> =
        values.iter().map(|value| replicas.partition(leader).post_publish(value, AckPolicy::All, -1)).collect();
    replicas.settle().await;
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
}

/// After a moment all have the same, committed.
async fn check_same(replicas: &Replicas, count: usize, end: u64) {
    replicas.advance(A_MOMENT).await;
    for number in 0..count {
        assert_eq!(replicas.ends(number), (end, end), "replica {number}");
        assert_eq!(replicas.committed_bytes(number), replicas.committed_bytes(0), "replica {number}");
    }
}

#[tokio::test]
async fn all_is_acknowledged_when_every_in_sync_replica_has_synced_and_leader_before() {
    let replicas = replicas(3).await;
    let leader = replicas.partition(0);
    let mut all = leader.post_publish("a", AckPolicy::All, -1);
    let by_leader = leader.post_publish("b", AckPolicy::Leader, -1).await.unwrap();
    assert_eq!(by_leader.unwrap().offset, Offset::new(1));
    leader.settle().await;
    assert_eq!(all.try_recv().unwrap_err(), TryRecvError::Empty, "nobody else has it");
    assert_eq!(replicas.ends(0), (0, 2));
    replicas.settle().await;
    assert_eq!(all.await.unwrap().unwrap().offset, Offset::ZERO);
    check_same(&replicas, 3, 2).await;
}

#[tokio::test]
async fn followers_store_the_leaders_bytes_and_serve_them_up_to_their_own_watermark() {
    let replicas = replicas(2).await;
    publish(&replicas, 0, &["a", "b", "c"]).await;
    publish(&replicas, 0, &["d"]).await;
    assert_eq!(replicas.ends(1), (3, 4), "the last commit is not told yet");
    let mut subscription = replicas.partition(1).read(StartPosition::Earliest, StopPosition::Latest).await;
    assert_eq!(subscription.next().await.unwrap().len(), 3);
    check_same(&replicas, 2, 4).await;
}

#[tokio::test]
async fn a_leader_explains_how_far_its_followers_are() {
    let replicas = replicas(3).await;
    replicas.cut_off(2, true).await;
    replicas.partition(0).post_publish("a", AckPolicy::All, -1);
    replicas.settle().await;
    let followers = replicas.partition(0).explain().await.unwrap().followers;
    let ends: Vec<_> = followers.iter().map(|shown| (shown.id.clone(), shown.durable_end)).collect();
    assert_eq!(ends, [(broker(1), Some(Offset::new(1))), (broker(2), Some(Offset::ZERO))]);
    assert_eq!(replicas.partition(1).explain().await, None);
}

#[tokio::test]
async fn a_follower_refuses_publishes() {
    let replicas = replicas(2).await;
    let refused = replicas.partition(1).publish_and_wait("a", AckPolicy::Leader).await;
    assert_eq!(refused.unwrap_err(), PublishError::NotLeader);
    assert!(replicas.partition(0).status().leads);
    assert!(!replicas.partition(1).status().leads);
}

#[tokio::test]
async fn below_the_minimum_nothing_commits_and_all_is_refused() {
    let mut replicas = replicas(3).await;
    publish(&replicas, 0, &["a"]).await;
    replicas.agree(|agreed| agreed.in_sync = vec![broker(0)], &[0, 1, 2]).await;
    let refused = replicas.partition(0).publish_and_wait("b", AckPolicy::All).await.unwrap_err();
    assert_eq!(refused, PublishError::TooFewInSync { in_sync_count: 1, minimum: 2 });
    replicas.partition(0).publish_and_wait("c", AckPolicy::Leader).await.unwrap();
    assert_eq!(replicas.ends(0), (1, 2));
}
