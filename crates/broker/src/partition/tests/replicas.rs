//! Two or three replicas of one partition.

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
async fn what_a_cut_off_leader_wrote_is_cut_away_and_its_publishers_are_told_that_nobody_knows() {
    let mut replicas = replicas(3).await;
    publish(&replicas, 0, &["a", "b"]).await;
    replicas.cut_off(0, true).await;
    let unknown = replicas.partition(0).post_publish("lost", AckPolicy::All, -1);
    replicas.partition(0).publish_and_wait("lost too", AckPolicy::Leader).await.unwrap();
    replicas.elect(1, &[1, 2], &[1, 2]).await;
    publish(&replicas, 1, &["c"]).await;
    assert_eq!(replicas.ends(0), (2, 4), "it does not know yet");
    replicas.cut_off(0, false).await;
    replicas.agree(|_| {}, &[0, 1, 2]).await;
    assert_eq!(unknown.await.unwrap().unwrap_err(), PublishError::LeadershipMoved);
    check_same(&replicas, 3, 3).await;
    assert_eq!(replicas.asked_in_sync(1), Some(vec![1, 0, 2]), "it has everything, and may come back");
}

#[tokio::test]
async fn a_leader_that_is_none_any_more_is_fenced_by_those_who_know() {
    let mut replicas = replicas(3).await;
    replicas.elect(1, &[0, 1, 2], &[1, 2]).await;
    let mut unknown = replicas.partition(0).post_publish("a", AckPolicy::All, -1);
    replicas.settle().await;
    assert_eq!(unknown.try_recv().unwrap_err(), TryRecvError::Empty, "nobody takes it from this leader");
    let refused = replicas.partition(0).publish_and_wait("b", AckPolicy::Leader).await;
    assert_eq!(refused.unwrap_err(), PublishError::NotLeader);
    assert_eq!((replicas.ends(1), replicas.ends(2)), ((0, 0), (0, 0)));
}

#[tokio::test]
async fn leadership_handed_over_loses_nothing_and_goes_on_densely() {
    let mut replicas = replicas(3).await;
    for round in 0..6_usize {
        let leader = round % 3;
        publish(&replicas, leader, &["x", "y"]).await;
        replicas.elect((leader + 1) % 3, &[0, 1, 2], &[0, 1, 2]).await;
    }
    publish(&replicas, 0, &["z"]).await;
    check_same(&replicas, 3, 13).await;
}

#[tokio::test]
async fn a_follower_that_was_killed_catches_up_from_what_it_had() {
    let mut replicas = replicas(3).await;
    publish(&replicas, 0, &["a", "b"]).await;
    for in_order in [true, false] {
        replicas.restart(2, in_order, |_| {}).await;
        publish(&replicas, 0, &["c", "d"]).await;
    }
    check_same(&replicas, 3, 6).await;
}

#[tokio::test]
async fn a_follower_comes_back_after_a_power_cut_and_has_what_it_promised() {
    let faulty: Vec<Arc<FaultyVolume>> = (0..3).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    let mut replicas = Replicas::start(volumes, |_, _| {}).await;
    for round in 0..5 {
        publish(&replicas, 0, &["a", "b", "c"]).await;
        let crashing = Arc::clone(&faulty[2]);
        replicas.restart(2, false, move |_| crashing.crash()).await;
        assert_eq!(replicas.ends(2).1, 3 * (round + 1), "what it said it had is still there");
    }
    check_same(&replicas, 3, 15).await;
}

#[tokio::test]
async fn a_broker_that_comes_back_does_not_lead_in_the_leadership_of_its_life_before() {
    let mut replicas = replicas(3).await;
    publish(&replicas, 0, &["a"]).await;
    replicas.restart(0, true, |_| {}).await;
    assert!(!replicas.partition(0).status().leads);
    let refused = replicas.partition(0).publish_and_wait("b", AckPolicy::Leader).await;
    assert_eq!(refused.unwrap_err(), PublishError::NotLeader);
    replicas.elect(1, &[1, 2], &[0, 1, 2]).await;
    publish(&replicas, 1, &["b"]).await;
    check_same(&replicas, 3, 2).await;
}

#[tokio::test]
async fn a_partition_takes_no_part_before_its_broker_knows_which_of_its_lives_this_is() {
    let mut replicas = replicas_with(2, |_, spec| spec.incarnation = None).await;
    assert!(!replicas.partition(0).status().leads);
    replicas.agree(|_| {}, &[0, 1]).await;
    assert!(replicas.partition(0).status().leads);
    publish(&replicas, 0, &["a"]).await;
    check_same(&replicas, 2, 1).await;
}

