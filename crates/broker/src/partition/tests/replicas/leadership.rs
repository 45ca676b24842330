//! Who leads, who does not any more, and what becomes of what was written under a leadership that ended.

use super::*;
use liftbridge_replication::Assignment;

use crate::partition::testing::Answer;
use crate::workers::{Abandoned, Job};

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

/// A partition of which a message waits for a follower that is cut off, and that message's answer.
async fn with_one_pending() -> (Replicas, Answer) {
    let replicas = replicas(2).await;
    replicas.cut_off(1, true).await;
    let pending = replicas.partition(0).post_publish("pending", AckPolicy::All, -1);
    replicas.settle().await;
    assert_eq!(replicas.ends(0), (0, 1));
    (replicas, pending)
}

#[tokio::test]
async fn who_is_pending_when_the_server_stops_is_told_that_nobody_knows_and_who_comes_later_that_it_is_not_stored() {
    let (replicas, pending) = with_one_pending().await;
    let stopped = replicas.partition(0).shutdown();
    let late = replicas.partition(0).post_publish("late", AckPolicy::All, -1);
    stopped.await;
    assert_eq!(pending.await.unwrap().unwrap_err(), PublishError::Stopped);
    assert_eq!(late.await.unwrap().unwrap_err(), PublishError::ShuttingDown);
}

#[tokio::test]
async fn who_is_pending_when_the_server_stops_at_once_is_told_that_nobody_knows() {
    let (replicas, pending) = with_one_pending().await;
    Arc::clone(replicas.partition(0)).abandon(Abandoned::Stopped);
    assert_eq!(pending.await.unwrap().unwrap_err(), PublishError::Stopped);
    let late = replicas.partition(0).publish_and_wait("late", AckPolicy::All).await;
    assert_eq!(late.unwrap_err(), PublishError::ShuttingDown);
}

#[tokio::test]
async fn who_is_pending_when_the_partition_goes_offline_is_told_that_nobody_knows() {
    let (replicas, pending) = with_one_pending().await;
    Arc::clone(replicas.partition(0)).abandon(Abandoned::Panicked);
    let told = pending.await.unwrap().unwrap_err();
    assert!(matches!(told, PublishError::WentOffline { .. }), "{told:?}");
    let late = replicas.partition(0).publish_and_wait("late", AckPolicy::All).await.unwrap_err();
    assert!(matches!(late, PublishError::Offline { .. }), "{late:?}");
}

/// The way to a server that is only now given a copy was open all the time, so nobody tells of it.
#[tokio::test]
async fn a_replica_that_is_new_is_filled_over_a_link_that_was_there_before() {
    let mut replicas = replicas(3).await;
    let third = replicas.agreed.replicas[2].clone();
    let leave = move |agreed: &mut Assignment| {
        agreed.replicas.pop();
        agreed.in_sync.pop();
    };
    replicas.agree(leave, &[0, 1]).await;
    replicas.restart(0, true, |_| ()).await;
    replicas.elect(1, &[0, 1], &[0, 1]).await;
    publish(&replicas, 1, &["a", "b"]).await;
    replicas.agree(move |agreed| agreed.replicas.push(third), &[0, 1, 2]).await;
    assert_eq!(replicas.ends(2).1, 2);
    assert_eq!(replicas.asked_in_sync(1), Some(vec![1, 0, 2]));
}
