//! What a decision changed, for those who carry it out. Owns the facts; never how they are carried out.

use std::sync::Arc;

use liftbridge_types::{BrokerId, BrokerIncarnation, PartitionId, StreamId, StreamName};

use crate::log_index::LogIndex;
use crate::state::Stream;

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterEvent {
    /// A broker started.
    BrokerRegistered {
        /// Its id.
        id: BrokerId,
        /// Its new life.
        incarnation: BrokerIncarnation,
    },
    /// A stream was made. It is as it was made, whatever was decided since.
    StreamCreated(Arc<Stream>),
    /// A stream is gone and its data with it.
    StreamDeleted(DeletedStream),
    /// Partitions were paused; those that were paused before are not named.
    PartitionsPaused(ChangedPartitions),
    /// Partitions were resumed; those that were not paused are not named.
    PartitionsResumed(ChangedPartitions),
    /// Partitions were made read-only or writable; those that were so before are not named.
    ReadonlyChanged {
        /// Which.
        partitions: ChangedPartitions,
        /// What they are now.
        readonly: bool,
    },
}

/// The stream that is gone: enough to find its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedStream {
    /// Its id.
    pub id: StreamId,
    /// The name it had.
    pub name: StreamName,
}

/// Partitions of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPartitions {
    /// The stream's id.
    pub stream: StreamId,
    /// The stream's name.
    pub name: StreamName,
    /// The partitions, ascending.
    pub partitions: Vec<PartitionId>,
}

/// An applied command's index and what it changed; nothing when it was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where the command stands in the metadata log.
    pub index: LogIndex,
    /// What changed, in order.
    pub events: Vec<ClusterEvent>,
}
