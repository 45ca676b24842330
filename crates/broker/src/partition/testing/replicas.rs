//! Several replicas of one partition, each on a node of its own, with a network that the test holds in its hand and a
//! controller that agrees on what the test says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_commitlog::Volume;
use liftbridge_metadata_raft::Command;
use liftbridge_replication::{Assignment, BrokerLife, InSyncChange};
use liftbridge_types::{BrokerId, BrokerIncarnation, LeaderEpoch, Offset, PartitionEpoch};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::config::BrokerConfig;
use crate::errors::PublishError;
use crate::partition::testing::{Node, PartitionTesting, spec};
use crate::partition::{Partition, PartitionSpec, PeerEvent, Wish, Wished};
use crate::peers::{
    Heartbeat, HeartbeatAnswer, Join, JoinAnswer, PartitionMessage, PeerCall, PeerError, PeerInbox, Peers,
    ProposeAnswer,
};
use crate::publish_reply::PublishReply;
use crate::requests::Publish;

/// Messages on their way, and which ways are closed.
#[derive(Debug, Default)]
struct Network {
    under_way: Mutex<VecDeque<(usize, BrokerId, PartitionMessage)>>,
    closed: Mutex<Vec<(BrokerId, BrokerId)>>,
}

/// One broker's end of it.
#[derive(Debug)]
struct TestPeers {
    number: usize,
    network: Arc<Network>,
}

impl TestPeers {
    fn unreachable<T: Send + 'static>() -> PeerCall<'static, T> {
        let error = PeerError::NotSent { peer: "nobody".to_owned(), reason: "not in this test".to_owned() };
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Peers for TestPeers {
    fn introduce(&self, _id: &BrokerId, _cluster_id: Option<&str>) {}

    fn open(&self, _inbox: Arc<dyn PeerInbox>) {}

    fn set_peers(&self, _peers: &BTreeMap<BrokerId, String>) {}

    fn send_metadata(&self, _to: &BrokerId, _message: Bytes) {}

    fn send(&self, to: &BrokerId, message: PartitionMessage) {
        if self.is_linked(to) {
            self.network.under_way.lock().push_back((self.number, to.clone(), message));
        }
    }

    fn is_linked(&self, to: &BrokerId) -> bool {
        !self.network.closed.lock().contains(&(broker(self.number), to.clone()))
    }

    fn propose(&self, _to: &BrokerId, _command: Command, _patience: Duration) -> PeerCall<'_, ProposeAnswer> {
        Self::unreachable()
    }

    fn join(&self, _address: &str, _request: Join) -> PeerCall<'_, JoinAnswer> {
        Self::unreachable()
    }

    fn heartbeat(&self, _to: &BrokerId, _heartbeat: Heartbeat) -> PeerCall<'_, HeartbeatAnswer> {
        Self::unreachable()
    }

    fn publish(&self, _to: &BrokerId, _request: Publish, reply: PublishReply) {
        reply.answer(Err(PublishError::NotLeader));
    }
}

/// The broker with this number.
pub(crate) fn broker(number: usize) -> BrokerId {
    BrokerId::new(&format!("b{number}")).unwrap()
}

/// Replicas 0, 1 and so on, of which 0 leads at first and all are in sync.
pub(crate) struct Replicas {
    volumes: Vec<Arc<dyn Volume>>,
    nodes: Vec<Node>,
    partitions: Vec<Option<Arc<Partition>>>,
    wishes: Vec<UnboundedReceiver<Wished>>,
    network: Arc<Network>,
    /// Index of the last decision.
    index: u64,
    /// Which life each broker is in.
    incarnations: Vec<BrokerIncarnation>,
    pub(crate) agreed: Assignment,
    change: fn(&mut BrokerConfig, &mut PartitionSpec),
}

