//! What is told about the cluster and its partitions, on its way out. Owns the bounds of a page and how missing facts are
//! written.

use std::ops::Range;
use std::time::Duration;

use liftbridge_broker::{
    ClusterDescription, ExplainedLog, ExplainedReplica, MemberDescription, MemberState, PartitionCounts,
    PartitionExplanation, ReplicaStorage, StorageTroubles, TroubledPage, TroubledPartition, TroubledReplica,
};
use liftbridge_proto::v1;
use liftbridge_types::{BrokerId, Offset};

/// How many partitions are listed for whoever does not say.
const TROUBLED_DEFAULT: usize = 100;
/// How many are listed at most.
const TROUBLED_MAX: usize = 1000;

/// Which of the partitions in trouble a request wants.
pub(crate) fn troubled_page(wire: &v1::ClusterStatusRequest) -> TroubledPage {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let count_max = match number(wire.troubled_max) {
        0 => TROUBLED_DEFAULT,
        wanted => wanted.min(TROUBLED_MAX),
    };
    TroubledPage { skipped: number(wire.troubled_skipped), count_max }
}

/// The wire form of a cluster.
pub(crate) fn cluster_status(described: ClusterDescription) -> v1::ClusterStatusResponse {
    v1::ClusterStatusResponse {
        cluster_id: described.cluster_id,
        feature_level: described.feature_level,
        answered_by: name(&described.answered_by),
        controller: name_or_empty(described.controller.as_ref()),
        cut_off: described.is_cut_off,
        members: described.members.into_iter().map(member).collect(),
        counts: Some(counts(&described.counts)),
        troubled: described.troubled.iter().map(troubled).collect(),
        storage: Some(storage_troubles(described.storage)),
    }
}

fn storage_troubles(troubles: StorageTroubles) -> v1::StorageTroubles {
    v1::StorageTroubles {
        metadata_failure: troubles.metadata_failure,
        offline: count(troubles.offline_count),
        damaged: count(troubles.damaged_count),
        replicas: troubles.replicas.into_iter().map(troubled_replica).collect(),
    }
}

fn troubled_replica(replica: TroubledReplica) -> v1::TroubledReplica {
    v1::TroubledReplica {
        stream: replica.stream.as_str().to_owned(),
        partition: replica.partition.to_wire(),
        storage: Some(replica_storage(replica.storage)),
    }
}

fn replica_storage(storage: ReplicaStorage) -> v1::ReplicaStorage {
    let range = |range: &Range<Offset>| v1::OffsetRange { start: range.start.get(), end: range.end.get() };
    v1::ReplicaStorage {
        offline: storage.offline,
        damaged: storage.damaged.iter().map(range).collect(),
        damaged_ranges: count(storage.damaged_range_count),
    }
}

fn member(described: MemberDescription) -> v1::ClusterMember {
    let state = match described.state {
        MemberState::Live => v1::MemberState::Live,
        MemberState::Fenced => v1::MemberState::Fenced,
        MemberState::Joining => v1::MemberState::Joining,
        MemberState::Leaving => v1::MemberState::Leaving,
    };
    let vote = if described.is_voter { v1::MemberVote::Voter } else { v1::MemberVote::Learner };
    let unregistered = v1::ClusterMember {
        id: name(&described.id),
        state: state.into(),
        vote: vote.into(),
        peer_address: described.peer_address.unwrap_or_default(),
        ..v1::ClusterMember::default()
    };
    let Some(registration) = described.registration else { return unregistered };
    v1::ClusterMember {
        host: registration.host,
        port: registration.port.into(),
        rack: registration.rack.unwrap_or_default(),
        incarnation: registration.incarnation.get(),
        feature_level_max: registration.feature_level_max,
        partitions_hosted: registration.hosted_count,
        partitions_led: registration.led_count,
        ..unregistered
    }
}

fn counts(counts: &PartitionCounts) -> v1::PartitionCounts {
    v1::PartitionCounts {
        streams: count(counts.streams),
        partitions: count(counts.partitions),
        paused: count(counts.paused),
        readonly: count(counts.readonly),
        under_replicated: count(counts.under_replicated),
        leaderless: count(counts.leaderless),
        at_minimum: count(counts.at_minimum),
    }
}

fn troubled(partition: &TroubledPartition) -> v1::TroubledPartition {
    v1::TroubledPartition {
        stream: partition.stream.as_str().to_owned(),
        partition: partition.partition.to_wire(),
        leader: name_or_empty(partition.leader.as_ref()),
        replicas: partition.replicas.iter().map(name).collect(),
        in_sync: partition.in_sync.iter().map(name).collect(),
        in_sync_min: count(partition.in_sync_min),
        leaderless: partition.trouble.is_leaderless,
        at_minimum: partition.trouble.is_at_minimum,
        under_replicated: partition.trouble.is_under_replicated,
    }
}

