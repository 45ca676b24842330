use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::{MemoryVolume, SyncPolicy};
use liftbridge_types::{AckPolicy, Offset};

use crate::partition::testing::{Answer, GatedVolume, Node, PartitionTesting};
use crate::requests::{StartPosition, StopPosition};

#[tokio::test]
async fn thousands_of_idle_partitions_hold_no_file() {
    let volume = GatedVolume::default();
    let node = Node::new(Arc::new(volume.clone()), |config| config.park_after = Duration::from_secs(10));
    let partitions: Vec<_> = (0..1000).map(|number| node.open(number)).collect();
    for partition in &partitions {
        partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    }
    assert!(volume.open_files() >= 1000);
    node.advance(Duration::from_secs(9));
    partitions[3].publish_and_wait("b", AckPolicy::All).await.unwrap();
    node.advance(Duration::from_secs(2));
    for partition in &partitions {
        partition.settle().await;
    }
    assert_eq!(volume.open_files(), 1, "only the one that was used lately");
    node.advance(Duration::from_secs(20));
    partitions[3].settle().await;
    assert_eq!(volume.open_files(), 0);
    assert_eq!(partitions[3].publish_and_wait("c", AckPolicy::All).await.unwrap().offset, Offset::new(2));
    assert_eq!(volume.open_files(), 1);
    node.advance(Duration::from_secs(20));
    partitions[3].settle().await;
    assert_eq!(volume.open_files(), 0, "it is parked again and again");
}

#[tokio::test]
async fn a_parked_log_needs_no_recovery_and_no_open_file_when_it_is_opened() {
    let volume = GatedVolume::default();
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let partition = node.open(0);
    partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    partition.shutdown().await;
    drop(partition);
    let reopened = Node::new(Arc::new(volume.clone()), |_| {}).open(0);
    assert_eq!(reopened.status().high_watermark, Offset::new(1));
    assert_eq!(volume.open_files(), 0);
}

#[tokio::test]
async fn under_an_interval_what_is_written_is_committed_and_synced_later() {
    let volume = GatedVolume::default();
    let interval = Duration::from_secs(1);
    let node = Node::new(Arc::new(volume.clone()), |config| config.sync = SyncPolicy::Interval(interval));
    let partition = node.open(0);
    let before = volume.log_syncs();
    for _ in 0..5 {
        partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    }
    assert_eq!(partition.status().high_watermark, Offset::new(5));
    assert_eq!(volume.log_syncs(), before);
    node.advance(interval);
    partition.settle().await;
    assert_eq!(volume.log_syncs(), before + 1);
    node.advance(interval);
    partition.settle().await;
    assert_eq!(volume.log_syncs(), before + 1, "nothing was written since");
}

#[tokio::test]
async fn without_syncs_what_is_written_is_committed() {
    let volume = GatedVolume::default();
    let node = Node::new(Arc::new(volume.clone()), |config| config.sync = SyncPolicy::Never);
    let partition = node.open(0);
    partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    assert_eq!((partition.status().high_watermark, volume.log_syncs()), (Offset::new(1), 0));
}

#[tokio::test]
async fn retention_is_enforced_at_the_interval_and_by_age_without_another_append() {
    let node = Node::in_memory();
    let interval = Duration::from_secs(60);
    let partition = node.open_with(0, |spec| {
        spec.settings.segment_max_bytes = 1;
        spec.settings.retention_max_messages = Some(3);
        spec.settings.retention_max_age = Some(Duration::from_secs(100));
        spec.settings.cleaner_interval = interval;
    });
    for _ in 0..10 {
        partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    }
    assert_eq!(partition.status().log_start, Offset::ZERO);
    node.advance(interval);
    partition.settle().await;
    assert_eq!(partition.status().log_start, Offset::new(7), "by number");
    // The roll by age and the removal of what it sealed may take a cleaning each.
    for _ in 0..3 {
        node.advance(interval);
        partition.settle().await;
    }
    assert_eq!(partition.status().log_start, Offset::new(10), "by age");
    assert_eq!(partition.publish_and_wait("b", AckPolicy::All).await.unwrap().offset, Offset::new(10));
}

