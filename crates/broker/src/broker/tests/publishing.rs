//! Publishing to partitions and to subjects.

use super::*;

#[tokio::test]
async fn publishes_are_refused_in_the_order_of_the_api() {
    let broker = start(&MemoryVolume::new()).await;
    let checked = SettingOverrides { optimistic_concurrency_control: Some(true), ..SettingOverrides::default() };
    create(&broker, CreateStream { overrides: checked, ..stream("checked") }).await;
    let check = async |request: Publish, expected: PublishError| {
        assert_eq!(publish(&broker, request).await.unwrap_err(), expected);
    };
    let silent = |stream, partition| Publish { ack_policy: AckPolicy::None, ..to(stream, partition, "x") };
    check(to("", -1, "x"), PublishError::NoStream).await;
    check(to("bills", -1, "x"), PublishError::StreamNotFound { stream: "bills".to_owned() }).await;
    check(silent("checked", 1), PublishError::PartitionNotFound { partition: 1 }).await;
    check(silent("checked", -1), PublishError::PartitionNotFound { partition: -1 }).await;
    check(silent("checked", 0), PublishError::AckPolicyRequired).await;
    let expecting = |expected_offset| Publish { expected_offset, ..to("checked", 0, "x") };
    publish(&broker, expecting(0)).await.unwrap();
    check(expecting(0), PublishError::IncorrectOffset { expected: 0, next: Offset::new(1) }).await;
    publish(&broker, expecting(-1)).await.unwrap();
    set_readonly(&broker, "checked", &[], true).await.unwrap();
    let partition = liftbridge_types::PartitionId::new(0).unwrap();
    check(silent("checked", 0), PublishError::Readonly { partition }).await;
    stop(broker).await;
}

#[tokio::test]
async fn a_message_on_a_subject_reaches_every_partition_that_listens_there() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, CreateStream { partitions: 2, ..stream("orders") }).await;
    create(&broker, CreateStream { subject: Subject::new("orders").unwrap(), ..stream("copy") }).await;
    create(&broker, CreateStream { subject: Subject::new("orders.*").unwrap(), ..stream("wild") }).await;
    for name in ["shared1", "shared2"] {
        let group = Some("group".to_owned());
        create(&broker, CreateStream { subject: Subject::new("orders").unwrap(), group, ..stream(name) }).await;
    }
    publish_to_subject(&broker, "orders", "m1").await.unwrap();
    publish_to_subject(&broker, "orders", "m2").await.unwrap();
    publish_to_subject(&broker, "orders.1", "m3").await.unwrap();
    // The first outcome is answered before the others are stored: one more to each place puts everything before it in order.
    for (name, partition) in [("orders", 0), ("copy", 0), ("orders", 1), ("wild", 0), ("shared1", 0), ("shared2", 0)] {
        publish_ok(&broker, name, partition, "end").await;
    }
    assert_eq!(values(&broker, "orders", 0).await, ["m1", "m2", "end"]);
    assert_eq!(values(&broker, "copy", 0).await, ["m1", "m2", "end"]);
    assert_eq!(values(&broker, "orders", 1).await, ["m3", "end"]);
    assert_eq!(values(&broker, "wild", 0).await, ["m3", "end"]);
    assert_eq!(values(&broker, "shared1", 0).await, ["m1", "end"]);
    assert_eq!(values(&broker, "shared2", 0).await, ["m2", "end"]);
    stop(broker).await;
}

#[tokio::test]
async fn a_subject_without_listeners_is_not_answered_until_patience_ends() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    let refused = async |subject| publish_to_subject(&broker, subject, "x").await.unwrap_err();
    assert_eq!(refused("bills").await, PublishError::Closed);
    assert_eq!(refused("orders.*").await, PublishError::InvalidSubject);
    assert_eq!(refused("or ders").await, PublishError::InvalidSubject);
    set_readonly(&broker, "orders", &[], true).await.unwrap();
    assert_eq!(refused("orders").await, PublishError::Closed);
    set_readonly(&broker, "orders", &[], false).await.unwrap();
    pause(&broker, "orders", &[], false).await.unwrap();
    assert_eq!(refused("orders").await, PublishError::Closed, "it resumes nothing");
    let (reply, outcome) = PublishReply::one();
    let waits = broker.publish_to_subject(Authorized::internal(to_nobody()), reply, Some(Duration::from_secs(3600)));
    tokio::join!(waits, stop(broker.clone()));
    assert!(matches!(outcome.await, Ok(Err(PublishError::ShuttingDown))), "stopping ends the patience");
}

#[tokio::test]
async fn a_publisher_that_leaves_a_subject_without_listeners_leaves_nothing_behind() {
    let broker = start(&MemoryVolume::new()).await;
    let (reply, outcome) = PublishReply::one();
    let year = Some(Duration::from_hours(24 * 365));
    let waits = broker.publish_to_subject(Authorized::internal(to_nobody()), reply, year);
    assert!(tokio::time::timeout(Duration::ZERO, waits).await.is_err(), "the wait is the publisher's own");
    assert!(matches!(outcome.await, Ok(Err(PublishError::Closed))));
    stop(broker).await;
}

#[tokio::test]
async fn nobody_is_kept_waiting_for_longer_than_an_hour() {
    let broker = start(&MemoryVolume::new()).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let year = Some(Duration::from_hours(24 * 365));
    let (reply, outcome) = PublishReply::one();
    broker.publish_to_subject(Authorized::internal(to_nobody()), reply, year).await;
    assert!(matches!(outcome.await, Ok(Err(PublishError::Closed))));
    let waited = begun.elapsed();
    tokio::time::resume();
    assert!((3600..3700).contains(&waited.as_secs()), "{waited:?}");
    stop(broker).await;
}
