//! Making, deleting, pausing and resuming streams, and making them read-only.

use std::sync::Arc;

use liftbridge_types::{LeaderEpoch, PartitionEpoch, PartitionId, StreamId, StreamName, Timestamp};

use crate::cluster_event::{ChangedPartitions, ClusterEvent, DeletedStream};
use crate::cluster_state::ClusterState;
use crate::command::{
    CreateStream, DeleteStream, PARTITIONS_PER_STREAM_MAX, PauseStream, ReplicaCount, ResumeStream, SetReadonly,
};
use crate::log_index::LogIndex;
use crate::placement::{Placement, place};
use crate::rejection::Rejection;
use crate::state::{Brokers, ChangeTimes, Partition, Stream};

impl ClusterState {
    pub(crate) fn create_stream(
        &mut self,
        index: LogIndex,
        command: CreateStream,
    ) -> Result<Vec<ClusterEvent>, Rejection> {
        let replica_count = self.check_create(&command)?;
        let placements = place(&self.brokers, usize::try_from(replica_count).unwrap_or(usize::MAX), command.partitions);
        let partitions: Vec<Partition> =
            placements.into_iter().map(|place| new_partition(index, place, &self.brokers)).collect();
        for partition in &partitions {
            self.brokers.count_open(partition);
        }
        let stream = Arc::new(Stream {
            id: StreamId::new(index.get()),
            name: command.name,
            subject: command.subject,
            group: command.group,
            replicas: command.replicas,
            replica_count,
            overrides: command.overrides,
            created_at: command.at,
            resume_all: false,
            partitions,
        });
        self.streams.insert(stream.clone());
        Ok(vec![ClusterEvent::StreamCreated(stream)])
    }

    /// The order is that of the API: a taken name shows only when everything else is right (behaviour spec 2.1).
    fn check_create(&self, command: &CreateStream) -> Result<u32, Rejection> {
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
        Ok(factor)
    }

    pub(crate) fn delete_stream(&mut self, command: &DeleteStream) -> Result<Vec<ClusterEvent>, Rejection> {
        let stream = self.streams.remove(&command.name).ok_or(Rejection::StreamNotFound)?;
        for partition in stream.partitions.iter().filter(|partition| !partition.paused) {
            self.brokers.count_closed(partition);
        }
        Ok(vec![ClusterEvent::StreamDeleted(DeletedStream { id: stream.id, name: stream.name.clone() })])
    }

    pub(crate) fn pause_stream(&mut self, command: PauseStream) -> Result<Vec<ClusterEvent>, Rejection> {
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

    pub(crate) fn resume_stream(&mut self, command: ResumeStream) -> Result<Vec<ClusterEvent>, Rejection> {
        let ResumeStream { name, partitions, at } = command;
        let meant = self.existing(&name, partitions)?;
        let stream = self.streams.get_mut(&name).ok_or(Rejection::StreamNotFound)?;
        let any_paused = meant.iter().any(|id| stream.partition(*id).is_some_and(|partition| partition.paused));
        let meant = if any_paused && std::mem::take(&mut stream.resume_all) { every_partition(stream) } else { meant };
        let brokers = &mut self.brokers;
        let changed = change_partitions(stream, &meant, |partition| open_again(partition, brokers, at));
        Ok(changed.map(ClusterEvent::PartitionsResumed).into_iter().collect())
    }

    pub(crate) fn set_readonly(&mut self, command: SetReadonly) -> Result<Vec<ClusterEvent>, Rejection> {
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

/// A partition begins empty, so everybody who is heard of is in sync. Where nobody is, the first to be heard of leads.
fn new_partition(index: LogIndex, place: Placement, brokers: &Brokers) -> Partition {
    let serving = place.replicas.iter().filter(|id| brokers.is_serving(id));
    let isr: Vec<_> = serving.cloned().collect();
    Partition {
        leader: isr.first().cloned(),
        isr: match isr.len() {
            0 => place.replicas.iter().take(1).cloned().collect(),
            all if all == place.replicas.len() => place.replicas.clone(),
            _ => isr.into(),
        },
        eligible: Arc::default(),
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
