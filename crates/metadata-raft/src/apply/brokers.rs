//! The coming and going of brokers, and what it does to the partitions they keep.

use std::collections::BTreeSet;

use liftbridge_types::{BrokerId, BrokerIncarnation};

use crate::cluster_event::ClusterEvent;
use crate::cluster_state::{ClusterState, FEATURE_LEVEL};
use crate::command::{BrokerLife, RegisterBroker, RemoveBroker};
use crate::failover::{Seats, all_but, led_uncleanly, unclean_leader, with_serving_leader, without, without_log_of};
use crate::log_index::LogIndex;
use crate::placement::{Load, replacement};
use crate::rejection::Rejection;
use crate::state::{Broker, Brokers, Partition, Stream};

/// The feature level of software that did not say which one it understands.
const FIRST_FEATURE_LEVEL: u32 = 1;

impl ClusterState {
    /// A broker starts. Its former life ends: what that led and was in sync with is for others, until this one is heard of.
    /// The only broker there is has nobody to wait for: it goes on as if it had never been away.
    pub(crate) fn register_broker(
        &mut self,
        index: LogIndex,
        command: RegisterBroker,
    ) -> Result<Vec<ClusterEvent>, Rejection> {
        let RegisterBroker { id, host, port, member } = command;
        let moved = match &member {
            Some(member) => self.register_node(&id, member)?,
            None => None,
        };
        let incarnation = BrokerIncarnation::new(index.get());
        let alone = self.brokers.iter().all(|(other, _)| *other == id);
        let fenced = member.is_some() && !alone;
        let known = self.brokers.get(&id);
        let load = known.map_or_else(Load::default, |broker| broker.load);
        let kept_log = member.as_ref().is_none_or(|member| member.kept_log);
        let mut broker = Broker {
            host,
            port,
            incarnation,
            fenced,
            rack: None,
            feature_level: FIRST_FEATURE_LEVEL,
            in_sync_min: None,
            session_timeout: None,
            raft_id: None,
            load,
        };
        let mut lost = BTreeSet::new();
        if let Some(member) = member {
            broker.raft_id = Some(member.raft_id);
            (broker.rack, broker.feature_level) = (member.rack, member.feature_level);
            (broker.in_sync_min, broker.session_timeout) = (member.in_sync_min, member.session_timeout);
            lost = member.lost;
        }
        self.brokers.insert(id.clone(), broker);
        let mut events: Vec<ClusterEvent> = moved.into_iter().collect();
        events.push(ClusterEvent::BrokerRegistered { id: id.clone(), incarnation });
        events.extend(self.seat_all(index, |stream, number, partition, brokers| {
            if !partition.replicas.contains(&id) {
                Seats::of(partition)
            } else if !kept_log || lost.contains(&(stream.id, number)) {
                without_log_of(partition, &id, brokers)
            } else if fenced {
                without(partition, &id, brokers)
            } else {
                with_serving_leader(Seats::of(partition), brokers)
            }
        }));
        Ok(events)
    }

    /// A broker is not heard of any more: its leaderships go to others and it leaves every in-sync set that can do without.
    pub(crate) fn fence_broker(&mut self, index: LogIndex, life: BrokerLife) -> Result<Vec<ClusterEvent>, Rejection> {
        let BrokerLife { id, .. } = self.of_present_life(life)?;
        match self.brokers.get_mut(&id) {
            Some(broker) if !broker.fenced => broker.fenced = true,
            _ => return Ok(Vec::new()),
        }
        let mut events = vec![ClusterEvent::BrokerFenced(id.clone())];
        events.extend(self.seat_all(index, |_, _, partition, brokers| match partition.isr.contains(&id) {
            true => without(partition, &id, brokers),
            false => Seats::of(partition),
        }));
        Ok(events)
    }

    /// A broker is heard of: it leads what nobody else can, and keeps what has too few replicas.
    pub(crate) fn unfence_broker(&mut self, index: LogIndex, life: BrokerLife) -> Result<Vec<ClusterEvent>, Rejection> {
        let BrokerLife { id, .. } = self.of_present_life(life)?;
        match self.brokers.get_mut(&id) {
            Some(broker) if broker.fenced => broker.fenced = false,
            _ => return Ok(Vec::new()),
        }
        let mut events = vec![ClusterEvent::BrokerUnfenced(id.clone())];
        events.extend(self.seat_all(index, |stream, _, partition, brokers| {
            with_serving_leader(filled_up(stream, partition, &id), brokers)
        }));
        Ok(events)
    }

