use std::io;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::{FaultyVolume, MemoryVolume, Volume};
use liftbridge_types::{AckPolicy, Offset};

use crate::errors::{PublishError, SubscribeError, SubscriptionEnd};
use crate::partition::RunState;
use crate::partition::testing::{Answer, GatedVolume, Node, PartitionTesting, spec};
use crate::requests::{StartPosition, StopPosition};
use crate::workers::{Abandoned, Job};

#[tokio::test]
async fn a_paused_partition_closes_its_files_and_ends_its_readers() {
    let volume = GatedVolume::default();
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let partition = node.open(0);
    partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    let mut subscription = partition.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    subscription.next().await.unwrap();
    assert!(volume.open_files() > 0);

    partition.pause().await;
    assert!(partition.is_paused());
    assert_eq!(subscription.next().await, Err(SubscriptionEnd::Paused));
    assert_eq!(subscription.next().await, Err(SubscriptionEnd::Paused), "nothing follows an end");
    drop(subscription);
    assert_eq!(volume.open_files(), 0);
    assert_eq!(partition.status().log_end, Offset::new(1), "it still says how far it got");
    let refused = partition.subscribe(StartPosition::Earliest, StopPosition::OnCancel, false).await;
    assert_eq!(refused.unwrap_err(), SubscribeError::Paused);

    partition.resume().await;
    assert_eq!(partition.publish_and_wait("b", AckPolicy::All).await.unwrap().offset, Offset::new(1));
    assert_eq!(partition.status().state, RunState::Open);
}

#[tokio::test]
async fn publishes_to_a_paused_partition_wait_for_its_resumption_or_are_refused_together() {
    let partition = Node::in_memory().open(0);
    partition.pause().await;
    let refused = [(); 2].map(|()| partition.post_publish("a", AckPolicy::All, -1));
    partition.refuse_held(&PublishError::NotLeader);
    for refused in refused {
        assert_eq!(refused.await.unwrap().unwrap_err(), PublishError::NotLeader);
    }
    let kept = [(); 2].map(|()| partition.post_publish("b", AckPolicy::All, -1));
    partition.resume().await;
    for (index, kept) in kept.into_iter().enumerate() {
        assert_eq!(kept.await.unwrap().unwrap().offset, Offset::new(index as u64));
    }
}

#[tokio::test]
async fn readonly_survives_a_pause() {
    let partition = Node::in_memory().open(0);
    partition.set_readonly(true).await;
    partition.pause().await;
    partition.resume().await;
    assert!(partition.status().readonly);
    let refused = partition.publish_and_wait("a", AckPolicy::All).await;
    assert!(matches!(refused, Err(PublishError::Readonly { .. })));
    partition.pause().await;
    partition.set_readonly(false).await;
    partition.resume().await;
    assert!(partition.publish_and_wait("a", AckPolicy::All).await.is_ok());
}

#[tokio::test]
async fn a_partition_that_begins_paused_and_never_had_a_record_touches_no_file() {
    let volume = FaultyVolume::new(0);
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let before = volume.operation_count();
    let partition = node.open_with(0, |spec| spec.paused = true);
    assert_eq!(volume.operation_count(), before);
    assert!(partition.is_paused());
    partition.resume().await;
    assert!(partition.publish_and_wait("a", AckPolicy::All).await.is_ok());
}

/// A partition on this volume whose server is stopped, or killed while the partition is open; how it stood.
async fn leave_behind(volume: &Arc<dyn Volume>, is_paused: bool) -> (Offset, Offset, Offset) {
    let node = Node::new(Arc::clone(volume), |_| {});
    let partition = node.open_with(0, |spec| {
        spec.settings.segment_max_bytes = 200;
        spec.settings.retention_max_messages = Some(5);
    });
    for _ in 0..20 {
        partition.publish_and_wait("some value", AckPolicy::All).await.unwrap();
    }
    node.advance(Duration::from_secs(3600));
    partition.settle().await;
    // Since the files were last closed.
    partition.publish_and_wait("some value", AckPolicy::All).await.unwrap();
    if is_paused {
        partition.pause().await;
    }
    let status = partition.status();
    node.host.stop(false);
    assert!(status.log_start > Offset::ZERO && status.log_end == Offset::new(21));
    (status.log_start, status.log_end, status.high_watermark)
}

