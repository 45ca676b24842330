//! Replicas whose disks fail or are full: who is not waited for, who leads instead, who comes back.

use super::*;

#[tokio::test]
async fn a_leader_whose_disk_fails_wants_another_to_lead() {
    let faulty: Vec<Arc<FaultyVolume>> = (0..2).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    let mut replicas = Replicas::start(volumes, |_, _| {}).await;
    publish(&replicas, 0, &["a"]).await;
    faulty[0].fail_syncs(Some(std::io::ErrorKind::Other));
    let refused = replicas.partition(0).publish_and_wait("b", AckPolicy::All).await.unwrap_err();
    assert!(matches!(refused, PublishError::WentOffline { .. }), "{refused:?}");
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
async fn a_leader_that_is_offline_asks_until_another_one_leads() {
    let faulty: Vec<Arc<FaultyVolume>> = (0..2).map(|seed| Arc::new(FaultyVolume::new(seed))).collect();
    let volumes = faulty.iter().map(|volume| Arc::clone(volume) as Arc<dyn Volume>).collect();
    let mut replicas = Replicas::start(volumes, |_, _| ()).await;
    publish(&replicas, 0, &["a"]).await;
    check_same(&replicas, 2, 1).await;
    let failing = Arc::clone(&faulty[0]);
    // The first three read which logs were begun.
    replicas.restart(0, true, move |_| failing.fail_operation(3, std::io::ErrorKind::Other)).await;
    assert!(matches!(replicas.partition(0).status().state, RunState::Offline { .. }));
    replicas.agree(|agreed| agreed.leader = Some(broker(0)), &[0, 1]).await;
    let wish = Wish::MoveLeader { epoch: replicas.agreed.epoch, to: broker(1), leaves: true };
    replicas.wishes_of(0);
    for round in 0..3 {
        replicas.advance(Duration::from_secs(1)).await;
        assert_eq!(replicas.wishes_of(0), std::slice::from_ref(&wish), "round {round}");
    }
    replicas.elect(1, &[1], &[0, 1]).await;
    replicas.wishes_of(0);
    replicas.advance(Duration::from_secs(5)).await;
    assert_eq!(replicas.wishes_of(0), [], "another one leads");
}
