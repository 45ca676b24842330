use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use liftbridge_auth::Authorized;
use liftbridge_commitlog::{FaultyVolume, MemoryVolume, Storage, Volume};
use liftbridge_types::{AckPolicy, BrokerId, Message, SettingOverrides, StreamName, Subject};

use super::*;
use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::publish_reply::PublishReply;
use crate::requests::{CreateStream, DeleteStream, Publish, ReplicationFactor, Shutdown};

const SNAPSHOT_THRESHOLD: u64 = 4;

/// A volume that can refuse to remove directories.
#[derive(Clone, Debug, Default)]
struct StubbornVolume {
    inner: MemoryVolume,
    refuses: Arc<AtomicBool>,
}

impl StubbornVolume {
    fn refuse_removals(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    fn stream_directories(&self) -> usize {
        self.list_directories("streams").unwrap().len()
    }

    fn snapshots(&self) -> usize {
        self.directory("raft/snapshots").list().unwrap().len()
    }
}

impl Volume for StubbornVolume {
    fn directory(&self, path: &str) -> Arc<dyn Storage> {
        self.inner.directory(path)
    }

    fn list_directories(&self, path: &str) -> io::Result<Vec<String>> {
        self.inner.list_directories(path)
    }

    fn rename_directory(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename_directory(from, to)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(io::Error::other("in use"));
        }
        self.inner.remove_directory(path)
    }

    fn free_bytes(&self) -> Option<u64> {
        self.inner.free_bytes()
    }
}

async fn start(volume: &(impl Volume + Clone + 'static)) -> Broker {
    let config = BrokerConfig::new(Arc::new(volume.clone()), BrokerId::new("a").unwrap());
    let config = BrokerConfig { snapshot_threshold: SNAPSHOT_THRESHOLD, snapshot_retain: 100, ..config };
    Broker::start(config).await.unwrap()
}

async fn stop(broker: Broker) {
    broker.shutdown(Shutdown::Graceful(Duration::from_secs(60))).await;
}

async fn create(broker: &Broker, name: &str) {
    let request = CreateStream {
        name: StreamName::new(name).unwrap(),
        subject: Subject::new(name).unwrap(),
        group: None,
        partitions: 1,
        replication_factor: ReplicationFactor::Count(1),
        overrides: SettingOverrides::default(),
    };
    broker.create_stream(Authorized::internal(request)).await.unwrap();
}

/// Creates a stream with a message in it: one without has no files.
async fn create_with_message(broker: &Broker, name: &str) {
    create(broker, name).await;
    let (reply, outcome) = PublishReply::one();
    let (message, ack_policy) = (Message::default(), AckPolicy::All);
    let (arrived_on, expected_offset) = (None, -1);
    let request = Publish { stream: name.into(), partition: 0, message, arrived_on, ack_policy, expected_offset };
    broker.publish(Authorized::internal(request), reply).await;
    outcome.await.expect("a reply is answered even when it is dropped").unwrap();
}

async fn delete(broker: &Broker, name: &str) {
    broker.delete_stream(Authorized::internal(DeleteStream { name: name.to_owned() })).await.unwrap();
}

/// Creates and deletes a stream whose files cannot be removed, and goes on beyond the next snapshot.
async fn delete_in_vain(broker: &Broker, volume: &StubbornVolume) {
    create_with_message(broker, "stubborn").await;
    volume.refuse_removals(true);
    delete(broker, "stubborn").await;
    for number in 0..2 * SNAPSHOT_THRESHOLD {
        create(broker, &format!("s{number}")).await;
    }
}

#[tokio::test]
async fn files_that_could_not_be_removed_go_with_the_next_event_and_snapshots_go_on() {
    let volume = StubbornVolume::default();
    let broker = start(&volume).await;
    delete_in_vain(&broker, &volume).await;
    assert_eq!(volume.stream_directories(), 1);
    assert_eq!(volume.snapshots(), 1, "no snapshot but the founding one forgets what has to be removed");
    volume.refuse_removals(false);
    create(&broker, "next").await;
    assert_eq!(volume.stream_directories(), 0);
    stop(broker).await;
    assert!(volume.snapshots() > 1, "snapshots are taken again");
}

#[tokio::test(start_paused = true)]
async fn files_that_could_not_be_removed_go_when_time_has_passed() {
    let volume = StubbornVolume::default();
    let broker = start(&volume).await;
    delete_in_vain(&broker, &volume).await;
    volume.refuse_removals(false);
    for _ in 0..10 {
        tokio::time::advance(REMOVAL_RETRY).await;
        // Gives the follower's blocking work the time it takes.
        tokio::task::spawn_blocking(|| {}).await.unwrap();
    }
    let gone = volume.stream_directories() == 0;
    stop(broker).await;
    assert!(gone);
}

#[tokio::test]
async fn files_that_could_not_be_removed_are_tried_again_by_every_start() {
    let volume = StubbornVolume::default();
    let broker = start(&volume).await;
    delete_in_vain(&broker, &volume).await;
    stop(broker).await;
    stop(start(&volume).await).await;
    assert_eq!(volume.stream_directories(), 1);
    volume.refuse_removals(false);
    stop(start(&volume).await).await;
    assert_eq!(volume.stream_directories(), 0);
}

#[tokio::test]
async fn a_broker_starts_on_a_full_disk_and_deletes_there() {
    let volume = FaultyVolume::new(1);
    let broker = start(&volume).await;
    create_with_message(&broker, "orders").await;
    stop(broker).await;
    volume.limit_free_bytes(Some(0));
    let broker = start(&volume).await;
    assert!(broker.describe_stream(&Authorized::internal(()), "orders").is_some());
    volume.limit_free_bytes(Some(0));
    delete(&broker, "orders").await;
    assert_eq!(volume.list_directories("streams").unwrap(), Vec::<String>::new());
    stop(broker).await;
}