#[tokio::test]
async fn a_silent_follower_leaves_the_in_sync_replicas_and_comes_back_when_it_has_caught_up() {
    let mut replicas = replicas(3).await;
    publish(&replicas, 0, &["a"]).await;
    replicas.cut_off(2, true).await;
    let waiting = replicas.partition(0).post_publish("b", AckPolicy::All, -1);
    replicas.settle().await;
    assert_eq!(replicas.asked_in_sync(0), None);
    replicas.advance(LONG).await;
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0, 1]));
    assert_eq!(replicas.ends(0), (1, 2), "until that is agreed on, the third is waited for");
    replicas.agree(|agreed| agreed.in_sync = vec![broker(0), broker(1)], &[0, 1, 2]).await;
    waiting.await.unwrap().unwrap();
    replicas.cut_off(2, false).await;
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0, 1, 2]));
    replicas.agree(|agreed| agreed.in_sync.push(broker(2)), &[0, 1, 2]).await;
    check_same(&replicas, 3, 2).await;
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

#[tokio::test]
async fn what_gets_lost_on_the_way_is_sent_again() {
    let replicas = replicas(2).await;
    let waiting = replicas.partition(0).post_publish("a", AckPolicy::All, -1);
    replicas.lose_messages().await;
    replicas.advance(Duration::from_secs(3)).await;
    waiting.await.unwrap().unwrap();
    check_same(&replicas, 2, 1).await;
}

#[tokio::test]
async fn a_long_log_is_caught_up_with_through_a_small_window() {
    let mut replicas = replicas_with(2, |config, spec| {
        config.replica_window_bytes = 500;
        spec.settings.segment_max_bytes = 2000;
    })
    .await;
    replicas.agree(|agreed| agreed.in_sync = vec![broker(0)], &[0, 1]).await;
    replicas.cut_off(1, true).await;
    for _ in 0..100 {
        replicas.partition(0).publish_and_wait("some value or other", AckPolicy::Leader).await.unwrap();
    }
    assert_eq!(replicas.ends(1).1, 0);
    replicas.cut_off(1, false).await;
    replicas.agree(|agreed| agreed.in_sync.push(broker(1)), &[0, 1]).await;
    check_same(&replicas, 2, 100).await;
}

#[tokio::test]
async fn a_follower_that_needs_what_retention_has_removed_begins_where_the_leaders_log_starts() {
    let mut replicas = replicas_with(2, |_, spec| {
        spec.settings.segment_max_bytes = 300;
        spec.settings.retention_max_messages = Some(4);
        spec.settings.min_isr = Some(1);
    })
    .await;
    publish(&replicas, 0, &["a", "b"]).await;
    replicas.cut_off(1, true).await;
    replicas.agree(|agreed| agreed.in_sync = vec![broker(0)], &[0, 1]).await;
    for _ in 0..20 {
        replicas.partition(0).publish_and_wait("some value or other", AckPolicy::All).await.unwrap();
    }
    replicas.advance(Duration::from_secs(3600)).await;
    let start = replicas.partition(0).status().log_start;
    assert!(start > Offset::new(2), "{start}");
    replicas.cut_off(1, false).await;
    replicas.advance(A_MOMENT).await;
    assert_eq!(replicas.partition(1).status().log_start, start);
    assert_eq!(replicas.ends(1), (22, 22));
    assert_eq!(replicas.committed_bytes(1), replicas.committed_bytes(0));
}

#[tokio::test]
async fn a_leader_whose_session_lapsed_takes_no_publishes_until_it_is_renewed() {
    let replicas = replicas(2).await;
    let leader = replicas.partition(0);
    leader.hear(PeerEvent::Session { is_lapsed: true });
    for policy in [AckPolicy::All, AckPolicy::Leader, AckPolicy::None] {
        assert_eq!(leader.publish_and_wait("a", policy).await.unwrap_err(), PublishError::NotLeader);
    }
    leader.hear(PeerEvent::Session { is_lapsed: false });
    publish(&replicas, 0, &["a"]).await;
}

