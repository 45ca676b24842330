//! Creating, describing, changing and deleting streams.

use super::*;

#[tokio::test]
async fn a_new_stream_is_described_by_its_defaults() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, CreateStream { partitions: 2, ..stream("orders") }).await;
    let described = broker.describe_stream(&Authorized::internal(()), "orders").unwrap();
    assert_eq!((described.name.as_str(), described.subject.as_str()), ("orders", "orders"));
    assert_eq!(described.partitions.len(), 2);
    let id = broker.id().clone();
    let partition = &described.partitions[1];
    assert_eq!(
        (partition.leader.clone(), partition.replicas.clone(), partition.isr.clone()),
        (Some(id.clone()), vec![id.clone()], vec![id])
    );
    assert_eq!((partition.high_watermark, partition.log_end), (Some(Offset::ZERO), Some(Offset::ZERO)));
    assert!(!partition.paused && !partition.readonly);
    assert_eq!(broker.describe_partition(&Authorized::internal(()), "orders", 1).as_ref(), Ok(partition));
    let brokers = broker.describe_brokers(&Authorized::internal(()));
    assert_eq!((brokers.len(), brokers[0].partition_count, brokers[0].leader_count), (1, 2, 2));
    for (stream, partition) in [("orders", 2), ("orders", -1), ("bills", 0)] {
        let described = broker.describe_partition(&Authorized::internal(()), stream, partition);
        assert_eq!(described, Err(DescribeError::NotFound), "{stream}/{partition}");
    }
    assert!(broker.describe_stream(&Authorized::internal(()), "bills").is_none());
    stop(broker).await;
}

#[tokio::test]
async fn streams_that_cannot_be_are_refused_in_the_order_of_the_api() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    let check = async |request: CreateStream, expected: CreateStreamError| {
        assert_eq!(broker.create_stream(Authorized::internal(request)).await, Err(expected));
    };
    let replicated = |name, count| CreateStream { replication_factor: ReplicationFactor::Count(count), ..stream(name) };
    let set = |overrides| CreateStream { overrides, ..stream("bills") };
    let default = SettingOverrides::default;
    check(stream("__cursors"), CreateStreamError::Reserved).await;
    check(stream("__activity"), CreateStreamError::Reserved).await;
    check(CreateStream { partitions: 0, ..replicated("orders", 2) }, CreateStreamError::NoPartitions).await;
    check(replicated("orders", 0), CreateStreamError::NoReplicas { factor: 0 }).await;
    check(replicated("orders", 2), CreateStreamError::TooManyReplicas { factor: 2, brokers: 1 }).await;
    check(stream("orders"), CreateStreamError::Exists).await;
    let encrypted = set(SettingOverrides { encryption: Some(true), ..default() });
    check(encrypted, CreateStreamError::Unsupported { setting: "encryption" }).await;
    let compacted = set(SettingOverrides { compact_enabled: Some(true), ..default() });
    check(compacted, CreateStreamError::Unsupported { setting: "compactEnabled" }).await;
    let pausing = set(SettingOverrides { auto_pause_time: Some(Duration::from_secs(1)), ..default() });
    check(pausing, CreateStreamError::Unsupported { setting: "autoPauseTime" }).await;
    let all_off = SettingOverrides {
        encryption: Some(false),
        compact_enabled: Some(false),
        auto_pause_time: Some(Duration::ZERO),
        ..default()
    };
    create(&broker, set(all_off)).await;
    create(&broker, CreateStream { replication_factor: ReplicationFactor::Max, ..stream("everywhere") }).await;
    stop(broker).await;
}

#[tokio::test]
async fn changes_to_what_does_not_exist_say_what_is_missing() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    assert_eq!(delete(&broker, "bills").await, Err(ChangeStreamError::StreamNotFound));
    assert_eq!(delete(&broker, "").await, Err(ChangeStreamError::StreamNotFound));
    assert_eq!(delete(&broker, "../..").await, Err(ChangeStreamError::StreamNotFound));
    assert_eq!(delete(&broker, "__cursors").await, Err(ChangeStreamError::Reserved));
    let cases: [(&str, &[i32], ChangeStreamError); 7] = [
        ("bills", &[], ChangeStreamError::NotFoundForAll),
        ("", &[], ChangeStreamError::NotFoundForAll),
        ("bills", &[0], ChangeStreamError::StreamNotFound),
        ("bills", &[-1], ChangeStreamError::StreamNotFound),
        ("orders", &[1], ChangeStreamError::PartitionNotFound),
        ("orders", &[-1], ChangeStreamError::PartitionNotFound),
        ("orders", &[0, i32::MAX], ChangeStreamError::PartitionNotFound),
    ];
    for (stream, partitions, expected) in cases {
        assert_eq!(pause(&broker, stream, partitions, false).await, Err(expected.clone()), "{stream} {partitions:?}");
        assert_eq!(set_readonly(&broker, stream, partitions, true).await, Err(expected), "{stream} {partitions:?}");
    }
    stop(broker).await;
}

#[tokio::test]
async fn a_recreated_stream_begins_anew() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    create(&broker, stream("orders")).await;
    publish_ok(&broker, "orders", 0, "old").await;
    let mut reader = broker
        .subscribe(Authorized::internal(Subscribe { stop: StopPosition::OnCancel, ..reading("orders", 0) }))
        .await
        .unwrap();
    reader.next().await.unwrap();
    delete(&broker, "orders").await.unwrap();
    assert_eq!(reader.next().await, Err(SubscriptionEnd::Deleted));
    assert_eq!(volume.list_directories("streams").unwrap(), Vec::<String>::new());
    let outcome = publish(&broker, to("orders", 0, "lost")).await;
    assert_eq!(outcome.unwrap_err(), PublishError::StreamNotFound { stream: "orders".to_owned() });
    create(&broker, stream("orders")).await;
    assert_eq!(publish_ok(&broker, "orders", 0, "new").await, 0);
    assert_eq!(values(&broker, "orders", 0).await, ["new"]);
    stop(broker).await;
    let broker = start(&volume).await;
    assert_eq!(values(&broker, "orders", 0).await, ["new"]);
    stop(broker).await;
}
