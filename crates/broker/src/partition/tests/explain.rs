//! What a leader tells of its partition, and how far behind the followers are.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::{MemoryVolume, Volume};
use liftbridge_replication::Wait;
use liftbridge_types::{AckPolicy, Offset};

use crate::partition::testing::{PartitionTesting, Replicas, broker};

async fn replicas(count: usize) -> Replicas {
    let volumes = (0..count).map(|_| Arc::new(MemoryVolume::new()) as Arc<dyn Volume>).collect();
    Replicas::start(volumes, |_, _| {}).await
}

#[tokio::test]
async fn a_follower_that_is_cut_off_is_what_its_leader_waits_for_and_the_lag_grows() {
    let replicas = replicas(2).await;
    replicas.cut_off(1, true).await;
    let leader = replicas.partition(0);
    let _unacknowledged = leader.post_publish("a", AckPolicy::All, -1);
    replicas.settle().await;
    replicas.advance(Duration::from_secs(3)).await;
    let told = leader.explain().await.expect("it leads");
    assert_eq!((told.high_watermark, told.log_end), (Offset::ZERO, Offset::new(1)));
    let [Wait::Follower { standing, .. }] = &told.waits[..] else { panic!("{:?}", told.waits) };
    assert_eq!((standing.id.clone(), standing.durable_end, standing.is_linked), (broker(1), Some(Offset::ZERO), false));
    assert!(standing.behind_for >= Duration::from_secs(3), "{standing:?}");
    assert!(leader.replication_lag() >= Duration::from_secs(3));

    replicas.cut_off(1, false).await;
    replicas.advance(Duration::from_secs(1)).await;
    assert_eq!(leader.explain().await.expect("it leads").waits, []);
    assert_eq!(leader.replication_lag(), Duration::ZERO);
}

#[tokio::test]
async fn a_follower_tells_nothing_and_shows_no_lag() {
    let replicas = replicas(2).await;
    let follower = replicas.partition(1);
    assert_eq!(follower.explain().await, None);
    assert_eq!(follower.replication_lag(), Duration::ZERO);
}
