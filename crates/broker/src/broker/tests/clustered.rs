//! Several brokers in one process, over a network that is not there.

mod administration;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use liftbridge_metadata_raft::Command;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::*;
use crate::cluster_config::ClusterConfig;
use crate::peers::{
    Heartbeat, HeartbeatAnswer, Join, JoinAnswer, PartitionMessage, PeerCall, PeerError, PeerInbox, Peers,
    ProposeAnswer,
};
use crate::shutdown::hand_over;

/// What every server can reach at once. An address is a server's id.
#[derive(Default)]
struct Network {
    inboxes: Mutex<BTreeMap<BrokerId, Arc<dyn PeerInbox>>>,
    /// Who is cut off from everybody.
    gone: Mutex<BTreeSet<BrokerId>>,
}

impl Network {
    fn inbox(&self, from: &BrokerId, to: &BrokerId) -> Option<Arc<dyn PeerInbox>> {
        let gone = self.gone.lock();
        if gone.contains(from) || gone.contains(to) {
            return None;
        }
        self.inboxes.lock().get(to).cloned()
    }

    fn cut_off(&self, id: &BrokerId) {
        self.gone.lock().insert(id.clone());
        let inboxes = self.inboxes.lock().clone();
        for (other, inbox) in inboxes.iter().filter(|(other, _)| *other != id) {
            inbox.on_link(id, false);
            inboxes[id].on_link(other, false);
        }
    }

    fn let_back(&self, id: &BrokerId) {
        self.gone.lock().remove(id);
        let inboxes = self.inboxes.lock().clone();
        for (other, inbox) in inboxes.iter().filter(|(other, _)| *other != id) {
            inbox.on_link(id, true);
            inboxes[id].on_link(other, true);
        }
    }
}

/// One server's way to the others.
struct Wire {
    network: Arc<Network>,
    me: OnceLock<BrokerId>,
    /// What goes to each broker, in its order.
    forwarded: Mutex<BTreeMap<BrokerId, mpsc::UnboundedSender<Forwarded>>>,
}

type Forwarded = (Arc<dyn PeerInbox>, Publish, PublishReply);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Wire {
    fn to(&self, to: &BrokerId) -> Result<Arc<dyn PeerInbox>, PeerError> {
        let inbox = self.me.get().and_then(|me| self.network.inbox(me, to));
        inbox.ok_or_else(|| PeerError::NotSent { peer: to.as_str().to_owned(), reason: "cut off".to_owned() })
    }
}

impl Peers for Wire {
    fn introduce(&self, id: &BrokerId, _cluster_id: Option<&str>) {
        self.me.get_or_init(|| id.clone());
    }

    fn open(&self, inbox: Arc<dyn PeerInbox>) {
        let me = self.me.get().expect("it was introduced").clone();
        let others = self.network.inboxes.lock().clone();
        self.network.inboxes.lock().insert(me.clone(), Arc::clone(&inbox));
        for (other, others_inbox) in others.iter().filter(|(other, _)| **other != me) {
            inbox.on_link(other, true);
            others_inbox.on_link(&me, true);
        }
    }

    fn set_peers(&self, _peers: &BTreeMap<BrokerId, String>) {}

    fn send_metadata(&self, to: &BrokerId, message: Bytes) {
        if let Ok(inbox) = self.to(to) {
            inbox.on_metadata_message(self.me.get().unwrap(), message);
        }
    }

    fn send(&self, to: &BrokerId, message: PartitionMessage) {
        if let Ok(inbox) = self.to(to) {
            inbox.on_partition_message(self.me.get().unwrap(), message);
        }
    }

    fn is_linked(&self, to: &BrokerId) -> bool {
        self.to(to).is_ok()
    }

