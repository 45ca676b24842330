//! What people who run a cluster are told, by a server that is one all by itself.

use std::ops::Range;

use liftbridge_metadata_raft::Rejection;
use liftbridge_replication::Wait;

use super::*;
use crate::administration::{
    MemberState, Obstacle, PartitionCounts, RemoveMember, ReplicaStorage, StorageTroubles, TroubledPage,
    TroubledReplica,
};
use crate::errors::{ExplainError, RemoveMemberError};

const PAGE: TroubledPage = TroubledPage { skipped: 0, count_max: 10 };

fn internal() -> Authorized<()> {
    Authorized::internal(())
}

/// A stream that wants more in-sync replicas than it has.
fn wanting(name: &str, partitions: u32) -> CreateStream {
    let overrides = SettingOverrides { min_isr: Some(2), ..SettingOverrides::default() };
    CreateStream { overrides, partitions, ..stream(name) }
}

#[tokio::test]
async fn a_server_alone_is_a_live_voter_and_the_controller() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, CreateStream { partitions: 3, ..stream("orders") }).await;
    pause(&broker, "orders", &[1], false).await.unwrap();
    set_readonly(&broker, "orders", &[2], true).await.unwrap();
    let described = broker.describe_cluster(&internal(), PAGE);
    let id = broker.id().clone();
    assert!(!described.cluster_id.is_empty());
    assert_eq!(
        (described.answered_by, described.controller, described.is_cut_off),
        (id.clone(), Some(id.clone()), false)
    );
    let [member] = &described.members[..] else { panic!("{:?}", described.members) };
    assert_eq!((&member.id, member.state, member.is_voter), (&id, MemberState::Live, true));
    let registration = member.registration.as_ref().unwrap();
    assert_eq!((registration.hosted_count, registration.led_count), (2, 2));
    assert!(registration.incarnation.get() > 0 && registration.feature_level_max >= described.feature_level);
    let counts = PartitionCounts { streams: 1, partitions: 3, paused: 1, readonly: 1, ..PartitionCounts::default() };
    assert_eq!((described.counts, described.troubled), (counts, Vec::new()));
    stop(broker).await;
}

#[tokio::test]
async fn partitions_in_trouble_are_listed_page_by_page() {
    let broker = start(&MemoryVolume::new()).await;
    for request in [wanting("b", 2), stream("fine"), wanting("a", 1)] {
        create(&broker, request).await;
    }
    let page = |skipped, count_max| {
        let described = broker.describe_cluster(&internal(), TroubledPage { skipped, count_max });
        assert_eq!((described.counts.at_minimum, described.counts.partitions), (3, 4));
        let name = |at: &crate::administration::TroubledPartition| format!("{}/{}", at.stream.as_str(), at.partition);
        described.troubled.iter().map(name).collect::<Vec<String>>()
    };
    assert_eq!(page(0, 2), ["a/0", "b/0"]);
    assert_eq!(page(2, 2), ["b/1"]);
    assert_eq!(page(9, 2), [""; 0]);
    stop(broker).await;
}

#[tokio::test]
async fn whoever_runs_is_not_removed_and_neither_is_whoever_is_unknown() {
    let broker = start(&MemoryVolume::new()).await;
    let remove = async |id: &str| {
        broker.remove_member(Authorized::internal(RemoveMember { id: id.to_owned(), forced: true })).await
    };
    for unknown in ["z", ""] {
        assert_eq!(remove(unknown).await, Err(RemoveMemberError::NotFound { id: unknown.to_owned() }));
    }
    let running = Rejection::BrokerRunning { id: broker.id().clone() };
    assert_eq!(remove("a").await, Err(RemoveMemberError::Refused(running)));
    stop(broker).await;
}

#[tokio::test]
async fn a_partition_with_everything_committed_has_no_obstacles() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    publish_ok(&broker, "orders", 0, "one").await;
    let explained = broker.explain_partition(&internal(), "orders", 0, false).await.unwrap();
    let id = broker.id().clone();
    assert_eq!((explained.leader.as_ref(), &explained.answered_by), (Some(&id), &id));
    assert_eq!((explained.in_sync_min, explained.obstacles), (1, Vec::new()));
    let log = explained.log.unwrap();
    assert_eq!((log.log_start, log.high_watermark, log.log_end), (Offset::ZERO, Offset::new(1), Offset::new(1)));
    let [replica] = &explained.replicas[..] else { panic!("{:?}", explained.replicas) };
    assert!(replica.is_in_sync && !replica.is_fenced && replica.following.is_none());
    assert_eq!(replica.durable_end, Some(Offset::new(1)));

    let agreed = broker.explain_partition(&internal(), "orders", 0, true).await.unwrap();
    assert_eq!((agreed.log, agreed.replicas[0].durable_end, agreed.obstacles), (None, None, Vec::new()));
    stop(broker).await;
}

#[tokio::test]
async fn obstacles_are_named() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, wanting("orders", 2)).await;
    let obstacles = async |partition, agreed_only| {
        broker.explain_partition(&internal(), "orders", partition, agreed_only).await.unwrap().obstacles
    };
    let too_few = Obstacle::Leader(Wait::TooFewInSync { in_sync_count: 1, minimum: 2 });
    assert_eq!(obstacles(0, false).await, std::slice::from_ref(&too_few));
    assert_eq!(obstacles(0, true).await, std::slice::from_ref(&too_few));
    pause(&broker, "orders", &[1], false).await.unwrap();
    assert_eq!(obstacles(1, false).await, [Obstacle::Paused, too_few]);
    stop(broker).await;
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_explained() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    for (stream, partition) in [("orders", 1), ("orders", -1), ("bills", 0)] {
        let explained = broker.explain_partition(&internal(), stream, partition, false).await;
        assert_eq!(explained, Err(ExplainError::NotFound), "{stream}/{partition}");
    }
    stop(broker).await;
}

