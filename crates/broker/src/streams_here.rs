//! The streams as this node has them: which of their partitions are here and who leads the others, found by name. Owns the
//! map that every publish and subscription looks things up in; never how anything is agreed on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use liftbridge_types::{BrokerId, PartitionId, StreamId, StreamName, StreamSettings, Subject};
use parking_lot::RwLock;

use crate::forwarding::Forwarding;
use crate::partition::Partition;
use crate::requests::PartitionRoute;

/// What is agreed about a partition's replicas, as far as others than its leader need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seats {
    /// Who leads it; `None` while nobody can.
    pub(crate) leader: Option<BrokerId>,
    /// Who has everything committed.
    pub(crate) in_sync: Arc<[BrokerId]>,
}

/// One partition as this node knows it.
#[derive(Debug)]
pub(crate) struct LocalPartition {
    /// This broker.
    me: BrokerId,
    route: Arc<PartitionRoute>,
    /// The replica that this broker keeps, if it keeps one. One that it is to keep later comes later.
    replica: OnceLock<Arc<Partition>>,
    seats: RwLock<Seats>,
    /// Whether this broker leads it, as the seats say: looked at for every message.
    is_led_here: AtomicBool,
    /// What was agreed on, known before the partition itself has heard of it, so that a read-only one is not resumed first.
    readonly: AtomicBool,
    /// The same for one that is paused.
    paused: AtomicBool,
    /// Messages for it, while another broker leads it.
    forwarding: Forwarding,
}

impl LocalPartition {
    pub(crate) fn new(
        me: BrokerId,
        route: Arc<PartitionRoute>,
        seats: Seats,
        readonly: bool,
        paused: bool,
    ) -> Arc<Self> {
        let is_led_here = AtomicBool::new(seats.leader.as_ref() == Some(&me));
        let (readonly, paused) = (AtomicBool::new(readonly), AtomicBool::new(paused));
        let (replica, seats) = (OnceLock::new(), RwLock::new(seats));
        let forwarding = Forwarding::default();
        Arc::new(Self { me, route, replica, seats, is_led_here, readonly, paused, forwarding })
    }

    /// What it is called.
    pub(crate) fn route(&self) -> &Arc<PartitionRoute> {
        &self.route
    }

    /// The subject it listens on.
    pub(crate) fn subject(&self) -> &Subject {
        &self.route.partition_subject
    }

    /// The replica that is here.
    pub(crate) fn replica(&self) -> Option<&Arc<Partition>> {
        self.replica.get()
    }

    /// The replica that is here, if it leads.
    pub(crate) fn leading_replica(&self) -> Option<&Arc<Partition>> {
        self.replica().filter(|_| self.is_led_here.load(Ordering::Acquire))
    }

    /// The replica that is here, if it leads and nobody waits for that already.
    pub(crate) fn open_to_publishers(&self) -> Option<&Arc<Partition>> {
        self.leading_replica().filter(|_| self.forwarding.is_idle())
    }

    /// The replica that is here, if it has everything committed.
    pub(crate) fn in_sync_replica(&self) -> Option<&Arc<Partition>> {
        self.replica().filter(|_| self.seats.read().in_sync.contains(&self.me))
    }

    /// Messages for it, while another broker leads it.
    pub(crate) fn forwarding(&self) -> &Forwarding {
        &self.forwarding
    }

    /// Who leads it.
    pub(crate) fn leader(&self) -> Option<BrokerId> {
        self.seats.read().leader.clone()
    }

    /// This broker keeps a replica from now on. The first one stays.
    pub(crate) fn keep(&self, replica: Arc<Partition>) {
        self.replica.get_or_init(|| replica);
    }

    /// Notes who has which place from now on.
    pub(crate) fn note_seats(&self, seats: Seats) {
        let is_led_here = seats.leader.as_ref() == Some(&self.me);
        *self.seats.write() = seats;
        self.is_led_here.store(is_led_here, Ordering::Release);
    }