impl Replicas {
    /// As many replicas as volumes.
    pub(crate) async fn start(
        volumes: Vec<Arc<dyn Volume>>,
        change: fn(&mut BrokerConfig, &mut PartitionSpec),
    ) -> Self {
        let lives = (0..volumes.len())
            .map(|number| BrokerLife { id: broker(number), incarnation: BrokerIncarnation::new(number as u64 + 1) });
        let agreed = Assignment {
            leader: Some(broker(0)),
            leader_epoch: LeaderEpoch::new(10),
            epoch: PartitionEpoch::new(10),
            replicas: lives.collect(),
            in_sync: (0..volumes.len()).map(broker).collect(),
            eligible: Vec::new(),
            in_sync_min: None,
        };
        let mut replicas = Self {
            volumes: Vec::new(),
            nodes: Vec::new(),
            partitions: Vec::new(),
            wishes: Vec::new(),
            network: Arc::default(),
            index: 10,
            incarnations: agreed.replicas.iter().map(|life| life.incarnation).collect(),
            agreed,
            change,
        };
        for volume in volumes {
            replicas.add(volume);
        }
        replicas.settle().await;
        replicas
    }

    fn add(&mut self, volume: Arc<dyn Volume>) {
        let number = self.nodes.len();
        let (node, partition, wishes) = self.open(number, Arc::clone(&volume));
        self.volumes.push(volume);
        self.nodes.push(node);
        self.partitions.push(Some(partition));
        self.wishes.push(wishes);
    }

    fn open(&self, number: usize, volume: Arc<dyn Volume>) -> (Node, Arc<Partition>, UnboundedReceiver<Wished>) {
        let mut spec = spec(0);
        spec.broker_id = broker(number);
        spec.incarnation = Some(self.incarnations[number]);
        spec.assignment = self.agreed.clone();
        let peers = Arc::new(TestPeers { number, network: Arc::clone(&self.network) });
        let node = Node::new(volume, |config| {
            config.cluster.peers = peers;
            (self.change)(config, &mut spec);
        });
        let wishes = node.host.take_wishes().unwrap();
        let partition = node.host.open(spec);
        (node, partition, wishes)
    }

    /// A replica's partition, which must be running.
    pub(crate) fn partition(&self, number: usize) -> &Arc<Partition> {
        self.partitions[number].as_ref().unwrap()
    }

    /// Where a replica's log ends and how much of it counts as committed.
    pub(crate) fn ends(&self, number: usize) -> (u64, u64) {
        let status = self.partition(number).status();
        (status.high_watermark.get(), status.log_end.get())
    }

    /// The bytes of a replica's log below its high watermark.
    pub(crate) fn committed_bytes(&self, number: usize) -> Vec<Bytes> {
        let (seen, view) = self.partition(number).board().view();
        let mut reader = view.unwrap().reader(Offset::ZERO);
        let mut batches = Vec::new();
        while reader.next_offset() < seen.high_watermark {
            let read = reader.read(seen.high_watermark, 1 << 20).unwrap();
            batches.extend(read.iter().map(|batch| batch.bytes().clone()));
        }
        batches
    }

    /// Lets messages arrive until nobody has anything to say.
    pub(crate) async fn settle(&self) {
        let mut rounds = 0;
        loop {
            for partition in self.partitions.iter().flatten() {
                partition.settle().await;
            }
            let arriving = std::mem::take(&mut *self.network.under_way.lock());
            if arriving.is_empty() {
                return;
            }
            rounds += 1;
            assert!(rounds < 10_000, "they talk without end: {arriving:?}");
            for (from, to, message) in arriving {
                let number: usize = to.as_str()[1..].parse().unwrap();
                if let Some(partition) = &self.partitions[number] {
                    partition.hear(PeerEvent::Message { from: broker(from), message: message.message });
                }
            }
        }
    }

    /// Everything under way is lost.
    pub(crate) async fn lose_messages(&self) {
        for partition in self.partitions.iter().flatten() {
            partition.settle().await;
        }
        self.network.under_way.lock().clear();
    }

    /// Time passes on every node, and messages arrive.
    pub(crate) async fn advance(&self, time: Duration) {
        for node in &self.nodes {
            node.advance(time);
        }
        self.settle().await;
    }

