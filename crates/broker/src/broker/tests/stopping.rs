//! How a node stops, also when its storage does not answer.

use super::*;
use crate::partition::RunState;
use crate::partition::testing::GatedVolume;

/// A broker whose partitions are idle and whose metadata is stuck in the storage.
async fn with_stuck_metadata(volume: &GatedVolume) -> Broker {
    let broker = start(volume).await;
    create(&broker, stream("orders")).await;
    volume.close_gate();
    let pausing = broker.clone();
    tokio::spawn(async move { pause(&pausing, "orders", &[], false).await });
    let held_up = volume.clone();
    tokio::task::spawn_blocking(move || held_up.wait_for_sync()).await.unwrap();
    broker
}

/// Longer than any of these stops may take, shorter than anybody waits for a test.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_graceful_stop_ends_with_its_patience_even_if_the_metadata_is_stuck() {
    let volume = GatedVolume::default();
    let broker = with_stuck_metadata(&volume).await;
    let how = Shutdown::Graceful(Duration::from_millis(50));
    let stopped = tokio::time::timeout(STOPS_WITHIN, broker.shutdown(how)).await;
    volume.open_gate();
    assert!(stopped.is_ok(), "it waits for the storage");
}

#[tokio::test]
async fn a_fast_stop_cuts_a_graceful_one_short_even_if_the_metadata_is_stuck() {
    let volume = GatedVolume::default();
    let broker = with_stuck_metadata(&volume).await;
    let graceful = broker.clone();
    let graceful = tokio::spawn(async move { graceful.shutdown(Shutdown::Graceful(Duration::from_hours(1))).await });
    let replica = Arc::clone(broker.node.streams.get("orders").unwrap().replicas().next().unwrap());
    while replica.status().state != RunState::Stopped {
        tokio::task::yield_now().await;
    }
    let stopped = tokio::time::timeout(STOPS_WITHIN, broker.shutdown(Shutdown::Fast)).await;
    volume.open_gate();
    assert!(stopped.is_ok(), "it waits for the storage");
    graceful.await.unwrap();
}

#[tokio::test]
async fn after_shutdown_everything_is_refused() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    assert_eq!(broker.ready(), Ok(()));
    stop(broker.clone()).await;
    assert!(broker.ready().is_err());
    assert_eq!(publish(&broker, to("orders", 0, "x")).await.unwrap_err(), PublishError::ShuttingDown);
    assert_eq!(publish_to_subject(&broker, "orders", "x").await.unwrap_err(), PublishError::ShuttingDown);
    let refused = broker.create_stream(Authorized::internal(stream("bills"))).await;
    assert_eq!(refused, Err(CreateStreamError::Metadata(MetadataUnavailable::ShuttingDown)));
    assert_eq!(delete(&broker, "orders").await, Err(ChangeStreamError::Metadata(MetadataUnavailable::ShuttingDown)));
    let refused = broker.subscribe(Authorized::internal(reading("orders", 0))).await.unwrap_err();
    assert_eq!(refused, SubscribeError::ShuttingDown);
    broker.shutdown(Shutdown::Fast).await;
}