/// The wire form of an explanation.
pub(crate) fn explained_partition(explained: PartitionExplanation) -> v1::ExplainPartitionResponse {
    v1::ExplainPartitionResponse {
        stream: explained.stream.as_str().to_owned(),
        partition: explained.partition.to_wire(),
        answered_by: name(&explained.answered_by),
        leader: name_or_empty(explained.leader.as_ref()),
        leader_epoch: explained.leader_epoch.get(),
        partition_epoch: explained.epoch.get(),
        paused: explained.paused,
        readonly: explained.readonly,
        in_sync_min: count(explained.in_sync_min),
        replicas: explained.replicas.iter().map(explained_replica).collect(),
        log: explained.log.map(|ExplainedLog { log_start, high_watermark, log_end }| v1::ExplainedLog {
            log_start: log_start.get(),
            high_watermark: high_watermark.get(),
            log_end: log_end.get(),
        }),
        waits_for: explained.obstacles.iter().map(ToString::to_string).collect(),
        storage: Some(replica_storage(explained.storage)),
    }
}

fn explained_replica(replica: &ExplainedReplica) -> v1::ExplainedReplica {
    let following = replica.following;
    v1::ExplainedReplica {
        id: name(&replica.id),
        in_sync: replica.is_in_sync,
        proposed: replica.is_proposed,
        eligible: replica.is_eligible,
        fenced: replica.is_fenced,
        durable_end: replica.durable_end.map(Offset::get),
        lag_ms: following.map(|follower| milliseconds(follower.behind_for)),
        silent_ms: following.and_then(|follower| follower.silent_for).map(milliseconds),
        linked: following.map(|follower| follower.is_linked),
        damaged: following.is_some_and(|follower| follower.is_damaged),
        full: following.is_some_and(|follower| follower.is_full),
    }
}

fn name(id: &BrokerId) -> String {
    id.as_str().to_owned()
}

fn name_or_empty(id: Option<&BrokerId>) -> String {
    id.map(name).unwrap_or_default()
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use liftbridge_broker::ExplainedFollower;

    use super::*;

    #[track_caller]
    fn check_page(asked: u32, expected: usize) {
        let wire = v1::ClusterStatusRequest { troubled_max: asked, troubled_skipped: 7 };
        assert_eq!(troubled_page(&wire), TroubledPage { skipped: 7, count_max: expected });
    }

    #[test]
    fn a_page_has_a_size_whatever_is_asked_for() {
        check_page(0, 100);
        check_page(5, 5);
        check_page(u32::MAX, 1000);
    }

    #[test]
    fn damage_is_told_by_ends_and_what_is_well_by_nothing() {
        let damaged = vec![Offset::new(3)..Offset::new(6)];
        let wire = replica_storage(ReplicaStorage { offline: None, damaged, damaged_range_count: 40 });
        let expected = v1::OffsetRange { start: 3, end: 6 };
        assert_eq!((wire.offline, wire.damaged, wire.damaged_ranges), (None, vec![expected], 40));
        assert_eq!(storage_troubles(StorageTroubles::default()), v1::StorageTroubles::default());
    }

    #[test]
    fn a_member_that_never_registered_has_a_state_and_a_vote_and_nothing_else() {
        let described = MemberDescription {
            id: BrokerId::new("b").unwrap(),
            state: MemberState::Joining,
            is_voter: false,
            peer_address: None,
            registration: None,
        };
        let expected = v1::ClusterMember {
            id: "b".to_owned(),
            state: v1::MemberState::Joining.into(),
            vote: v1::MemberVote::Learner.into(),
            ..v1::ClusterMember::default()
        };
        assert_eq!(member(described), expected);
    }

    #[test]
    fn what_a_leader_does_not_know_of_a_follower_is_missing_and_not_zero() {
        let following = ExplainedFollower {
            behind_for: Duration::from_millis(1500),
            silent_for: None,
            is_linked: false,
            is_damaged: false,
            is_full: true,
        };
        let replica = ExplainedReplica {
            id: BrokerId::new("b").unwrap(),
            is_in_sync: true,
            is_proposed: false,
            is_eligible: false,
            is_fenced: false,
            durable_end: None,
            following: Some(following),
        };
        let wire = explained_replica(&replica);
        assert_eq!((wire.durable_end, wire.silent_ms, wire.lag_ms, wire.linked), (None, None, Some(1500), Some(false)));
        let wire = explained_replica(&ExplainedReplica { following: None, ..replica });
        assert_eq!((wire.lag_ms, wire.linked), (None, None));
    }
}