    /// Whether it is agreed to refuse publishes.
    pub(crate) fn is_readonly(&self) -> bool {
        self.readonly.load(Ordering::Acquire)
    }

    pub(crate) fn note_readonly(&self, readonly: bool) {
        self.readonly.store(readonly, Ordering::Release);
    }

    pub(crate) fn note_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    /// Whether it is agreed to be closed, or is being closed here.
    pub(crate) fn is_pausing(&self) -> bool {
        self.replica().map_or_else(|| self.paused.load(Ordering::Acquire), |replica| replica.is_pausing())
    }

    /// Whether a message published to its subject can be stored in it.
    pub(crate) fn takes_from_subject(&self) -> bool {
        let is_paused = match self.leading_replica() {
            Some(replica) => replica.is_paused(),
            None => self.paused.load(Ordering::Acquire),
        };
        !self.is_readonly() && !is_paused
    }
}

/// Two are equal when they are one and the same.
impl PartialEq for LocalPartition {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// One stream.
#[derive(Debug)]
pub(crate) struct LocalStream {
    /// Which life of the name this is.
    pub(crate) id: StreamId,
    /// Its name.
    pub(crate) name: StreamName,
    /// Its load-balance group, if it is in one.
    pub(crate) group: Option<String>,
    /// Whether publishers must name the offset they expect.
    pub(crate) expects_offsets: bool,
    /// What its partitions are kept by.
    pub(crate) settings: StreamSettings,
    /// By number.
    pub(crate) partitions: Box<[Arc<LocalPartition>]>,
    /// Held while partitions are being resumed, so that publishers who find one paused together resume it once.
    pub(crate) resuming: tokio::sync::Mutex<()>,
}

impl LocalStream {
    /// The partition with this number.
    pub(crate) fn partition(&self, id: PartitionId) -> Option<&Arc<LocalPartition>> {
        usize::try_from(id.get()).ok().and_then(|position| self.partitions.get(position))
    }

    /// The replicas that are here.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.iter().filter_map(|partition| partition.replica())
    }
}

/// Every stream, by name and by id. Looking one up takes a read lock for the time of a hash lookup.
#[derive(Debug, Default)]
pub(crate) struct StreamsHere {
    streams: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    by_name: HashMap<StreamName, Arc<LocalStream>>,
    by_id: HashMap<StreamId, Arc<LocalStream>>,
}

impl StreamsHere {
    /// The stream with this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<LocalStream>> {
        self.streams.read().by_name.get(name).cloned()
    }

    /// The stream with this name in this life.
    pub(crate) fn get_life(&self, name: &StreamName, id: StreamId) -> Option<Arc<LocalStream>> {
        self.get(name.as_str()).filter(|stream| stream.id == id)
    }

    /// The replica of a partition that is here.
    pub(crate) fn replica(&self, id: StreamId, partition: PartitionId) -> Option<Arc<Partition>> {
        let streams = self.streams.read();
        streams.by_id.get(&id)?.partition(partition)?.replica().cloned()
    }

    /// Every stream.
    pub(crate) fn all(&self) -> Vec<Arc<LocalStream>> {
        self.streams.read().by_name.values().cloned().collect()
    }

    pub(crate) fn insert(&self, stream: Arc<LocalStream>) {
        let mut streams = self.streams.write();
        streams.by_id.insert(stream.id, Arc::clone(&stream));
        if let Some(former) = streams.by_name.insert(stream.name.clone(), stream) {
            let is_another = streams.by_name.get(&former.name).is_some_and(|present| present.id != former.id);
            if is_another {
                streams.by_id.remove(&former.id);
            }
        }
    }

    pub(crate) fn remove(&self, name: &StreamName, id: StreamId) -> Option<Arc<LocalStream>> {
        let mut streams = self.streams.write();
        if streams.by_name.get(name.as_str())?.id != id {
            return None;
        }
        streams.by_id.remove(&id);
        streams.by_name.remove(name.as_str())
    }
}