    fn propose(&self, to: &BrokerId, command: Command, patience: Duration) -> PeerCall<'_, ProposeAnswer> {
        let inbox = self.to(to);
        Box::pin(async move {
            let answer = tokio::time::timeout(patience, inbox?.propose(command)).await;
            answer.map_err(|_| PeerError::Unknown { peer: "it".to_owned(), reason: "late".to_owned() })
        })
    }

    fn join(&self, address: &str, request: Join) -> PeerCall<'_, JoinAnswer> {
        let inbox = self.to(&BrokerId::new(address).unwrap());
        Box::pin(async move { Ok(inbox?.join(request).await) })
    }

    fn heartbeat(&self, to: &BrokerId, heartbeat: Heartbeat) -> PeerCall<'_, HeartbeatAnswer> {
        let inbox = self.to(to);
        Box::pin(async move { Ok(inbox?.heartbeat(heartbeat).await) })
    }

    fn publish(&self, to: &BrokerId, request: Publish, reply: PublishReply) {
        match self.to(to) {
            Ok(inbox) => {
                let mut forwarded = self.forwarded.lock();
                let queue = forwarded.entry(to.clone()).or_insert_with(|| {
                    let (sender, mut queued) = mpsc::unbounded_channel::<Forwarded>();
                    tokio::spawn(async move {
                        while let Some((inbox, request, reply)) = queued.recv().await {
                            inbox.publish(request, reply).await;
                        }
                    });
                    sender
                });
                let _ = queue.send((inbox, request, reply));
            }
            Err(_) => reply.answer(Err(PublishError::NotLeader)),
        }
    }
}

/// Brokers `n1`, `n2`, ...
struct Cluster {
    network: Arc<Network>,
    volumes: Vec<FaultyVolume>,
    brokers: Vec<Broker>,
}

impl Cluster {
    async fn of(count: usize) -> Self {
        let mut cluster = Self { network: Arc::default(), volumes: Vec::new(), brokers: Vec::new() };
        for at in 0..count {
            cluster.volumes.push(FaultyVolume::new(at as u64));
            let broker = cluster.try_start(at, &cluster.volumes[at]).await.unwrap();
            cluster.brokers.push(broker);
        }
        cluster
            .until("everybody serves", |broker| broker.describe_brokers(&Authorized::internal(())).len() == count)
            .await;
        cluster
    }

    async fn try_start(&self, at: usize, volume: &FaultyVolume) -> Result<Broker, StartError> {
        let join = if at == 0 { Vec::new() } else { vec!["n1".to_owned()] };
        self.try_start_with(at, volume, join, false).await
    }

    async fn try_start_with(
        &self,
        at: usize,
        volume: &FaultyVolume,
        join: Vec<String>,
        founds: bool,
    ) -> Result<Broker, StartError> {
        Broker::start(self.config(at, volume, join, founds)).await
    }

    fn config(&self, at: usize, volume: &FaultyVolume, join: Vec<String>, founds: bool) -> BrokerConfig {
        let config = BrokerConfig::new(Arc::new(volume.clone()), id(at));
        let cluster = ClusterConfig {
            peers: Arc::new(Wire {
                network: Arc::clone(&self.network),
                me: OnceLock::new(),
                forwarded: Mutex::default(),
            }),
            peer_address: Some(id(at).as_str().to_owned()),
            join,
            founds,
            replica_lag_max: Duration::from_secs(2),
            ..ClusterConfig::default()
        };
        BrokerConfig { cluster, ..config }
    }

