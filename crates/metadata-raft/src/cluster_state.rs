//! What the cluster has agreed on, as a pure state machine. Owns the meaning of every command; never orders them, stores
//! them or carries them out.
//!
//! Invariant: the state after a command depends on the state before it, the command and its index, and nothing else: no
//! clock, randomness or unordered iteration. Each server applies the same log and comes to the same state.

use std::sync::Arc;

use liftbridge_types::{BrokerIncarnation, LeaderEpoch, PartitionEpoch, PartitionId, StreamId, StreamName, Timestamp};

use crate::cluster_event::{ChangedPartitions, ClusterEvent, DeletedStream};
use crate::command::{
    Command, CreateStream, DeleteStream, PARTITIONS_PER_STREAM_MAX, PauseStream, RegisterBroker, ReplicaCount,
    ResumeStream, SetReadonly,
};
use crate::log_index::LogIndex;
use crate::placement::{Placement, place};
use crate::rejection::Rejection;
use crate::state::{Brokers, ChangeTimes, Partition, Stream, Streams};

/// The newest feature level this software understands. A state at a higher one was written by a newer version.
pub const FEATURE_LEVEL: u32 = 1;

/// Everything agreed on up to one index of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterState {
    cluster_id: String,
    feature_level: u32,
    brokers: Brokers,
    streams: Streams,
}

impl ClusterState {
    /// The state of a cluster that was just founded.
    pub fn founded(cluster_id: String) -> Self {
        Self { cluster_id, feature_level: FEATURE_LEVEL, brokers: Brokers::default(), streams: Streams::default() }
    }

    /// A state put together again from its parts; the brokers' loads are counted anew.
    pub(crate) fn restored(cluster_id: String, feature_level: u32, mut brokers: Brokers, streams: Streams) -> Self {
        for partition in streams.iter().flat_map(|stream| &stream.partitions).filter(|partition| !partition.paused) {
            brokers.count_open(partition);
        }
        Self { cluster_id, feature_level, brokers, streams }
    }

    /// Which cluster this is.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The commands the cluster has agreed to use: a later version raises it once every server understands more.
    pub fn feature_level(&self) -> u32 {
        self.feature_level
    }

    /// The brokers.
    pub fn brokers(&self) -> &Brokers {
        &self.brokers
    }

    /// The streams.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Applies the command that stands at `index`.
    ///
    /// # Errors
    /// When what it presupposes is not so; then nothing has changed.
    pub fn apply(&mut self, index: LogIndex, command: Command) -> Result<Vec<ClusterEvent>, Rejection> {
        match command {
            Command::RegisterBroker(command) => Ok(self.register_broker(index, command)),
            Command::CreateStream(command) => self.create_stream(index, command),
            Command::DeleteStream(command) => self.delete_stream(&command),
            Command::PauseStream(command) => self.pause_stream(command),
            Command::ResumeStream(command) => self.resume_stream(command),
            Command::SetReadonly(command) => self.set_readonly(command),
        }
    }

    fn register_broker(&mut self, index: LogIndex, command: RegisterBroker) -> Vec<ClusterEvent> {
        let RegisterBroker { id, host, port } = command;
        let incarnation = BrokerIncarnation::new(index.get());
        self.brokers.register(id.clone(), host, port, incarnation);
        vec![ClusterEvent::BrokerRegistered { id, incarnation }]
    }

    fn create_stream(&mut self, index: LogIndex, command: CreateStream) -> Result<Vec<ClusterEvent>, Rejection> {
        let replica_count = self.check_create(&command)?;
        let candidates = self.brokers.iter().map(|(id, broker)| (id.clone(), broker.load)).collect();
        let placements = place(candidates, replica_count, command.partitions);
        let partitions: Vec<Partition> = placements.into_iter().map(|place| new_partition(index, place)).collect();
        for partition in &partitions {
            self.brokers.count_open(partition);
        }
        let stream = Arc::new(Stream {
            id: StreamId::new(index.get()),
            name: command.name,
            subject: command.subject,
            group: command.group,
            replicas: command.replicas,
            overrides: command.overrides,
            created_at: command.at,
            resume_all: false,
            partitions,
        });
        self.streams.insert(stream.clone());
        Ok(vec![ClusterEvent::StreamCreated(stream)])
    }

    /// The order is that of the API: a taken name shows only when everything else is right (behaviour spec 2.1).
    fn check_create(&self, command: &CreateStream) -> Result<usize, Rejection> {
        let brokers = self.brokers.count();
        let factor = match command.replicas {
            ReplicaCount::EveryBroker => brokers,
            ReplicaCount::Exactly(count) => count,
        };
        if command.partitions == 0 {
            return Err(Rejection::NoPartitions);
        }
        if command.partitions > PARTITIONS_PER_STREAM_MAX {
            let (partitions, limit) = (command.partitions, PARTITIONS_PER_STREAM_MAX);
            return Err(Rejection::TooManyPartitions { partitions, limit });
        }
        if factor == 0 {
            return Err(Rejection::NoReplicas { factor });
        }
        if factor > brokers {
            return Err(Rejection::TooManyReplicas { factor, brokers });
        }
        if self.streams.get(command.name.as_str()).is_some() {
            return Err(Rejection::StreamExists);
        }
        Ok(usize::try_from(factor).unwrap_or(usize::MAX))
    }