    /// Opens or closes the way between two replicas, both directions.
    pub(crate) async fn link(&self, one: usize, other: usize, is_up: bool) {
        for (from, to) in [(one, other), (other, one)] {
            self.network.closed.lock().retain(|closed| *closed != (broker(from), broker(to)));
            if !is_up {
                self.network.closed.lock().push((broker(from), broker(to)));
            }
            if let Some(partition) = &self.partitions[from] {
                partition.hear(PeerEvent::Link { to: broker(to), is_up });
            }
        }
        self.settle().await;
    }

    /// Cuts a replica off from all others, or brings it back.
    pub(crate) async fn cut_off(&self, number: usize, is_cut: bool) {
        for other in (0..self.nodes.len()).filter(|other| *other != number) {
            self.link(number, other, !is_cut).await;
        }
    }

    /// The controller agrees on another version; these replicas hear of it.
    pub(crate) async fn agree(&mut self, change: impl FnOnce(&mut Assignment), who_hears: &[usize]) {
        self.index += 1;
        let leader = self.agreed.leader.clone();
        change(&mut self.agreed);
        self.agreed.epoch = PartitionEpoch::new(self.index);
        if self.agreed.leader != leader {
            self.agreed.leader_epoch = LeaderEpoch::new(self.index);
        }
        for number in who_hears {
            if let Some(partition) = &self.partitions[*number] {
                partition.set_assignment(self.agreed.clone(), Some(self.incarnations[*number])).await;
            }
        }
        self.settle().await;
    }

    /// Another replica leads from now on; these hear of it.
    pub(crate) async fn elect(&mut self, leader: usize, in_sync: &[usize], who_hears: &[usize]) {
        let in_sync = in_sync.iter().map(|number| broker(*number)).collect();
        let change = move |agreed: &mut Assignment| {
            agreed.leader = Some(broker(leader));
            agreed.in_sync = in_sync;
        };
        self.agree(change, who_hears).await;
    }

    /// What a replica wants the controller to agree on.
    pub(crate) fn wishes_of(&mut self, number: usize) -> Vec<Wish> {
        std::iter::from_fn(|| self.wishes[number].try_recv().ok()).map(|wished| wished.wish).collect()
    }

    /// The last set of in-sync replicas a leader asked for, by number, since that was asked last.
    pub(crate) fn asked_in_sync(&mut self, number: usize) -> Option<Vec<usize>> {
        let asked = |wish: &Wish| match wish {
            Wish::ChangeInSync(InSyncChange { in_sync, .. }) => {
                Some(in_sync.iter().map(|life| life.id.as_str()[1..].parse().unwrap()).collect())
            }
            Wish::MoveLeader { .. } => None,
        };
        self.wishes_of(number).iter().rev().find_map(asked)
    }

    /// A replica's process ends, in order or at once, and another life of it begins on what is on its volume then.
    pub(crate) async fn restart(&mut self, number: usize, in_order: bool, between: impl FnOnce(&dyn Volume)) {
        let partition = self.partitions[number].take().unwrap();
        if in_order {
            partition.shutdown().await;
        }
        self.nodes[number].host.stop(in_order);
        drop(partition);
        between(&*self.volumes[number]);
        self.index += 1;
        self.incarnations[number] = BrokerIncarnation::new(self.index);
        self.agreed.replicas[number].incarnation = self.incarnations[number];
        let (node, partition, wishes) = self.open(number, Arc::clone(&self.volumes[number]));
        self.nodes[number] = node;
        self.partitions[number] = Some(partition);
        self.wishes[number] = wishes;
        let linked: Vec<usize> = (0..self.nodes.len()).filter(|other| self.is_linked(number, *other)).collect();
        for other in linked {
            self.link(number, other, true).await;
        }
    }

    fn is_linked(&self, one: usize, other: usize) -> bool {
        one != other && !self.network.closed.lock().contains(&(broker(one), broker(other)))
    }
}
