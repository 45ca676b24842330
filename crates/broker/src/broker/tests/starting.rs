//! What a start finds: after a stop, after a crash, after a deletion that was interrupted.

use super::*;

#[tokio::test]
async fn what_was_published_is_read_before_and_after_a_restart() {
    let volume = MemoryVolume::new();
    let first = start(&volume).await;
    create(&first, CreateStream { partitions: 2, ..stream("orders") }).await;
    assert_eq!(publish_ok(&first, "orders", 0, "one").await, 0);
    assert_eq!(publish_ok(&first, "orders", 0, "two").await, 1);
    assert_eq!(publish_ok(&first, "orders", 1, "three").await, 0);
    assert_eq!(values(&first, "orders", 0).await, ["one", "two"]);
    stop(first).await;
    let second = start(&volume).await;
    assert_eq!(values(&second, "orders", 0).await, ["one", "two"]);
    assert_eq!(values(&second, "orders", 1).await, ["three"]);
    assert_eq!(publish_ok(&second, "orders", 0, "four").await, 2);
    stop(second).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_cut() {
    let volume = FaultyVolume::new(1);
    let first = start(&volume).await;
    create(&first, stream("orders")).await;
    publish_ok(&first, "orders", 0, "one").await;
    volume.crash();
    let second = start(&volume).await;
    assert_eq!(values(&second, "orders", 0).await, ["one"]);
    stop(second).await;
    first.shutdown(Shutdown::Fast).await;
}

#[tokio::test]
async fn the_stored_id_wins_over_the_configured_one() {
    let volume = MemoryVolume::new();
    stop(try_start(&volume, "first").await.unwrap()).await;
    let broker = try_start(&volume, "second").await.unwrap();
    assert_eq!(broker.id().as_str(), "first");
    assert_eq!(broker.describe_brokers(&Authorized::internal(())).len(), 1);
    stop(broker).await;
    volume.directory("").remove("server-id").unwrap();
    let refused = try_start(&volume, "second").await;
    assert!(matches!(&refused, Err(StartError::Storage { reason }) if reason.contains("`first`")), "{refused:?}");
}

#[tokio::test]
async fn streams_without_metadata_are_not_taken_for_an_empty_server() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    create(&broker, stream("orders")).await;
    publish_ok(&broker, "orders", 0, "x").await;
    stop(broker).await;
    volume.remove_directory("raft").unwrap();
    let refused = try_start(&volume, "a").await;
    assert!(matches!(&refused, Err(StartError::Metadata { reason }) if reason.contains("raft")), "{refused:?}");
    assert_eq!(volume.list_directories("streams").unwrap().len(), 1);
}

#[tokio::test]
async fn a_deletion_that_a_crash_interrupts_is_finished_by_the_next_start() {
    // Where the power goes in the middle of it depends on the operation that fails.
    for after in 0..40 {
        let volume = FaultyVolume::new(after);
        let broker = start(&volume).await;
        create(&broker, stream("orders")).await;
        create(&broker, stream("kept")).await;
        publish_ok(&broker, "orders", 0, "x").await;
        publish_ok(&broker, "kept", 0, "y").await;
        let failing = volume.operation_count() + after;
        volume.fail_operation(after, std::io::ErrorKind::Other);
        let deleted = delete(&broker, "orders").await;
        while volume.operation_count() <= failing {
            // The deletion takes fewer operations: the fault is used up here and not by the next start.
            let _ = volume.directory("").list();
        }
        volume.crash();
        broker.shutdown(Shutdown::Fast).await;
        let broker = start(&volume).await;
        assert_eq!(values(&broker, "kept", 0).await, ["y"], "operation {after}");
        let exists = broker.describe_stream(&Authorized::internal(()), "orders").is_some();
        assert!(!(exists && deleted.is_ok()), "operation {after}: a deletion that was answered is undone");
        stop(broker).await;
        // A removal that failed is tried again by the start after.
        stop(start(&volume).await).await;
        let directories = volume.list_directories("streams").unwrap();
        assert_eq!(directories.len(), 1 + usize::from(exists), "operation {after}: {directories:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_streams_are_created_and_restarted() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    let begun = Instant::now();
    let mut creators = tokio::task::JoinSet::new();
    for some in 0..100 {
        let broker = broker.clone();
        creators.spawn(async move {
            for number in 0..100 {
                create(&broker, stream(&format!("stream-{some}-{number}"))).await;
            }
        });
    }
    creators.join_all().await;
    println!("10,000 streams created in {:?}", begun.elapsed());
    publish_ok(&broker, "stream-7-7", 0, "x").await;
    stop(broker).await;
    let begun = Instant::now();
    let broker = start(&volume).await;
    let took = begun.elapsed();
    println!("10,000 streams restarted in {took:?}");
    assert_eq!(broker.describe_all_streams(&Authorized::internal(())).len(), 10_000);
    assert_eq!(values(&broker, "stream-7-7", 0).await, ["x"]);
    // The target of an optimised build; even an unoptimised one keeps it.
    assert!(took < Duration::from_secs(5), "{took:?}");
    stop(broker).await;
}