    /// Waits until it is so on every broker that is not cut off.
    async fn until(&self, what: &str, is_so: impl Fn(&Broker) -> bool) {
        let everywhere = async {
            let mut looks = tokio::time::interval(Duration::from_millis(10));
            let gone = |broker: &&Broker| !self.network.gone.lock().contains(broker.id());
            while !self.brokers.iter().filter(gone).all(&is_so) {
                looks.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), everywhere).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    async fn create_on_all(&self, name: &str) {
        let replication_factor = ReplicationFactor::Max;
        create(&self.brokers[1], CreateStream { replication_factor, ..stream(name) }).await;
    }

    fn leader(&self, seen_by: &Broker, name: &str) -> Option<BrokerId> {
        leader(seen_by, name)
    }

    async fn stop(self) {
        for broker in self.brokers {
            broker.shutdown(Shutdown::Fast).await;
        }
    }
}

fn id(at: usize) -> BrokerId {
    BrokerId::new(&format!("n{}", at + 1)).unwrap()
}

fn leader(seen_by: &Broker, name: &str) -> Option<BrokerId> {
    seen_by.describe_stream(&Authorized::internal(()), name)?.partitions[0].leader.clone()
}

fn in_sync(seen_by: &Broker, name: &str) -> usize {
    let described = seen_by.describe_stream(&Authorized::internal(()), name);
    described.map_or(0, |stream| stream.partitions[0].isr.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_broker_takes_what_another_one_leads() {
    let cluster = Cluster::of(3).await;
    cluster.create_on_all("orders").await;
    for (offset, broker) in cluster.brokers.iter().enumerate() {
        assert_eq!(publish_ok(broker, "orders", 0, "x").await, offset as u64);
    }
    let leader = cluster.leader(&cluster.brokers[0], "orders").unwrap();
    for broker in &cluster.brokers {
        let subscribed = broker.subscribe(Authorized::internal(reading("orders", 0))).await.map(drop);
        let described = broker.describe_partition(&Authorized::internal(()), "orders", 0).map(drop);
        if *broker.id() == leader {
            assert_eq!(values(broker, "orders", 0).await, ["x"; 3]);
            assert_eq!(described, Ok(()));
        } else {
            assert_eq!(subscribed, Err(SubscribeError::NotLeader));
            assert_eq!(described, Err(DescribeError::NotLeader));
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_keeps_the_subject_it_came_by_wherever_it_is_stored() {
    let cluster = Cluster::of(3).await;
    let names = ["s0", "s1", "s2"];
    for name in names {
        create(&cluster.brokers[0], CreateStream { subject: Subject::new("w.*").unwrap(), ..stream(name) }).await;
    }
    cluster.until("all are led", |broker| names.iter().all(|name| leader(broker, name).is_some())).await;
    publish_to_subject(&cluster.brokers[0], "w.x", "x").await.unwrap();
    let mut leaders = BTreeSet::new();
    for name in names {
        // The first outcome is answered before the others are stored: one more puts everything before it in order.
        publish_ok(&cluster.brokers[0], name, 0, "end").await;
        let led_by = leader(&cluster.brokers[0], name).unwrap();
        let broker = cluster.brokers.iter().find(|broker| *broker.id() == led_by).unwrap();
        let mut subscription = broker.subscribe(Authorized::internal(reading(name, 0))).await.unwrap();
        let stored = subscription.next().await.unwrap().remove(0);
        assert_eq!(stored.value, "x");
        let kept = stored.headers.iter().find(|header| header.name == "subject").map(|header| header.value.clone());
        assert_eq!(kept.as_deref(), Some(&b"w.x"[..]), "{name}, led by {led_by}");
        leaders.insert(led_by);
    }
    assert!(leaders.len() > 1, "it was handed over to somebody");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_has_started_is_one_that_new_streams_are_given_to() {
    let mut cluster = Cluster { network: Arc::default(), volumes: Vec::new(), brokers: Vec::new() };
    for at in 0..2 {
        let volume = FaultyVolume::new(at as u64);
        cluster.brokers.push(cluster.try_start(at, &volume).await.unwrap());
        // The others hear of it at the same time, give or take a moment.
        cluster
            .until("it is heard of", |broker| broker.describe_brokers(&Authorized::internal(())).len() == at + 1)
            .await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_in_sync_replica_serves_whoever_asks_for_one() {
    let cluster = Cluster::of(3).await;
    cluster.create_on_all("orders").await;
    publish_ok(&cluster.brokers[0], "orders", 0, "x").await;
    let leader = cluster.leader(&cluster.brokers[0], "orders").unwrap();
    let follower = cluster.brokers.iter().find(|broker| *broker.id() != leader).unwrap();
    cluster
        .until("the follower knows that it is committed", |broker| {
            let stream = broker.describe_stream(&Authorized::internal(()), "orders");
            stream.is_some_and(|stream| stream.partitions[0].high_watermark == Some(Offset::new(1)))
        })
        .await;
    let request = Subscribe { read_isr_replica: true, ..reading("orders", 0) };
    let mut subscription = follower.subscribe(Authorized::internal(request)).await.unwrap();
    assert_eq!(subscription.next().await.unwrap()[0].value, "x");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_cut_off_is_led_without_and_comes_back_in_sync() {
    let cluster = Cluster::of(3).await;
    cluster.create_on_all("orders").await;
    publish_ok(&cluster.brokers[0], "orders", 0, "before").await;
    let lost = cluster.leader(&cluster.brokers[0], "orders").unwrap();
    cluster.network.cut_off(&lost);
    let is_led_elsewhere = |broker: &Broker| leader(broker, "orders").is_some_and(|leader| leader != lost);
    cluster.until("another one leads", is_led_elsewhere).await;
    let survivor = cluster.brokers.iter().find(|broker| *broker.id() != lost).unwrap();
    publish_ok(survivor, "orders", 0, "after").await;
    let old = cluster.brokers.iter().find(|broker| *broker.id() == lost).unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(10), publish(old, to("orders", 0, "lost"))).await;
    let refused = refused.expect("it lets nothing in").unwrap_err();
    assert_eq!(refused, PublishError::NotLeader, "it knows that it may have been replaced");
    cluster.network.let_back(&lost);
    cluster.until("all are in sync again", |broker| in_sync(broker, "orders") == 3).await;
    let leads_again = |broker: &Broker| {
        let described = broker.describe_partition(&Authorized::internal(()), "orders", 0);
        *broker.id() != lost || described.is_ok()
    };
    cluster.until("its leadership is given back", leads_again).await;
    assert_eq!(values(old, "orders", 0).await, ["before", "after"]);
    cluster.stop().await;
}

/// R16: whoever is configured with a longer session than the controller still takes publishes while nobody else leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_leads_what_a_broker_leads_that_trusts_its_session_for_longer() {
    const LONG: Duration = Duration::from_secs(5);
    let mut cluster = Cluster { network: Arc::default(), volumes: Vec::new(), brokers: Vec::new() };
    for at in 0..3 {
        let join = if at == 0 { Vec::new() } else { vec!["n1".to_owned()] };
        let mut config = cluster.config(at, &FaultyVolume::new(at as u64), join, false);
        if at == 1 {
            config.cluster.session_timeout = LONG;
        }
        cluster.brokers.push(Broker::start(config).await.unwrap());
    }
    let patient = cluster.brokers[1].clone();
    let names = ["s0", "s1", "s2"];
    for name in names {
        cluster.create_on_all(name).await;
    }
    let led = names.into_iter().find(|name| leader(&patient, name).as_ref() == Some(patient.id())).unwrap();
    cluster.network.cut_off(patient.id());
    let cut_off_at = Instant::now();
    let is_led_elsewhere = |broker: &Broker| leader(broker, led).is_some_and(|leader| leader != *patient.id());
    cluster.until("another one leads", is_led_elsewhere).await;
    // The last sign of life that was heard may be a pause old. A busy machine makes it later, never earlier.
    let waited = cut_off_at.elapsed();
    assert!(waited >= LONG - Duration::from_millis(500), "it trusted its session still, after {waited:?}");
    let has_lapsed = async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while !patient.node.lapsed.load(Ordering::SeqCst) {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), has_lapsed).await.expect("it knows that it may have been replaced");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stops_hands_over_first_and_finds_its_place_again() {
    let mut cluster = Cluster::of(3).await;
    cluster.create_on_all("orders").await;
    publish_ok(&cluster.brokers[0], "orders", 0, "before").await;
    let first = cluster.brokers.remove(0);
    first.shutdown(Shutdown::Graceful(Duration::from_secs(10))).await;
    // Nobody has to notice anything: it is agreed on already.
    for broker in &cluster.brokers {
        assert_ne!(leader(broker, "orders"), Some(id(0)));
    }
    publish_ok(&cluster.brokers[0], "orders", 0, "after").await;
    let volume = cluster.volumes[0].clone();
    let again = cluster.try_start(0, &volume).await.unwrap();
    cluster.brokers.insert(0, again);
    cluster.until("all are in sync again", |broker| in_sync(broker, "orders") == 3).await;
    cluster.stop().await;
}

/// Publishes one message after the other, without waiting for answers; what was acknowledged has to be there once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_publish_fails_while_a_broker_stops() {
    let mut cluster = Cluster::of(3).await;
    cluster.create_on_all("orders").await;
    let stopping = leader(&cluster.brokers[0], "orders").unwrap();
    let at = cluster.brokers.iter().position(|broker| *broker.id() == stopping).unwrap();
    let stopping = cluster.brokers.remove(at);
    // Through the broker that stops, and through one that stays, until some time after it has handed over.
    let is_over = Arc::new(AtomicBool::new(false));
    let publishers = [stopping.clone(), cluster.brokers[0].clone()].map(|broker| {
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            let (mut waiting, mut offsets) = (VecDeque::new(), Vec::new());
            let mut left = 20;
            while left > 0 {
                left -= usize::from(is_over.load(Ordering::SeqCst));
                let (reply, outcome) = PublishReply::one();
                broker.publish(Authorized::internal(to("orders", 0, "x")), reply).await;
                waiting.push_back(outcome);
                while waiting.len() >= 16 || (left == 0 && !waiting.is_empty()) {
                    offsets.push(waiting.pop_front().unwrap().await.unwrap().unwrap().offset);
                }
            }
            offsets
        })
    });
    hand_over(&stopping.node).await;
    is_over.store(true, Ordering::SeqCst);
    let mut count = 0;
    for publisher in publishers {
        let offsets = publisher.await.unwrap();
        assert!(offsets.is_sorted(), "{offsets:?}");
        count += offsets.len();
    }
    let now_leads = leader(&cluster.brokers[0], "orders").unwrap();
    assert_ne!(now_leads, *stopping.id());
    let reader = cluster.brokers.iter().find(|broker| *broker.id() == now_leads).unwrap();
    assert_eq!(values(reader, "orders", 0).await.len(), count);
    stopping.shutdown(Shutdown::Fast).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_that_lost_its_disk_founds_no_second_cluster_where_it_can_ask() {
    let mut cluster = Cluster::of(0).await;
    let others = || vec!["n2".to_owned(), "n3".to_owned()];
    let founder = cluster.try_start_with(0, &FaultyVolume::new(7), others(), true).await.unwrap();
    for at in 1..3 {
        cluster.volumes.push(FaultyVolume::new(at as u64));
        cluster.brokers.push(cluster.try_start(at, &cluster.volumes[at - 1]).await.unwrap());
    }
    founder.shutdown(Shutdown::Fast).await;
    cluster.network.inboxes.lock().remove(&id(0));
    let refused = cluster.try_start_with(0, &FaultyVolume::new(99), others(), true).await;
    let refused = refused.expect_err("there is a cluster").to_string();
    assert!(refused.contains("liftbridge-admin cluster remove n1"), "{refused}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_disk_is_not_let_in_under_the_same_id() {
    let mut cluster = Cluster::of(3).await;
    let lost = cluster.brokers.pop().unwrap();
    lost.shutdown(Shutdown::Fast).await;
    let refused = cluster.try_start(2, &FaultyVolume::new(99)).await.expect_err("its disk is another one").to_string();
    assert!(refused.contains("liftbridge-admin cluster remove n3"), "{refused}");
    cluster.stop().await;
}
