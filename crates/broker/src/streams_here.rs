//! The streams as this node has them: which of their partitions are here, found by name. Owns the map that every publish
//! and subscription looks things up in; never what was agreed about a stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use liftbridge_types::{PartitionId, StreamId, StreamName, Subject};
use parking_lot::RwLock;

use crate::partition::Partition;

/// One partition that is here.
#[derive(Debug)]
pub(crate) struct LocalPartition {
    pub(crate) handle: Arc<Partition>,
    /// What was agreed on, known before the partition itself has heard of it, so that a read-only one is not resumed first.
    readonly: AtomicBool,
}

impl LocalPartition {
    pub(crate) fn new(handle: Arc<Partition>, readonly: bool) -> Arc<Self> {
        Arc::new(Self { handle, readonly: AtomicBool::new(readonly) })
    }

    /// The subject it listens on.
    pub(crate) fn subject(&self) -> &Subject {
        &self.handle.route().partition_subject
    }

    /// Whether it is agreed to refuse publishes.
    pub(crate) fn is_readonly(&self) -> bool {
        self.readonly.load(Ordering::Acquire)
    }

    pub(crate) fn note_readonly(&self, readonly: bool) {
        self.readonly.store(readonly, Ordering::Release);
    }

    /// Whether a message published to its subject can be stored in it.
    pub(crate) fn takes_from_subject(&self) -> bool {
        !self.is_readonly() && !self.handle.is_paused()
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
    /// By number; `None` where another broker leads.
    pub(crate) partitions: Box<[Option<Arc<LocalPartition>>]>,
    /// Held while partitions are being resumed, so that publishers who find one paused together resume it once.
    pub(crate) resuming: tokio::sync::Mutex<()>,
}

/// Where a partition of a stream is.
#[derive(Debug)]
pub(crate) enum Whereabouts<'a> {
    /// On this node.
    Here(&'a Arc<LocalPartition>),
    /// On another one.
    Elsewhere,
    /// There is no partition of that number.
    Nowhere,
}

impl LocalStream {
    /// The partition with this number.
    pub(crate) fn partition(&self, id: PartitionId) -> Whereabouts<'_> {
        match usize::try_from(id.get()).ok().and_then(|position| self.partitions.get(position)) {
            Some(Some(partition)) => Whereabouts::Here(partition),
            Some(None) => Whereabouts::Elsewhere,
            None => Whereabouts::Nowhere,
        }
    }

    /// The partitions that are here.
    pub(crate) fn here(&self) -> impl Iterator<Item = &Arc<LocalPartition>> {
        self.partitions.iter().flatten()
    }

    /// The partition with this number, if it is here.
    pub(crate) fn here_at(&self, id: PartitionId) -> Option<&Arc<LocalPartition>> {
        match self.partition(id) {
            Whereabouts::Here(partition) => Some(partition),
            Whereabouts::Elsewhere | Whereabouts::Nowhere => None,
        }
    }
}

/// Every stream, by name. Looking one up takes a read lock for the time of a hash lookup.
#[derive(Debug, Default)]
pub(crate) struct StreamsHere {
    by_name: RwLock<HashMap<StreamName, Arc<LocalStream>>>,
}

impl StreamsHere {
    /// The stream with this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<LocalStream>> {
        self.by_name.read().get(name).cloned()
    }

    /// The stream with this name in this life.
    pub(crate) fn get_life(&self, name: &StreamName, id: StreamId) -> Option<Arc<LocalStream>> {
        self.get(name.as_str()).filter(|stream| stream.id == id)
    }

    /// Every stream.
    pub(crate) fn all(&self) -> Vec<Arc<LocalStream>> {
        self.by_name.read().values().cloned().collect()
    }

    pub(crate) fn insert(&self, stream: Arc<LocalStream>) {
        self.by_name.write().insert(stream.name.clone(), stream);
    }

    pub(crate) fn remove(&self, name: &StreamName, id: StreamId) -> Option<Arc<LocalStream>> {
        let mut by_name = self.by_name.write();
        if by_name.get(name.as_str())?.id != id {
            return None;
        }
        by_name.remove(name.as_str())
    }
}
