//! Why a command cannot be applied. Owns the reasons; the same one on every server.

use liftbridge_types::BrokerId;
use thiserror::Error;

/// A command that was agreed on but changes nothing, because what it presupposes is not so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// A stream needs at least one partition.
    #[error("stream has no partitions")]
    NoPartitions,
    /// More partitions than one stream may have.
    #[error("stream has {partitions} partitions, the limit is {limit}")]
    TooManyPartitions {
        /// How many were asked for.
        partitions: u32,
        /// The limit.
        limit: u32,
    },
    /// A partition needs at least one replica.
    #[error("replication factor is {factor}")]
    NoReplicas {
        /// What was asked for, or what "every broker" comes to.
        factor: u32,
    },
    /// More replicas than brokers.
    #[error("replication factor is {factor} in a cluster of {brokers}")]
    TooManyReplicas {
        /// What was asked for.
        factor: u32,
        /// How many brokers there are.
        brokers: u32,
    },
    /// The name is taken.
    #[error("stream exists")]
    StreamExists,
    /// No such stream, and all of its partitions were meant.
    #[error("stream of all these partitions does not exist")]
    NotFoundForAll,
    /// No such stream.
    #[error("stream does not exist")]
    StreamNotFound,
    /// No such partition of the stream.
    #[error("partition does not exist")]
    PartitionNotFound,
    /// What it follows is no longer so: leader, in-sync replicas or a broker's life have changed since.
    #[error("what is agreed on has changed in the meantime")]
    Stale,
    /// A broker that cannot take this place: fenced, no replica, or out of sync.
    #[error("broker `{id}` is fenced, keeps no replica or is not in sync")]
    NotEligible {
        /// Which broker.
        id: BrokerId,
    },
    /// Nobody who keeps the partition is heard of.
    #[error("no replica is there to lead")]
    NoCandidate,
    /// The partition has a leader, so nothing has to be given up to get one.
    #[error("partition has a leader")]
    HasLeader,
    /// No such broker.
    #[error("broker does not exist")]
    BrokerNotFound,
    /// The broker is there.
    #[error("broker `{id}` is running: stop it first")]
    BrokerRunning {
        /// Which broker.
        id: BrokerId,
    },
    /// The broker is the last one that has everything committed.
    #[error(
        "broker `{id}` is the last one that has everything committed of {partitions} partitions: bring it back, or remove \
         it by force and lose what only it has"
    )]
    LastInSync {
        /// Which broker.
        id: BrokerId,
        /// Of how many partitions.
        partitions: u32,
    },
    /// The data directory that speaks is not one of the cluster's.
    #[error("server `{id}` is not a member of this cluster with this data directory")]
    NotAMember {
        /// The server's id.
        id: BrokerId,
    },
    /// Some server does not understand this yet.
    #[error("this needs feature level {needed} and the cluster is at {agreed}: upgrade every server first")]
    FeatureLevel {
        /// The level it takes.
        needed: u32,
        /// The level that is agreed on.
        agreed: u32,
    },
}
