//! What one replica cannot read is got from another one.

use super::*;

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
