//! The whole agreed state as bytes: what a snapshot file holds.
//!
//! Deterministic: equal states have equal bytes. Brokers come before the partitions that name them by position, so that ten
//! thousand partitions do not repeat their names.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;

use liftbridge_proto::v1;
use liftbridge_types::{BrokerId, BrokerIncarnation, LeaderEpoch, PartitionEpoch, StreamId, Subject, Timestamp};
use prost::Message;

use super::command::{decode_replicas, decode_timeout, encode_replicas, encode_timeout, stream_name};
use super::{DecodeError, broker_id, check_version, directory_id, overrides, port, raft_id};
use crate::cluster_state::{ClusterState, FEATURE_LEVEL};
use crate::command::PARTITIONS_PER_STREAM_MAX;
use crate::digest::Digest;
use crate::log_index::LogIndex;
use crate::node_id::RaftId;
use crate::placement::Load;
use crate::state::{Broker, Brokers, ChangeTimes, Node, Nodes, Partition, Stream, Streams};

/// The version of snapshots written here, and the newest one understood.
const VERSION: u32 = 1;

/// A state and where in the log it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotContents {
    /// The last entry it contains.
    pub(crate) index: LogIndex,
    /// That entry's term.
    pub(crate) term: u64,
    /// Who votes, by raft's numbers.
    pub(crate) voters: Vec<u64>,
    /// Who only listens.
    pub(crate) learners: Vec<u64>,
    /// The state after that entry.
    pub(crate) state: ClusterState,
}

/// The snapshot as bytes, without a checksum.
pub(crate) fn encode_snapshot(
    index: LogIndex,
    term: u64,
    voters: &[u64],
    learners: &[u64],
    state: &ClusterState,
) -> Vec<u8> {
    let positions: BTreeMap<&BrokerId, u32> = state.brokers().iter().map(|(id, _)| id).zip(0..).collect();
    let brokers = state.brokers().iter().map(|(id, broker)| v1::BrokerState {
        id: id.as_str().to_owned(),
        host: broker.host.clone(),
        port: broker.port.into(),
        incarnation: broker.incarnation.get(),
        fenced: broker.fenced,
        rack: broker.rack.clone(),
        feature_level: broker.feature_level,
        raft_id: broker.raft_id.map_or(0, RaftId::get),
        in_sync_min: broker.in_sync_min.map_or(0, NonZero::get),
        session_timeout_ms: encode_timeout(broker.session_timeout),
    });
    let message = v1::MetadataSnapshot {
        version: VERSION,
        index: index.get(),
        term,
        voters: voters.to_vec(),
        learners: learners.to_vec(),
        state: Some(v1::MetadataState {
            cluster_id: state.cluster_id().to_owned(),
            feature_level: state.feature_level(),
            brokers: brokers.collect(),
            streams: state.streams().iter().map(|stream| encode_stream(stream, &positions)).collect(),
            nodes: state.nodes().iter().map(encode_node).collect(),
            last_raft_id: state.nodes().last_id().get(),
            digest: state.digest.map(Digest::get),
        }),
    };
    message.encode_to_vec()
}

/// The snapshot these bytes hold.
pub(crate) fn decode_snapshot(bytes: &[u8]) -> Result<SnapshotContents, DecodeError> {
    let message = v1::MetadataSnapshot::decode(bytes)?;
    check_version("MetadataSnapshot", message.version, VERSION)?;
    let state = message.state.ok_or(DecodeError::Missing { field: "state" })?;
    check_version("feature level", state.feature_level, FEATURE_LEVEL)?;
    let (brokers, ids) = decode_brokers(state.brokers)?;
    let nodes = decode_nodes(state.nodes, state.last_raft_id)?;
    let mut streams = Streams::default();
    let mut last_name = None;
    for wire in state.streams {
        let stream = decode_stream(wire, &ids)?;
        if last_name.as_ref().is_some_and(|last| *last >= stream.name) {
            return Err(DecodeError::OutOfOrder { field: "streams" });
        }
        last_name = Some(stream.name.clone());
        streams.insert(Arc::new(stream));
    }
    Ok(SnapshotContents {
        index: LogIndex::new(message.index),
        term: message.term,
        voters: message.voters,
        learners: message.learners,
        state: ClusterState::restored(
            state.cluster_id,
            state.digest.map(Digest::new),
            state.feature_level,
            nodes,
            brokers,
            streams,
        ),
    })
}

fn decode_brokers(wire: Vec<v1::BrokerState>) -> Result<(Brokers, Vec<BrokerId>), DecodeError> {
    let mut brokers = Brokers::default();
    let mut ids: Vec<BrokerId> = Vec::new();
    for broker in wire {
        let id = broker_id(&broker.id)?;
        if ids.last().is_some_and(|last| *last >= id) {
            return Err(DecodeError::OutOfOrder { field: "brokers" });
        }
        let broker = Broker {
            host: broker.host,
            port: port(broker.port)?,
            incarnation: BrokerIncarnation::new(broker.incarnation),
            fenced: broker.fenced,
            rack: broker.rack,
            feature_level: broker.feature_level.max(1),
            raft_id: RaftId::new(broker.raft_id),
            in_sync_min: NonZero::new(broker.in_sync_min),
            session_timeout: decode_timeout(broker.session_timeout_ms),
            load: Load::default(),
        };
        brokers.insert(id.clone(), broker);
        ids.push(id);
    }
    Ok((brokers, ids))
}

fn encode_node((id, node): (RaftId, &Node)) -> v1::NodeState {
    v1::NodeState {
        raft_id: id.get(),
        broker: node.broker.as_str().to_owned(),
        directory: node.directory.as_str().to_owned(),
        peer_address: node.peer_address.clone(),
        voter: node.voter,
        leaving: node.leaving,
    }
}