#[tokio::test]
async fn a_partition_that_begins_paused_shows_how_far_it_goes_and_keeps_nothing_open() {
    for is_paused in [true, false] {
        let files = GatedVolume::default();
        let volume: Arc<dyn Volume> = Arc::new(files.clone());
        let before = leave_behind(&volume, is_paused).await;
        let made = files.created_files();
        let node = Node::new(volume, |_| {});
        let partition = node.open_with(0, |spec| spec.paused = true);
        let status = partition.status();
        assert_eq!((status.log_start, status.log_end, status.high_watermark), before);
        assert_eq!((&status.state, files.open_files()), (&RunState::Paused, 0));
        assert_eq!(files.created_files() == made, is_paused, "one that was closed cleanly is only looked at");
        let refused = partition.subscribe(StartPosition::Earliest, StopPosition::OnCancel, false).await;
        assert_eq!(refused.unwrap_err(), SubscribeError::Paused);
        partition.resume().await;
        let acked = partition.publish_and_wait("b", AckPolicy::All).await.unwrap();
        assert_eq!(acked.offset, Offset::new(21));
    }
}

#[tokio::test]
async fn beginning_paused_costs_a_few_operations_each_however_long_the_log_is() {
    let volume = FaultyVolume::new(0);
    leave_behind(&(Arc::new(volume.clone()) as Arc<dyn Volume>), true).await;
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let before = volume.operation_count();
    let partition = node.open_with(0, |spec| spec.paused = true);
    assert_eq!(partition.status().log_end, Offset::new(21));
    let operations = volume.operation_count() - before;
    assert!(operations <= 4, "{operations} operations");
}

#[tokio::test]
async fn a_paused_partition_whose_files_cannot_be_looked_at_is_paused_all_the_same() {
    let volume = FaultyVolume::new(0);
    leave_behind(&(Arc::new(volume.clone()) as Arc<dyn Volume>), true).await;
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    volume.fail_operation(0, io::ErrorKind::PermissionDenied);
    let partition = node.open_with(0, |spec| spec.paused = true);
    assert_eq!((partition.status().state, partition.status().log_end), (RunState::Paused, Offset::ZERO));
    partition.resume().await;
    assert_eq!(partition.status().log_end, Offset::new(21));
}