#[tokio::test]
async fn a_leader_whose_disk_fails_wants_another_to_lead() {
    let faulty: Vec<Arc<FaultyVolume>> = (0..2).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    let mut replicas = Replicas::start(volumes, |_, _| {}).await;
    publish(&replicas, 0, &["a"]).await;
    faulty[0].fail_syncs(Some(std::io::ErrorKind::Other));
    let refused = replicas.partition(0).publish_and_wait("b", AckPolicy::All).await.unwrap_err();
    assert!(matches!(refused, PublishError::Offline { .. }), "{refused:?}");
    replicas.settle().await;
    let epoch = replicas.agreed.epoch;
    assert_eq!(replicas.wishes_of(0), [Wish::MoveLeader { epoch, to: broker(1), leaves: true }]);
    replicas.elect(1, &[0, 1], &[0, 1]).await;
    assert_eq!(replicas.asked_in_sync(1), Some(vec![1]), "the broken one is not waited for");
}

#[tokio::test]
async fn a_follower_whose_disk_fails_is_not_waited_for() {
    let faulty: Vec<Arc<FaultyVolume>> = (0..3).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    let mut replicas = Replicas::start(volumes, |_, _| {}).await;
    faulty[2].fail_syncs(Some(std::io::ErrorKind::Other));
    let waiting = replicas.partition(0).post_publish("a", AckPolicy::All, -1);
    replicas.settle().await;
    assert!(matches!(replicas.partition(2).status().state, RunState::Offline { .. }));
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0, 1]));
    replicas.agree(|agreed| agreed.in_sync = vec![broker(0), broker(1)], &[0, 1, 2]).await;
    waiting.await.unwrap().unwrap();
}

/// Replicas on disks that can be filled.
async fn fillable(count: u64) -> (Replicas, Vec<Arc<FaultyVolume>>) {
    let faulty: Vec<Arc<FaultyVolume>> = (0..count).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    (Replicas::start(volumes, |_, _| {}).await, faulty)
}

#[tokio::test]
async fn a_follower_without_room_is_not_waited_for_and_comes_back_when_it_has_some() {
    let (mut replicas, disks) = fillable(3).await;
    publish(&replicas, 0, &["a"]).await;
    disks[2].limit_free_bytes(Some(0));
    let waiting = replicas.partition(0).post_publish("b", AckPolicy::All, -1);
    replicas.settle().await;
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0, 1]), "at once, not after the lag allowed");
    replicas.agree(|agreed| agreed.in_sync = vec![broker(0), broker(1)], &[0, 1, 2]).await;
    waiting.await.unwrap().unwrap();
    publish(&replicas, 0, &["c"]).await;
    replicas.advance(LONG).await;
    assert_eq!(replicas.asked_in_sync(0), None, "while there is no room, nothing changes");
    disks[2].limit_free_bytes(None);
    replicas.advance(Duration::from_secs(1)).await;
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0, 1, 2]));
    replicas.agree(|agreed| agreed.in_sync.push(broker(2)), &[0, 1, 2]).await;
    check_same(&replicas, 3, 3).await;
}

#[tokio::test]
async fn a_leader_without_room_steps_aside_and_the_next_one_knows_that_it_has_none() {
    let (mut replicas, disks) = fillable(3).await;
    publish(&replicas, 0, &["a"]).await;
    disks[0].limit_free_bytes(Some(0));
    for _ in 0..3 {
        let refused = replicas.partition(0).publish_and_wait("b", AckPolicy::All).await;
        assert_eq!(refused.unwrap_err(), PublishError::NotLeader, "another one will take it");
    }
    let epoch = replicas.agreed.epoch;
    let asked = Wish::MoveLeader { epoch, to: broker(1), leaves: true };
    assert_eq!(replicas.wishes_of(0), [asked], "once, for as long as the answer is waited for");
    replicas.elect(1, &[1, 2], &[0, 1, 2]).await;
    publish(&replicas, 1, &["b"]).await;
    replicas.advance(LONG).await;
    assert_eq!(replicas.asked_in_sync(1), None, "it has everything that was committed, but no room for more");
    disks[0].limit_free_bytes(None);
    replicas.advance(Duration::from_secs(1)).await;
    assert_eq!(replicas.asked_in_sync(1), Some(vec![1, 0, 2]));
    replicas.agree(|agreed| agreed.in_sync.push(broker(0)), &[0, 1, 2]).await;
    check_same(&replicas, 3, 2).await;
}

