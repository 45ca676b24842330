//! What people who run a cluster of several are told, and how a dead server is taken out.

use liftbridge_metadata_raft::Rejection;

use super::*;
use crate::administration::{ClusterDescription, MemberState, Obstacle, PartitionCounts, RemoveMember, TroubledPage};
use crate::errors::{ExplainError, RemoveMemberError};

fn internal() -> Authorized<()> {
    Authorized::internal(())
}

fn described(broker: &Broker) -> ClusterDescription {
    broker.describe_cluster(&internal(), TroubledPage { skipped: 0, count_max: 10 })
}

fn state_of(seen_by: &Broker, id: &BrokerId) -> Option<MemberState> {
    described(seen_by).members.iter().find(|member| member.id == *id).map(|member| member.state)
}

async fn remove(asked: &Broker, id: &BrokerId, forced: bool) -> Result<(), RemoveMemberError> {
    asked.remove_member(Authorized::internal(RemoveMember { id: id.as_str().to_owned(), forced })).await
}

impl Cluster {
    fn with_id(&self, id: &BrokerId) -> &Broker {
        self.brokers.iter().find(|broker| broker.id() == id).unwrap()
    }

    /// Creates a stream that everybody keeps, with a message in it; who leads it, as everybody knows.
    async fn with_one_message(&self, name: &str) -> BrokerId {
        self.create_on_all(name).await;
        self.until("everybody knows of it", |broker| leader(broker, name).is_some()).await;
        publish_ok(&self.brokers[0], name, 0, "x").await;
        self.leader(&self.brokers[0], name).unwrap()
    }

