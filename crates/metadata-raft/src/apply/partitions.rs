//! Who leads a partition, who keeps it and who is in sync: single decisions, and what the coming and going of brokers does
//! to all of them.

use std::sync::Arc;

use liftbridge_types::{BrokerId, LeaderEpoch, PartitionEpoch, PartitionId};

use crate::cluster_event::{ClusterEvent, ReassignedPartitions};
use crate::cluster_state::ClusterState;
use crate::command::{ChangeInSync, ElectUnclean, MoveLeader, PartitionName};
use crate::failover::{Seats, led_uncleanly, unclean_leader};
use crate::log_index::LogIndex;
use crate::rejection::Rejection;
use crate::state::{Brokers, Partition, Stream};

impl ClusterState {
    /// Sets the in-sync replicas, if the proposer knew the present ones and every new one can be believed.
    pub(crate) fn change_in_sync(
        &mut self,
        index: LogIndex,
        command: ChangeInSync,
    ) -> Result<Vec<ClusterEvent>, Rejection> {
        let ChangeInSync { partition: name, leader_epoch, epoch, in_sync, damaged } = command;
        let partition = self.partition(&name)?;
        let leader = partition.leader.as_ref().ok_or(Rejection::Stale)?;
        if (partition.leader_epoch, partition.epoch) != (leader_epoch, epoch) {
            return Err(Rejection::Stale);
        }
        for life in &in_sync {
            let believed = self.brokers.in_life(life).is_some_and(|broker| !broker.fenced);
            if !believed || !partition.replicas.contains(&life.id) {
                return Err(Rejection::NotEligible { id: life.id.clone() });
            }
        }
        let is_in_sync = |id: &BrokerId| in_sync.iter().any(|life| life.id == *id);
        if !is_in_sync(leader) || damaged.contains(leader) {
            return Err(Rejection::NotEligible { id: leader.clone() });
        }
        let seats = Seats::of(partition).with_in_sync(is_in_sync);
        self.seat_one(index, &name, damaged.iter().fold(seats, Seats::lose))
    }

    /// Gives the leadership to another in-sync replica.
    pub(crate) fn move_leader(&mut self, index: LogIndex, command: MoveLeader) -> Result<Vec<ClusterEvent>, Rejection> {
        let MoveLeader { partition: name, epoch, to, leaves } = command;
        let partition = self.partition(&name)?;
        if partition.epoch != epoch || partition.leader.as_ref() == Some(&to) {
            return Err(Rejection::Stale);
        }
        let has_all = partition.isr.contains(&to) || partition.eligible.contains(&to);
        if !has_all || !self.brokers.is_serving(&to) {
            return Err(Rejection::NotEligible { id: to });
        }
        let leaver = partition.leader.as_ref().filter(|_| leaves);
        let stays = |id: &BrokerId| partition.isr.contains(id) && Some(id) != leaver;
        let seats = Seats::of(partition).with_in_sync(|id| stays(id) || *id == to);
        self.seat_one(index, &name, Seats { leader: Some(to), ..seats })
    }

    /// Gives the leadership to a replica that may lack what is committed, because nobody is left who has it.
    pub(crate) fn elect_unclean(
        &mut self,
        index: LogIndex,
        command: &ElectUnclean,
    ) -> Result<Vec<ClusterEvent>, Rejection> {
        let partition = self.partition(&command.partition)?;
        if partition.leader.is_some() {
            return Err(Rejection::HasLeader);
        }
        let leader = unclean_leader(&partition.replicas, command.to.as_ref(), &self.brokers);
        let leader = leader.ok_or(Rejection::NoCandidate)?;
        let seats = led_uncleanly(Seats::of(partition), leader);
        self.seat_one(index, &command.partition, seats)
    }

    /// Gives partitions the places `seats` decides on, looking at each with the loads that the ones before it left.
    pub(crate) fn seat_all(
        &mut self,
        index: LogIndex,
        mut seats: impl FnMut(&Stream, PartitionId, &Partition, &Brokers) -> Seats,
    ) -> Vec<ClusterEvent> {
        let brokers = &mut self.brokers;
        let mut events = Vec::new();
        for stream in self.streams.iter_mut() {
            let mut changed = Vec::new();
            for (at, number) in (0..stream.partitions.len()).zip((0..).filter_map(PartitionId::new)) {
                let Some(partition) = stream.partitions.get(at) else { break };
                let wanted = seats(stream, number, partition, brokers).settled(&stream.overrides, brokers);
                if wanted == Seats::of(partition) {
                    continue;
                }
                // Only a stream that changes is copied, and only if somebody else holds on to it.
                let Some(partition) = Arc::make_mut(stream).partitions.get_mut(at) else { break };
                seat(index, partition, wanted, brokers);
                changed.push(at);
            }
            events.extend(reassigned(stream, &changed));
        }
        events
    }

    fn partition(&self, name: &PartitionName) -> Result<&Partition, Rejection> {
        let stream = self.streams.get(name.stream.as_str()).filter(|stream| stream.id == name.stream_id);
        stream.ok_or(Rejection::StreamNotFound)?.partition(name.partition).ok_or(Rejection::PartitionNotFound)
    }

    fn seat_one(
        &mut self,
        index: LogIndex,
        name: &PartitionName,
        seats: Seats,
    ) -> Result<Vec<ClusterEvent>, Rejection> {
        let stream = self.streams.get_mut(&name.stream).ok_or(Rejection::StreamNotFound)?;
        let seats = seats.settled(&stream.overrides, &self.brokers);
        let partition = stream.partition_mut(name.partition).ok_or(Rejection::PartitionNotFound)?;
        seat(index, partition, seats, &mut self.brokers);
        let partitions = vec![(name.partition, partition.clone())];
        let reassigned = ReassignedPartitions { stream: stream.id, name: stream.name.clone(), partitions };
        Ok(vec![ClusterEvent::PartitionsReassigned(reassigned)])
    }
}

/// Every change of places is a new version; every change of leader, to nobody as well, a new leadership.
fn seat(index: LogIndex, partition: &mut Partition, seats: Seats, brokers: &mut Brokers) {
    if !partition.paused {
        brokers.count_closed(partition);
    }
    if partition.leader != seats.leader {
        partition.leader_epoch = LeaderEpoch::new(index.get());
    }
    partition.epoch = PartitionEpoch::new(index.get());
    let Seats { leader, replicas, isr, eligible } = seats;
    (partition.leader, partition.replicas, partition.isr, partition.eligible) = (leader, replicas, isr, eligible);
    if !partition.paused {
        brokers.count_open(partition);
    }
}

fn reassigned(stream: &Stream, changed: &[usize]) -> Option<ClusterEvent> {
    if changed.is_empty() {
        return None;
    }
    let numbered = stream.numbered_partitions().enumerate();
    let partitions = numbered.filter(|(at, _)| changed.binary_search(at).is_ok());
    Some(ClusterEvent::PartitionsReassigned(ReassignedPartitions {
        stream: stream.id,
        name: stream.name.clone(),
        partitions: partitions.map(|(_, (id, partition))| (id, partition.clone())).collect(),
    }))
}

#[cfg(test)]
mod tests;