#[tokio::test]
async fn a_roll_by_age_of_an_idle_log_leaves_no_file_open() {
    let volume = GatedVolume::default();
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let partition = node.open_with(0, |spec| spec.settings.segment_max_age = Some(Duration::from_secs(1)));
    partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    node.advance(Duration::from_secs(60));
    partition.settle().await;
    let before = volume.created_files();
    node.advance(Duration::from_secs(300));
    partition.settle().await;
    assert!(volume.created_files() > before, "it rolled");
    assert_eq!(volume.open_files(), 0);
}

#[tokio::test]
async fn a_slow_subscriber_whose_records_went_goes_on_at_the_oldest() {
    let node = Node::in_memory();
    let partition = node.open_with(0, |spec| {
        spec.settings.segment_max_bytes = 1;
        spec.settings.retention_max_messages = Some(2);
        spec.settings.cleaner_interval = Duration::from_secs(60);
    });
    let mut subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    assert_eq!(subscription.next().await.unwrap()[0].offset, Offset::ZERO);
    for _ in 0..9 {
        partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    }
    // Parked, so that nothing is in memory; then cleaned.
    node.advance(Duration::from_secs(60));
    partition.settle().await;
    node.advance(Duration::from_secs(60));
    partition.settle().await;
    assert_eq!(partition.status().log_start, Offset::new(8));
    let mut offsets = Vec::new();
    while offsets.len() < 2 {
        offsets.extend(subscription.next().await.unwrap().iter().map(|record| record.offset.get()));
    }
    assert_eq!(offsets, [8, 9]);
}

#[tokio::test]
async fn a_subscriber_whose_every_record_went_waits_for_the_next_one() {
    let node = Node::in_memory();
    let partition = node.open_with(0, |spec| {
        spec.settings.retention_max_age = Some(Duration::from_secs(1));
        spec.settings.cleaner_interval = Duration::from_secs(60);
    });
    let mut forward = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    for _ in 0..5 {
        partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    }
    let mut reverse = partition.subscribe(StartPosition::Latest, StopPosition::OnCancel, true).await.unwrap();
    for _ in 0..3 {
        node.advance(Duration::from_secs(60));
        partition.settle().await;
    }
    assert_eq!(partition.status().log_start, Offset::new(5));
    assert_eq!(reverse.next().await, Err(crate::errors::SubscriptionEnd::StopReached));
    // Long enough for it to find nothing left; were it too short, the test would only prove less.
    assert!(tokio::time::timeout(Duration::from_millis(50), forward.next()).await.is_err());
    partition.publish_and_wait("b", AckPolicy::All).await.unwrap();
    assert_eq!(forward.next().await.unwrap()[0].offset, Offset::new(5));
}

#[tokio::test]
async fn a_batch_waits_for_company_until_its_time_is_over_or_it_is_full() {
    let volume = GatedVolume::default();
    let linger = Duration::from_millis(50);
    let node = Node::new(Arc::new(volume.clone()), |config| {
        config.batch_time_max = linger;
        config.batch_messages_max = 4;
    });
    let partition = node.open(0);
    let syncs = |volume: &GatedVolume| volume.log_syncs();

    let full: Vec<Answer> = (0..4).map(|_| partition.post_publish("a", AckPolicy::All, -1)).collect();
    for answer in full {
        answer.await.unwrap().unwrap();
    }
    let after_full = syncs(&volume);
    node.advance(linger);

    let mut waiting: Vec<Answer> = (0..3).map(|_| partition.post_publish("b", AckPolicy::All, -1)).collect();
    assert!(waiting[0].try_recv().is_err());
    assert_eq!(partition.status().log_end, Offset::new(4), "they wait");
    node.advance(linger);
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(syncs(&volume), after_full + 1);
}

#[tokio::test]
async fn the_timer_of_a_running_node_does_what_is_due() {
    let clock: Arc<dyn crate::clock::Clock> = Arc::new(crate::clock::SystemClock::new());
    let id = liftbridge_types::BrokerId::new("a").unwrap();
    let mut config = crate::config::BrokerConfig::new(Arc::new(MemoryVolume::new()), id);
    config.batch_time_max = Duration::from_millis(1);
    let begun_logs = Arc::new(crate::begun_logs::BegunLogs::open(&*config.volume).unwrap());
    let host = crate::partition::PartitionHost::start(&config, begun_logs, clock);
    let partition = host.open(crate::partition::testing::spec(0));
    partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    partition.shutdown().await;
    host.stop(true);
}