    fn delete_stream(&mut self, command: &DeleteStream) -> Result<Vec<ClusterEvent>, Rejection> {
        let stream = self.streams.remove(&command.name).ok_or(Rejection::StreamNotFound)?;
        for partition in stream.partitions.iter().filter(|partition| !partition.paused) {
            self.brokers.count_closed(partition);
        }
        Ok(vec![ClusterEvent::StreamDeleted(DeletedStream { id: stream.id, name: stream.name.clone() })])
    }

    fn pause_stream(&mut self, command: PauseStream) -> Result<Vec<ClusterEvent>, Rejection> {
        let PauseStream { name, partitions, resume_all, at } = command;
        let meant = self.named_or_all(&name, partitions)?;
        let stream = self.streams.get_mut(&name).ok_or(Rejection::StreamNotFound)?;
        stream.resume_all = resume_all;
        let brokers = &mut self.brokers;
        let changed = change_partitions(stream, &meant, |partition| {
            partition.pause_changes = ChangeTimes::noting(partition.pause_changes, at);
            if partition.paused {
                return false;
            }
            brokers.count_closed(partition);
            partition.paused = true;
            true
        });
        Ok(changed.map(ClusterEvent::PartitionsPaused).into_iter().collect())
    }

    fn resume_stream(&mut self, command: ResumeStream) -> Result<Vec<ClusterEvent>, Rejection> {
        let ResumeStream { name, partitions, at } = command;
        let meant = self.existing(&name, partitions)?;
        let stream = self.streams.get_mut(&name).ok_or(Rejection::StreamNotFound)?;
        let any_paused = meant.iter().any(|id| stream.partition(*id).is_some_and(|partition| partition.paused));
        let meant = if any_paused && std::mem::take(&mut stream.resume_all) { every_partition(stream) } else { meant };
        let brokers = &mut self.brokers;
        let changed = change_partitions(stream, &meant, |partition| open_again(partition, brokers, at));
        Ok(changed.map(ClusterEvent::PartitionsResumed).into_iter().collect())
    }

    fn set_readonly(&mut self, command: SetReadonly) -> Result<Vec<ClusterEvent>, Rejection> {
        let SetReadonly { name, partitions, readonly, at } = command;
        let meant = self.named_or_all(&name, partitions)?;
        let stream = self.streams.get_mut(&name).ok_or(Rejection::StreamNotFound)?;
        let changed = change_partitions(stream, &meant, |partition| {
            partition.readonly_changes = ChangeTimes::noting(partition.readonly_changes, at);
            let changes = partition.readonly != readonly;
            partition.readonly = readonly;
            changes
        });
        Ok(changed.map(|partitions| ClusterEvent::ReadonlyChanged { partitions, readonly }).into_iter().collect())
    }

    /// The partitions a command means, where naming none means all.
    fn named_or_all(&self, name: &StreamName, partitions: Vec<PartitionId>) -> Result<Vec<PartitionId>, Rejection> {
        if !partitions.is_empty() {
            return self.existing(name, partitions);
        }
        self.streams.get(name.as_str()).map(|stream| every_partition(stream)).ok_or(Rejection::NotFoundForAll)
    }

    /// These partitions, ascending and each once, if all of them exist.
    fn existing(&self, name: &StreamName, mut partitions: Vec<PartitionId>) -> Result<Vec<PartitionId>, Rejection> {
        let stream = self.streams.get(name.as_str()).ok_or(Rejection::StreamNotFound)?;
        partitions.sort_unstable();
        partitions.dedup();
        match partitions.iter().all(|id| stream.partition(*id).is_some()) {
            true => Ok(partitions),
            false => Err(Rejection::PartitionNotFound),
        }
    }
}

fn new_partition(index: LogIndex, place: Placement) -> Partition {
    Partition {
        leader: Some(place.leader),
        isr: place.replicas.clone(),
        replicas: place.replicas,
        leader_epoch: LeaderEpoch::new(index.get()),
        epoch: PartitionEpoch::new(index.get()),
        paused: false,
        readonly: false,
        pause_changes: None,
        readonly_changes: None,
    }
}

fn open_again(partition: &mut Partition, brokers: &mut Brokers, at: Timestamp) -> bool {
    if !partition.paused {
        return false;
    }
    partition.paused = false;
    partition.pause_changes = ChangeTimes::noting(partition.pause_changes, at);
    brokers.count_open(partition);
    true
}

fn every_partition(stream: &Stream) -> Vec<PartitionId> {
    stream.numbered_partitions().map(|(id, _)| id).collect()
}

/// Changes partitions and names those for which `change` says that it matters to who carries it out.
fn change_partitions(
    stream: &mut Stream,
    meant: &[PartitionId],
    mut change: impl FnMut(&mut Partition) -> bool,
) -> Option<ChangedPartitions> {
    let mut changed = Vec::new();
    for id in meant {
        if stream.partition_mut(*id).is_some_and(&mut change) {
            changed.push(*id);
        }
    }
    (!changed.is_empty()).then(|| ChangedPartitions {
        stream: stream.id,
        name: stream.name.clone(),
        partitions: changed,
    })
}

#[cfg(test)]
mod tests;