#[tokio::test]
async fn deleting_during_publishes_answers_every_one_and_leaves_no_file() {
    let volume = Arc::new(MemoryVolume::new());
    let node = Node::new(Arc::clone(&volume) as Arc<dyn Volume>, |config| config.batch_messages_max = 2);
    let partition = node.open(0);
    partition.publish_and_wait("a", AckPolicy::All).await.unwrap();
    let mut waiting = partition.read(StartPosition::NewOnly, StopPosition::OnCancel).await;
    let before: Vec<Answer> = (0..20).map(|_| partition.post_publish("b", AckPolicy::All, -1)).collect();
    let deleted = partition.delete();
    let after: Vec<Answer> = (0..20).map(|_| partition.post_publish("c", AckPolicy::All, -1)).collect();
    deleted.await;
    for answer in before {
        answer.await.unwrap().unwrap();
    }
    for answer in after {
        assert_eq!(answer.await.unwrap().unwrap_err(), PublishError::Closed);
    }
    let end = loop {
        match waiting.next().await {
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert_eq!(end, SubscriptionEnd::Deleted);
    assert_eq!(volume.list_directories("streams/orders").unwrap(), Vec::<String>::new());
    let refused = partition.subscribe(StartPosition::Earliest, StopPosition::OnCancel, false).await;
    assert_eq!(refused.unwrap_err(), SubscribeError::NotFound);
}

#[tokio::test]
async fn a_graceful_shutdown_finishes_what_was_accepted() {
    let volume = Arc::new(MemoryVolume::new());
    let node = Node::new(Arc::clone(&volume) as Arc<dyn Volume>, |_| {});
    let partition = node.open(0);
    let mut subscription = partition.read(StartPosition::NewOnly, StopPosition::OnCancel).await;
    let accepted: Vec<Answer> = (0..20).map(|_| partition.post_publish("a", AckPolicy::All, -1)).collect();
    let stopped = partition.shutdown();
    let late = partition.post_publish("b", AckPolicy::All, -1);
    stopped.await;
    for answer in accepted {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(late.await.unwrap().unwrap_err(), PublishError::ShuttingDown);
    while let Ok(records) = subscription.next().await {
        assert!(!records.is_empty());
    }
    assert_eq!(subscription.next().await, Err(SubscriptionEnd::ShuttingDown));
    node.host.stop(true);
    let after_the_end = partition.post_publish("c", AckPolicy::All, -1);
    assert_eq!(after_the_end.await.unwrap().unwrap_err(), PublishError::ShuttingDown);
    assert_eq!(Node::new(volume, |_| {}).open(0).status().log_end, Offset::new(20));
}

#[tokio::test]
async fn a_fast_stop_answers_what_waits() {
    let volume = GatedVolume::default();
    let node = Node::new(Arc::new(volume.clone()), |config| config.log_workers = 1);
    let (busy, waiting) = (node.open(0), node.open(1));
    volume.close_gate();
    let held_up = busy.post_publish("a", AckPolicy::All, -1);
    volume.wait_for_sync();
    let behind = busy.post_publish("b", AckPolicy::All, -1);
    let queued = waiting.post_publish("c", AckPolicy::All, -1);
    std::thread::scope(|scope| {
        scope.spawn(|| node.host.stop(false));
        assert_eq!(queued.blocking_recv_here(), Err(PublishError::ShuttingDown));
        volume.open_gate();
    });
    assert!(held_up.await.unwrap().is_ok(), "the turn under way was finished");
    assert_eq!(behind.await.unwrap().unwrap_err(), PublishError::ShuttingDown);
}

/// Waiting for an answer where nothing may be awaited.
trait BlockingAnswer {
    fn blocking_recv_here(self) -> Result<Offset, PublishError>;
}

impl BlockingAnswer for Answer {
    fn blocking_recv_here(mut self) -> Result<Offset, PublishError> {
        loop {
            match self.try_recv() {
                Ok(outcome) => return outcome.map(|acked| acked.offset),
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_makes_its_partition_offline_and_no_other() {
    let volume = FaultyVolume::new(0);
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    volume.fail_operation(0, io::ErrorKind::PermissionDenied);
    let (bad, good) = (node.open(0), node.open(1));
    assert!(matches!(bad.status().state, RunState::Offline { .. }));
    assert!(matches!(bad.publish_and_wait("a", AckPolicy::All).await, Err(PublishError::Offline { .. })));
    let refused = bad.subscribe(StartPosition::Earliest, StopPosition::OnCancel, false).await;
    assert!(matches!(refused, Err(SubscribeError::Reader { .. })));
    assert!(good.publish_and_wait("a", AckPolicy::All).await.is_ok());
}

#[tokio::test]
async fn a_bug_in_one_turn_costs_one_partition() {
    let node = Node::in_memory();
    let (bad, good) = (node.open(0), node.open(1));
    bad.publish_and_wait("committed", AckPolicy::All).await.unwrap();
    Arc::clone(&bad).abandon(Abandoned::Panicked);
    assert!(matches!(bad.publish_and_wait("a", AckPolicy::All).await, Err(PublishError::Offline { .. })));
    assert!(good.publish_and_wait("a", AckPolicy::All).await.is_ok());
    let mut subscription = bad.read(StartPosition::Earliest, StopPosition::OnCancel).await;
    assert_eq!(subscription.next().await.unwrap()[0].value, "committed");
}

#[tokio::test]
async fn partitions_that_never_had_a_record_cost_no_file() {
    let volume = GatedVolume::default();
    let node = Node::new(Arc::new(volume.clone()), |_| {});
    let partitions: Vec<_> = (0..1000).map(|number| node.open(number)).collect();
    let mut subscription = partitions[7].read(StartPosition::Earliest, StopPosition::OnCancel).await;
    let waiting = tokio::time::timeout(std::time::Duration::ZERO, subscription.next()).await;
    assert!(waiting.is_err());
    for partition in &partitions {
        partition.shutdown().await;
    }
    assert_eq!((volume.created_files(), volume.open_files()), (0, 0));
}

#[tokio::test]
async fn a_partition_is_as_small_as_ten_thousand_of_them_need() {
    // Ten KiB each is the target, the metadata's share and the allocator's included.
    let own = size_of::<crate::partition::Partition>();
    assert!(own < 2048, "{own} bytes");
    let node = Node::in_memory();
    let status = node.host.open(spec(0)).status();
    assert_eq!((status.log_end, status.high_watermark), (Offset::ZERO, Offset::ZERO));
}