    /// A broker will never come back: other brokers keep what it kept, where there are others.
    pub(crate) fn remove_broker(
        &mut self,
        index: LogIndex,
        command: RemoveBroker,
    ) -> Result<Vec<ClusterEvent>, Rejection> {
        let RemoveBroker { id, forced } = command;
        let Some(broker) = self.brokers.get(&id) else {
            // A server that was let in and never got as far as registering its broker has to be able to go, too.
            return self.mark_leaving(&id).map(|event| vec![event]).ok_or(Rejection::BrokerNotFound);
        };
        if !broker.fenced {
            return Err(Rejection::BrokerRunning { id });
        }
        let partitions = self.streams.iter().flat_map(|stream| &stream.partitions);
        let is_only_there = |partition: &&Partition| {
            let mut have_all = partition.isr.iter().chain(partition.eligible.iter());
            have_all.next() == Some(&id) && have_all.next().is_none()
        };
        let only_there = partitions.filter(is_only_there).count();
        if only_there > 0 && !forced {
            let partitions = u32::try_from(only_there).unwrap_or(u32::MAX);
            return Err(Rejection::LastInSync { id, partitions });
        }
        let mut events = vec![ClusterEvent::BrokerRemoved(id.clone())];
        events.extend(self.seat_all(index, |_, _, partition, brokers| match partition.replicas.contains(&id) {
            true => replaced(partition, &id, brokers),
            false => Seats::of(partition),
        }));
        self.brokers.remove(&id);
        events.extend(self.mark_leaving(&id));
        Ok(events)
    }

    /// Raises the feature level, if every broker understands the new one.
    pub(crate) fn set_feature_level(&mut self, level: u32) -> Result<Vec<ClusterEvent>, Rejection> {
        let understood = self.brokers.iter().map(|(_, broker)| broker.feature_level).min().unwrap_or(FEATURE_LEVEL);
        if level <= self.feature_level {
            return Err(Rejection::Stale);
        }
        if level > understood {
            return Err(Rejection::FeatureLevel { needed: level, agreed: self.feature_level });
        }
        self.feature_level = level;
        Ok(vec![ClusterEvent::FeatureLevelRaised(level)])
    }

    fn of_present_life(&self, life: BrokerLife) -> Result<BrokerLife, Rejection> {
        match self.brokers.in_life(&life) {
            Some(_) => Ok(life),
            None => Err(Rejection::Stale),
        }
    }
}

/// The places with `id` among the replicas, if there are fewer than the stream was made with.
fn filled_up(stream: &Stream, partition: &Partition, id: &BrokerId) -> Seats {
    let mut seats = Seats::of(partition);
    let wanted = usize::try_from(stream.replica_count).unwrap_or(usize::MAX);
    if seats.replicas.len() < wanted && !seats.replicas.contains(id) {
        seats.replicas = seats.replicas.iter().chain([id]).cloned().collect();
    }
    seats
}

/// The places with another broker instead of `gone`, or one replica less. Where only `gone` had everything, what the other
/// replicas have is all there is: they are eligible from now on, and one that has nothing leads only where there is no other.
fn replaced(partition: &Partition, gone: &BrokerId, brokers: &Brokers) -> Seats {
    let instead = replacement(brokers, &partition.replicas);
    let replicas = partition.replicas.iter().filter_map(|id| if id == gone { instead.as_ref() } else { Some(id) });
    let seats = Seats {
        replicas: replicas.cloned().collect(),
        leader: partition.leader.clone().filter(|leader| leader != gone),
        ..Seats::of(partition).lose(gone)
    };
    let had_any = !partition.isr.is_empty() || !partition.eligible.is_empty();
    let has_any = !seats.isr.is_empty() || !seats.eligible.is_empty();
    if has_any || !had_any {
        return with_serving_leader(seats, brokers);
    }
    let rest = all_but(&partition.replicas, gone);
    if !rest.is_empty() {
        return with_serving_leader(Seats { eligible: rest, ..seats }, brokers);
    }
    match unclean_leader(&seats.replicas, None, brokers) {
        Some(leader) => led_uncleanly(seats, leader),
        None => seats,
    }
}

#[cfg(test)]
mod tests;