fn decode_nodes(wire: Vec<v1::NodeState>, last_id: u64) -> Result<Nodes, DecodeError> {
    let mut nodes = Nodes::default();
    for node in wire {
        let id = raft_id(node.raft_id)?;
        if nodes.get(id).is_some() {
            return Err(DecodeError::OutOfOrder { field: "nodes" });
        }
        let (broker, directory) = (broker_id(&node.broker)?, directory_id(&node.directory)?);
        let v1::NodeState { peer_address, voter, leaving, .. } = node;
        nodes.insert(id, Node { broker, directory, peer_address, voter, leaving });
    }
    if let Some(last) = RaftId::new(last_id) {
        nodes.note_given_out(last);
    }
    Ok(nodes)
}

fn encode_stream(stream: &Stream, positions: &BTreeMap<&BrokerId, u32>) -> v1::StreamState {
    let partition = |partition: &Partition| v1::PartitionState {
        leader: partition.leader.as_ref().and_then(|id| positions.get(id).copied()),
        replicas: partition.replicas.iter().filter_map(|id| positions.get(id).copied()).collect(),
        isr: partition.isr.iter().filter_map(|id| positions.get(id).copied()).collect(),
        leader_epoch: partition.leader_epoch.get(),
        epoch: partition.epoch.get(),
        paused: partition.paused,
        readonly: partition.readonly,
        pause_changes: partition.pause_changes.map(encode_times),
        readonly_changes: partition.readonly_changes.map(encode_times),
        eligible: partition.eligible.iter().filter_map(|id| positions.get(id).copied()).collect(),
    };
    v1::StreamState {
        id: stream.id.get(),
        name: stream.name.as_str().to_owned(),
        subject: stream.subject.as_str().to_owned(),
        group: stream.group.clone(),
        replicas: encode_replicas(stream.replicas),
        overrides: Some(overrides::encode(&stream.overrides)),
        created_at: stream.created_at.as_nanos(),
        resume_all: stream.resume_all,
        partitions: stream.partitions.iter().map(partition).collect(),
        replica_count: stream.replica_count,
    }
}

fn decode_stream(wire: v1::StreamState, brokers: &[BrokerId]) -> Result<Stream, DecodeError> {
    let count = u32::try_from(wire.partitions.len()).unwrap_or(u32::MAX);
    if count > PARTITIONS_PER_STREAM_MAX {
        return Err(DecodeError::OutOfRange { field: "partitions", value: count.into() });
    }
    let mut partitions: Vec<Partition> = Vec::with_capacity(wire.partitions.len());
    for partition in wire.partitions {
        let partition = decode_partition(partition, brokers, partitions.last())?;
        partitions.push(partition);
    }
    let replica_count = match wire.replica_count {
        0 => partitions.first().map_or(0, |first| u32::try_from(first.replicas.len()).unwrap_or(u32::MAX)),
        count => count,
    };
    Ok(Stream {
        id: StreamId::new(wire.id),
        name: stream_name(&wire.name)?,
        subject: Subject::new(&wire.subject)?,
        group: wire.group,
        replicas: decode_replicas(wire.replicas),
        replica_count,
        overrides: overrides::decode(wire.overrides.unwrap_or_default())?,
        created_at: Timestamp::from_nanos(wire.created_at),
        resume_all: wire.resume_all,
        partitions,
    })
}

fn decode_partition(
    wire: v1::PartitionState,
    brokers: &[BrokerId],
    before: Option<&Partition>,
) -> Result<Partition, DecodeError> {
    let replicas = shared(named(&wire.replicas, brokers)?, before.map(|partition| &partition.replicas));
    Ok(Partition {
        leader: wire.leader.map(|position| broker_at(position, brokers)).transpose()?,
        isr: shared(named(&wire.isr, brokers)?, Some(&replicas)),
        replicas,
        leader_epoch: LeaderEpoch::new(wire.leader_epoch),
        epoch: PartitionEpoch::new(wire.epoch),
        paused: wire.paused,
        readonly: wire.readonly,
        pause_changes: wire.pause_changes.map(decode_times),
        readonly_changes: wire.readonly_changes.map(decode_times),
        eligible: shared(named(&wire.eligible, brokers)?, before.map(|partition| &partition.eligible)),
    })
}

/// Equal lists of brokers are kept once.
fn shared(brokers: Vec<BrokerId>, known: Option<&Arc<[BrokerId]>>) -> Arc<[BrokerId]> {
    match known {
        Some(known) if **known == *brokers => known.clone(),
        _ => brokers.into(),
    }
}

fn named(positions: &[u32], brokers: &[BrokerId]) -> Result<Vec<BrokerId>, DecodeError> {
    positions.iter().map(|position| broker_at(*position, brokers)).collect()
}

fn broker_at(position: u32, brokers: &[BrokerId]) -> Result<BrokerId, DecodeError> {
    let broker = usize::try_from(position).ok().and_then(|position| brokers.get(position));
    broker.cloned().ok_or(DecodeError::OutOfRange { field: "broker position", value: position.into() })
}

fn encode_times(times: ChangeTimes) -> v1::EventTimesState {
    v1::EventTimesState { first: times.first.as_nanos(), latest: times.latest.as_nanos() }
}

fn decode_times(wire: v1::EventTimesState) -> ChangeTimes {
    ChangeTimes { first: Timestamp::from_nanos(wire.first), latest: Timestamp::from_nanos(wire.latest) }
}

#[cfg(test)]
mod tests;
