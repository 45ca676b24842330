//! Why a command cannot be applied. Owns the reasons; the same one on every server.

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
}