#[tokio::test]
async fn where_nobody_has_room_nobody_steps_aside_and_publishing_goes_on_by_itself_when_there_is_some() {
    let (mut replicas, disks) = fillable(2).await;
    publish(&replicas, 0, &["a"]).await;
    disks[1].limit_free_bytes(Some(0));
    let mut waiting = replicas.partition(0).post_publish("b", AckPolicy::All, -1);
    replicas.settle().await;
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0]));
    replicas.agree(|agreed| agreed.in_sync = vec![broker(0)], &[0, 1]).await;
    disks[0].limit_free_bytes(Some(0));
    for policy in [AckPolicy::Leader, AckPolicy::All] {
        let refused = replicas.partition(0).publish_and_wait("c", policy).await;
        assert_eq!(refused.unwrap_err(), PublishError::DiskFull);
    }
    assert_eq!(replicas.wishes_of(0), []);
    assert_eq!(waiting.try_recv().unwrap_err(), TryRecvError::Empty, "one disk is fewer than was promised");
    disks.iter().for_each(|disk| disk.limit_free_bytes(None));
    replicas.advance(Duration::from_secs(1)).await;
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0, 1]));
    replicas.agree(|agreed| agreed.in_sync.push(broker(1)), &[0, 1]).await;
    waiting.await.unwrap().unwrap();
    publish(&replicas, 0, &["c"]).await;
    check_same(&replicas, 2, 3).await;
}

#[tokio::test]
async fn rot_on_a_follower_is_repaired_from_the_leader_and_the_follower_comes_back() {
    let faulty: Vec<Arc<FaultyVolume>> = (0..3).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    let mut replicas = Replicas::start(volumes, |_, spec| spec.settings.segment_max_bytes = 300).await;
    for _ in 0..10 {
        publish(&replicas, 0, &["some value or other"]).await;
    }
    check_same(&replicas, 3, 10).await;
    let rotting = Arc::clone(&faulty[2]);
    replicas
        .restart(2, true, move |_| rotting.flip_bit("streams/orders/0/00000000000000000000.log", 60, 1).unwrap())
        .await;
    let mut subscription = replicas.partition(2).read(StartPosition::Earliest, StopPosition::Latest).await;
    assert!(subscription.next().await.is_err(), "a reader finds it");
    replicas.settle().await;
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0, 1]), "it is to go first");
    replicas.agree(|agreed| agreed.in_sync = vec![broker(0), broker(1)], &[0, 1, 2]).await;
    replicas.advance(Duration::from_secs(1)).await;
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0, 1, 2]), "and comes back whole");
    replicas.agree(|agreed| agreed.in_sync.push(broker(2)), &[0, 1, 2]).await;
    check_same(&replicas, 3, 10).await;
}

#[tokio::test]
async fn a_replica_that_knows_of_rot_when_it_is_elected_steps_aside_at_once() {
    let faulty: Vec<Arc<FaultyVolume>> = (0..2).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    let mut replicas = Replicas::start(volumes, |config, _| config.tail_bytes_max = 0).await;
    publish(&replicas, 0, &["a", "b"]).await;
    check_same(&replicas, 2, 2).await;
    faulty[1].flip_bit("streams/orders/0/00000000000000000000.log", 60, 1).unwrap();
    let mut subscription = replicas.partition(1).read(StartPosition::Earliest, StopPosition::Latest).await;
    assert!(subscription.next().await.is_err(), "a reader finds it");
    replicas.settle().await;
    replicas.elect(1, &[0, 1], &[0, 1]).await;
    replicas.settle().await;
    let epoch = replicas.agreed.epoch;
    assert_eq!(replicas.wishes_of(1), [Wish::MoveLeader { epoch, to: broker(0), leaves: false }]);
}

#[tokio::test]
async fn a_leader_that_cannot_read_what_nobody_else_has_steps_aside_too() {
    let faulty: Vec<Arc<FaultyVolume>> = (0..2).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    let mut replicas = Replicas::start(volumes, |config, _| config.tail_bytes_max = 0).await;
    replicas.cut_off(0, true).await;
    replicas.partition(0).publish_and_wait("not committed", AckPolicy::Leader).await.unwrap();
    faulty[0].flip_bit("streams/orders/0/00000000000000000000.log", 60, 1).unwrap();
    replicas.cut_off(0, false).await;
    let epoch = replicas.agreed.epoch;
    let wishes = replicas.wishes_of(0);
    assert!(wishes.contains(&Wish::MoveLeader { epoch, to: broker(1), leaves: false }), "{wishes:?}");
    replicas.elect(1, &[0, 1], &[0, 1]).await;
    publish(&replicas, 1, &["a", "b"]).await;
    check_same(&replicas, 2, 2).await;
    replicas.advance(Duration::from_secs(1)).await;
    assert_eq!(replicas.asked_in_sync(1), Some(vec![1, 0]), "what was damaged is cut off, and with it the damage");
}

