//! What is told about a cluster and its partitions, off the wire. Owns the meaning of empty names and missing numbers.

use std::time::Duration;

use liftbridge_proto::v1 as wire;
use liftbridge_types::{Offset, PartitionId};

use crate::admin::{
    ClusterStatus, ExplainedLog, ExplainedPartition, ExplainedReplica, Member, MemberState, MemberVote,
    PartitionCounts, ReplicaStorage, StorageTroubles, TroubledPartition, TroubledReplica,
};

pub(crate) fn cluster_status(response: wire::ClusterStatusResponse) -> ClusterStatus {
    ClusterStatus {
        cluster_id: response.cluster_id,
        feature_level: response.feature_level,
        answered_by: response.answered_by,
        controller: named(response.controller),
        cut_off: response.cut_off,
        members: response.members.into_iter().map(member).collect(),
        counts: counts(response.counts.unwrap_or_default()),
        troubled: response.troubled.into_iter().filter_map(troubled).collect(),
        storage: storage_troubles(response.storage.unwrap_or_default()),
    }
}

fn storage_troubles(troubles: wire::StorageTroubles) -> StorageTroubles {
    StorageTroubles {
        metadata_failure: troubles.metadata_failure,
        offline: troubles.offline,
        damaged: troubles.damaged,
        replicas: troubles.replicas.into_iter().filter_map(troubled_replica).collect(),
    }
}

/// `None` for a negative partition number.
fn troubled_replica(replica: wire::TroubledReplica) -> Option<TroubledReplica> {
    Some(TroubledReplica {
        stream: replica.stream,
        partition: PartitionId::from_wire(replica.partition)?,
        storage: replica_storage(replica.storage.unwrap_or_default()),
    })
}

fn replica_storage(storage: wire::ReplicaStorage) -> ReplicaStorage {
    let range = |range: wire::OffsetRange| Offset::new(range.start)..Offset::new(range.end);
    ReplicaStorage {
        offline: storage.offline,
        damaged: storage.damaged.into_iter().map(range).collect(),
        damaged_range_count: storage.damaged_ranges,
    }
}

fn member(member: wire::ClusterMember) -> Member {
    let (state, vote) = (member_state(member.state()), member_vote(member.vote()));
    Member {
        id: member.id,
        state,
        vote,
        host: member.host,
        port: u16::try_from(member.port).unwrap_or_default(),
        peer_address: named(member.peer_address),
        rack: named(member.rack),
        incarnation: member.incarnation,
        feature_level_max: member.feature_level_max,
        partitions_hosted: member.partitions_hosted,
        partitions_led: member.partitions_led,
    }
}

fn member_state(state: wire::MemberState) -> MemberState {
    match state {
        wire::MemberState::Live => MemberState::Live,
        wire::MemberState::Fenced => MemberState::Fenced,
        wire::MemberState::Joining => MemberState::Joining,
        wire::MemberState::Leaving => MemberState::Leaving,
        wire::MemberState::Unspecified => MemberState::Unknown,
    }
}

fn member_vote(vote: wire::MemberVote) -> MemberVote {
    match vote {
        wire::MemberVote::Voter => MemberVote::Voter,
        wire::MemberVote::Learner => MemberVote::Learner,
        wire::MemberVote::Unspecified => MemberVote::Unknown,
    }
}

fn counts(counts: wire::PartitionCounts) -> PartitionCounts {
    PartitionCounts {
        streams: counts.streams,
        partitions: counts.partitions,
        paused: counts.paused,
        readonly: counts.readonly,
        under_replicated: counts.under_replicated,
        leaderless: counts.leaderless,
        at_minimum: counts.at_minimum,
    }
}

/// `None` for a negative partition number.
fn troubled(partition: wire::TroubledPartition) -> Option<TroubledPartition> {
    Some(TroubledPartition {
        stream: partition.stream,
        partition: PartitionId::from_wire(partition.partition)?,
        leader: named(partition.leader),
        replicas: partition.replicas,
        in_sync: partition.in_sync,
        in_sync_min: partition.in_sync_min,
        leaderless: partition.leaderless,
        at_minimum: partition.at_minimum,
        under_replicated: partition.under_replicated,
    })
}

/// `None` for a negative partition number.
pub(crate) fn explained_partition(response: wire::ExplainPartitionResponse) -> Option<ExplainedPartition> {
    Some(ExplainedPartition {
        stream: response.stream,
        partition: PartitionId::from_wire(response.partition)?,
        answered_by: response.answered_by,
        leader: named(response.leader),
        leader_epoch: response.leader_epoch,
        partition_epoch: response.partition_epoch,
        paused: response.paused,
        readonly: response.readonly,
        in_sync_min: response.in_sync_min,
        replicas: response.replicas.into_iter().map(explained_replica).collect(),
        log: response.log.map(|log| ExplainedLog {
            log_start: Offset::new(log.log_start),
            high_watermark: Offset::new(log.high_watermark),
            log_end: Offset::new(log.log_end),
        }),
        waits_for: response.waits_for,
        storage: replica_storage(response.storage.unwrap_or_default()),
        leader_failure: None,
    })
}

fn explained_replica(replica: wire::ExplainedReplica) -> ExplainedReplica {
    ExplainedReplica {
        id: replica.id,
        in_sync: replica.in_sync,
        proposed: replica.proposed,
        eligible: replica.eligible,
        fenced: replica.fenced,
        durable_end: replica.durable_end.map(Offset::new),
        lag: replica.lag_ms.map(Duration::from_millis),
        silent_for: replica.silent_ms.map(Duration::from_millis),
        linked: replica.linked,
        damaged: replica.damaged,
        full: replica.full,
    }
}

fn named(name: String) -> Option<String> {
    Some(name).filter(|name| !name.is_empty())
}
