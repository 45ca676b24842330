//! The streams of the cluster. Owns that names are unique; never what their settings mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use liftbridge_types::{PartitionId, SettingOverrides, StreamId, StreamName, Subject, Timestamp};

use crate::command::ReplicaCount;
use crate::state::Partition;

/// What is agreed about one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Which life of the name this is.
    pub id: StreamId,
    /// Its name.
    pub name: StreamName,
    /// The subject it is attached to.
    pub subject: Subject,
    /// Its load-balance group, if it is in one.
    pub group: Option<String>,
    /// How many replicas were asked for.
    pub replicas: ReplicaCount,
    /// How many that came to when the stream was made; a partition that has lost some gets others when it can.
    pub replica_count: u32,
    /// Settings that differ from the server's.
    pub overrides: SettingOverrides,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether resuming one partition resumes all that are paused.
    pub resume_all: bool,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
}

impl Stream {
    /// How many replicas each partition has when all is well; 0 = as many as there are brokers to keep one.
    pub fn replicas_wanted(&self) -> u32 {
        match self.replicas {
            ReplicaCount::EveryBroker => 0,
            ReplicaCount::Exactly(_) => self.replica_count,
        }
    }

    /// The partition with this number.
    pub fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.get(position(id))
    }

    /// Every partition with its number, ascending.
    pub fn numbered_partitions(&self) -> impl Iterator<Item = (PartitionId, &Partition)> {
        (0..).filter_map(PartitionId::new).zip(&self.partitions)
    }

    pub(crate) fn partition_mut(&mut self, id: PartitionId) -> Option<&mut Partition> {
        self.partitions.get_mut(position(id))
    }
}

fn position(id: PartitionId) -> usize {
    usize::try_from(id.get()).unwrap_or(usize::MAX)
}

/// Every stream, by name.
///
/// A stream is shared, not copied, with events and readers; a change to one that is shared copies that one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    by_name: BTreeMap<StreamName, Arc<Stream>>,
}

impl Streams {
    /// The stream with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Stream>> {
        self.by_name.get(name)
    }

    /// Every stream, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Stream>> {
        self.by_name.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Arc<Stream>> {
        self.by_name.values_mut()
    }

    pub(crate) fn get_mut(&mut self, name: &StreamName) -> Option<&mut Stream> {
        self.by_name.get_mut(name).map(Arc::make_mut)
    }

    pub(crate) fn insert(&mut self, stream: Arc<Stream>) {
        self.by_name.insert(stream.name.clone(), stream);
    }

    pub(crate) fn remove(&mut self, name: &StreamName) -> Option<Arc<Stream>> {
        self.by_name.remove(name)
    }
}