#[tokio::test]
async fn a_leader_that_cannot_read_what_it_has_steps_aside_and_is_repaired_as_a_follower() {
    let faulty: Vec<Arc<FaultyVolume>> = (0..3).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    let mut replicas = Replicas::start(volumes, |config, spec| {
        config.tail_bytes_max = 0;
        spec.settings.segment_max_bytes = 300;
    })
    .await;
    for _ in 0..10 {
        publish(&replicas, 0, &["some value or other"]).await;
    }
    check_same(&replicas, 3, 10).await;
    faulty[0].flip_bit("streams/orders/0/00000000000000000000.log", 60, 1).unwrap();
    let mut subscription = replicas.partition(0).read(StartPosition::Earliest, StopPosition::Latest).await;
    assert!(subscription.next().await.is_err(), "a reader finds it");
    replicas.settle().await;
    let epoch = replicas.agreed.epoch;
    assert_eq!(replicas.wishes_of(0), [Wish::MoveLeader { epoch, to: broker(1), leaves: false }]);
    replicas.elect(1, &[0, 1, 2], &[0, 1, 2]).await;
    replicas.advance(Duration::from_secs(1)).await;
    assert_eq!(replicas.asked_in_sync(1), Some(vec![1, 2]));
    replicas.agree(|agreed| agreed.in_sync = vec![broker(1), broker(2)], &[0, 1, 2]).await;
    replicas.advance(Duration::from_secs(1)).await;
    assert_eq!(replicas.asked_in_sync(1), Some(vec![1, 0, 2]));
    check_same(&replicas, 3, 10).await;
}

#[tokio::test]
async fn a_follower_is_never_cut_below_what_it_knows_to_be_committed() {
    let mut replicas = replicas(2).await;
    publish(&replicas, 0, &["a", "b"]).await;
    replicas.advance(A_MOMENT).await;
    // An operator's mistake: a broker without its data leads.
    replicas.cut_off(1, true).await;
    replicas.restart(1, true, |volume| volume.remove_directory("streams/orders/0").unwrap()).await;
    replicas.elect(1, &[1], &[0, 1]).await;
    replicas.partition(1).publish_and_wait("other", AckPolicy::Leader).await.unwrap();
    replicas.cut_off(1, false).await;
    let RunState::Offline { reason } = replicas.partition(0).status().state else { panic!("it goes on") };
    assert!(reason.contains("below the high watermark 2"), "{reason}");
}

#[tokio::test]
async fn an_older_version_that_comes_late_changes_nothing() {
    let mut replicas = replicas(2).await;
    let old = replicas.agreed.clone();
    replicas.elect(1, &[0, 1], &[0, 1]).await;
    replicas.partition(0).set_assignment(old, Some(BrokerIncarnation::new(1))).await;
    assert!(!replicas.partition(0).status().leads);
    publish(&replicas, 1, &["a"]).await;
}

#[tokio::test]
async fn replicas_that_are_paused_together_go_on_together() {
    let replicas = replicas(2).await;
    publish(&replicas, 0, &["a"]).await;
    for number in 0..2 {
        replicas.partition(number).pause().await;
    }
    for number in 0..2 {
        replicas.partition(number).resume().await;
    }
    replicas.settle().await;
    publish(&replicas, 0, &["b"]).await;
    check_same(&replicas, 2, 2).await;
}

#[tokio::test]
async fn another_replica_is_brought_up_when_it_is_assigned() {
    let mut replicas = replicas(3).await;
    publish(&replicas, 0, &["a"]).await;
    let third: BrokerLife = replicas.agreed.replicas[2].clone();
    let without = |agreed: &mut liftbridge_replication::Assignment| {
        agreed.replicas.pop();
        agreed.in_sync.pop();
    };
    replicas.agree(without, &[0, 1, 2]).await;
    publish(&replicas, 0, &["b"]).await;
    replicas.agree(|agreed| agreed.replicas.push(third), &[0, 1, 2]).await;
    replicas.link(0, 2, true).await;
    assert_eq!(replicas.asked_in_sync(0), Some(vec![0, 1, 2]));
    check_same(&replicas, 3, 2).await;
}