/// A partition, whether it is offline, and what of it is damaged.
type TroubleLine = (String, bool, Vec<Range<Offset>>);

/// What is wrong with the files here, and the partitions in a line each.
fn storage_troubles(broker: &Broker, page: TroubledPage) -> (StorageTroubles, Vec<TroubleLine>) {
    let troubles = broker.describe_cluster(&internal(), page).storage;
    let line = |replica: &TroubledReplica| {
        let ReplicaStorage { offline, damaged, .. } = &replica.storage;
        (format!("{}/{}", replica.stream.as_str(), replica.partition), offline.is_some(), damaged.clone())
    };
    let lines = troubles.replicas.iter().map(line).collect();
    (troubles, lines)
}

#[tokio::test]
async fn a_partition_whose_files_failed_is_told_of_with_the_reason() {
    let volume = FaultyVolume::new(1);
    let broker = start(&volume).await;
    create(&broker, CreateStream { partitions: 3, ..stream("orders") }).await;
    assert_eq!(storage_troubles(&broker, PAGE), (StorageTroubles::default(), Vec::new()));
    volume.fail_syncs(Some(std::io::ErrorKind::Other));
    for partition in [2, 1] {
        publish(&broker, to("orders", partition, "lost?")).await.unwrap_err();
        // The first may be answered before the partition shows what it has become; this one comes after that.
        let refused = publish(&broker, to("orders", partition, "too late")).await;
        assert!(matches!(refused, Err(PublishError::Offline { .. })), "{refused:?}");
    }
    volume.fail_syncs(None);
    let (troubles, lines) = storage_troubles(&broker, PAGE);
    assert_eq!((troubles.offline_count, troubles.damaged_count, troubles.metadata_failure), (2, 0, None));
    assert_eq!(lines, [("orders/1".to_owned(), true, vec![]), ("orders/2".to_owned(), true, vec![])]);
    let (troubles, lines) = storage_troubles(&broker, TroubledPage { skipped: 1, count_max: 1 });
    assert_eq!((troubles.offline_count, lines), (2, vec![("orders/2".to_owned(), true, vec![])]), "a page of them");
    for agreed_only in [false, true] {
        let explained = broker.explain_partition(&internal(), "orders", 1, agreed_only).await.unwrap();
        let reason = explained.storage.offline.unwrap();
        let is_told = explained.obstacles.contains(&Obstacle::Offline { reason });
        assert_eq!(is_told, !agreed_only, "{:?}", explained.obstacles);
    }
    stop(broker).await;
}

#[tokio::test]
async fn a_metadata_log_that_failed_is_told_of() {
    let volume = FaultyVolume::new(1);
    let broker = start(&volume).await;
    volume.fail_syncs(Some(std::io::ErrorKind::Other));
    let refused = broker.create_stream(Authorized::internal(stream("orders"))).await;
    assert!(matches!(refused, Err(CreateStreamError::Metadata(MetadataUnavailable::LogFailed { .. }))), "{refused:?}");
    volume.fail_syncs(None);
    let (troubles, _) = storage_troubles(&broker, PAGE);
    assert!(troubles.metadata_failure.is_some(), "{troubles:?}");
    stop(broker).await;
}

/// Nobody else has the data, and somebody should hear of it all the same.
#[tokio::test]
async fn damage_that_a_reader_met_is_remembered_where_there_is_one_replica_over_a_pause_too() {
    let volume = FaultyVolume::new(1);
    let mut config = BrokerConfig::new(Arc::new(volume.clone()), BrokerId::new("a").unwrap());
    config.tail_bytes_max = 0;
    let broker = Broker::start(config).await.unwrap();
    create(&broker, stream("orders")).await;
    for value in ["one", "two", "three"] {
        publish_ok(&broker, "orders", 0, value).await;
    }
    let directory = volume.list_directories("streams").unwrap().remove(0);
    volume.flip_bit(&format!("streams/{directory}/0/00000000000000000000.log"), 60, 1).unwrap();
    let mut subscription = broker.subscribe(Authorized::internal(reading("orders", 0))).await.unwrap();
    let end = subscription.next().await.unwrap_err();
    let SubscriptionEnd::DataLoss { start, last, .. } = end else { panic!("{end}") };
    let expected = [("orders/0".to_owned(), false, vec![start..last.next()])];
    // Its turn comes after what the reader said.
    set_readonly(&broker, "orders", &[0], true).await.unwrap();
    let (troubles, lines) = storage_troubles(&broker, PAGE);
    assert_eq!((troubles.offline_count, troubles.damaged_count), (0, 1));
    assert_eq!(lines, expected);
    let explained = broker.explain_partition(&internal(), "orders", 0, false).await.unwrap();
    assert_eq!((&explained.storage.damaged, explained.storage.damaged_range_count), (&expected[0].2, 1));

    set_readonly(&broker, "orders", &[0], false).await.unwrap();
    pause(&broker, "orders", &[0], false).await.unwrap();
    assert_eq!(storage_troubles(&broker, PAGE).1, expected);
    publish_ok(&broker, "orders", 0, "four").await;
    assert_eq!(storage_troubles(&broker, PAGE).1, expected);
    stop(broker).await;
}