    fn other_than(&self, id: &BrokerId) -> &Broker {
        self.brokers.iter().find(|broker| broker.id() != id).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_tells_the_same_of_a_cluster_that_is_well() {
    let cluster = Cluster::of(3).await;
    cluster.create_on_all("orders").await;
    let is_well = |broker: &Broker| {
        let told = described(broker);
        let all_vote = told.members.iter().all(|member| member.is_voter && member.state == MemberState::Live);
        let counts = PartitionCounts { streams: 1, partitions: 1, ..PartitionCounts::default() };
        told.members.len() == 3 && all_vote && told.counts == counts && !told.is_cut_off
    };
    cluster.until("all is well everywhere", is_well).await;
    let controllers: BTreeSet<_> = cluster.brokers.iter().map(|broker| described(broker).controller).collect();
    assert!(controllers.len() == 1 && !controllers.contains(&None), "{controllers:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_explained_where_it_is_led_and_others_say_where_that_is() {
    let cluster = Cluster::of(3).await;
    let led_by = cluster.with_one_message("orders").await;
    let elsewhere = cluster.other_than(&led_by).explain_partition(&internal(), "orders", 0, false).await;
    let address = Some("localhost:9292".to_owned());
    assert_eq!(elsewhere, Err(ExplainError::NotLeader { leader: led_by.clone(), address }));
    let agreed = cluster.other_than(&led_by).explain_partition(&internal(), "orders", 0, true).await.unwrap();
    assert_eq!((agreed.leader.as_ref(), agreed.log, agreed.obstacles), (Some(&led_by), None, Vec::new()));

    // Whoever was not heard of for a moment, on a busy machine, comes back.
    cluster.until("all are in sync", |broker| in_sync(broker, "orders") == 3).await;
    let told = cluster.with_id(&led_by).explain_partition(&internal(), "orders", 0, false).await.unwrap();
    assert_eq!((told.in_sync_min, told.obstacles), (2, Vec::new()));
    assert_eq!(told.log.unwrap().high_watermark, Offset::new(1));
    for replica in told.replicas {
        assert!(replica.is_in_sync && !replica.is_fenced);
        assert_eq!(replica.durable_end, Some(Offset::new(1)));
        let following = replica.following.map(|following| (following.is_linked, following.behind_for.is_zero()));
        assert_eq!(following, (replica.id != led_by).then_some((true, true)));
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_member_is_trouble_until_it_is_removed() {
    let cluster = Cluster::of(3).await;
    let led_by = cluster.with_one_message("orders").await;
    let dead = cluster.other_than(&led_by).id().clone();
    cluster.network.cut_off(&dead);
    cluster
        .until("it is not heard of", |broker| {
            let counts = described(broker).counts;
            let is_trouble = (counts.leaderless, counts.at_minimum, counts.under_replicated) == (0, 1, 1);
            state_of(broker, &dead) == Some(MemberState::Fenced) && is_trouble
        })
        .await;
    let survivor = cluster.other_than(&dead);
    let [troubled] = &described(survivor).troubled[..] else { panic!("one partition is in trouble") };
    assert_eq!((troubled.stream.as_str(), troubled.in_sync.contains(&dead)), ("orders", false));
    let leads = cluster.leader(survivor, "orders").unwrap();
    let told = cluster.with_id(&leads).explain_partition(&internal(), "orders", 0, false).await.unwrap();
    let row = told.replicas.iter().find(|replica| replica.id == dead).unwrap();
    assert!(row.is_fenced && !row.is_in_sync && row.following.is_some_and(|following| !following.is_linked));
    let lonely = async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while !described(cluster.with_id(&dead)).is_cut_off {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), lonely).await.expect("it notices that it is alone");

    remove(survivor, &dead, false).await.unwrap();
    cluster
        .until("the others are the cluster", |broker| {
            state_of(broker, &dead).is_none() && described(broker).troubled.is_empty()
        })
        .await;
    assert_eq!(remove(survivor, &dead, false).await, Err(RemoveMemberError::NotFound { id: dead.to_string() }));

    cluster.network.let_back(&dead);
    let told = tokio::time::timeout(Duration::from_secs(30), cluster.with_id(&dead).expelled()).await;
    assert!(told.expect("it is told when it can be").contains("was removed from its cluster"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_removed_while_it_was_down_is_told_at_its_next_start() {
    let mut cluster = Cluster::of(3).await;
    let removed = cluster.brokers.pop().unwrap();
    let id = removed.id().clone();
    removed.shutdown(Shutdown::Fast).await;
    cluster.network.cut_off(&id);
    cluster.until("it is not heard of", |broker| state_of(broker, &id) == Some(MemberState::Fenced)).await;
    remove(&cluster.brokers[0], &id, false).await.unwrap();
    cluster.until("it is no member", |broker| state_of(broker, &id).is_none()).await;
    cluster.network.gone.lock().clear();
    let start = cluster.try_start(2, &cluster.volumes[2]);
    let told = tokio::time::timeout(Duration::from_secs(30), start).await.expect("it does not wait for ever");
    let told = told.expect_err("there is no place for it").to_string();
    assert!(told.contains("was removed from its cluster"), "{told}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_in_sync_replica_is_waited_for_unless_its_member_is_removed_by_force() {
    let cluster = Cluster::of(3).await;
    create(&cluster.brokers[0], stream("single")).await;
    cluster.until("everybody knows of it", |broker| leader(broker, "single").is_some()).await;
    let led_by = cluster.leader(&cluster.brokers[0], "single").unwrap();
    cluster.network.cut_off(&led_by);
    cluster.until("nobody leads it", |broker| described(broker).counts.leaderless == 1).await;
    let survivor = cluster.other_than(&led_by);
    let told = survivor.explain_partition(&internal(), "single", 0, false).await.unwrap();
    assert_eq!(told.obstacles, [Obstacle::NoLeader { electable: vec![led_by.clone()] }]);
    let last = RemoveMemberError::Refused(Rejection::LastInSync { id: led_by.clone(), partitions: 1 });
    assert_eq!(remove(survivor, &led_by, false).await, Err(last));
    remove(survivor, &led_by, true).await.unwrap();
    cluster.stop().await;
}
