//! How a follower gets what it lacks, and when it is waited for.

use super::*;

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
