//! What a decision changed, for those who carry it out. Owns the facts; never how they are carried out.

use std::sync::Arc;

use liftbridge_types::{BrokerId, BrokerIncarnation, PartitionId, StreamId, StreamName};

use crate::log_index::LogIndex;
use crate::node_id::RaftId;
use crate::state::{Node, Partition, Stream};

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
    /// A broker is not heard of any more.
    BrokerFenced(BrokerId),
    /// A broker is heard of again.
    BrokerUnfenced(BrokerId),
    /// A broker will never come back.
    BrokerRemoved(BrokerId),
    /// Partitions of one stream have another leader, other replicas or other in-sync replicas.
    PartitionsReassigned(ReassignedPartitions),
    /// A server takes part in the agreement, or takes another part, or is reached somewhere else.
    NodeChanged {
        /// Raft's number for it.
        id: RaftId,
        /// What is known of it now.
        node: Node,
    },
    /// A server takes no part in the agreement any more.
    NodeRemoved {
        /// Raft's number for it.
        id: RaftId,
        /// The broker it was.
        broker: BrokerId,
    },
    /// Every server understands this feature level now, and it may be used.
    FeatureLevelRaised(u32),
    /// This server was so far behind that it was sent the whole state: anything may have changed, see for yourself.
    Replaced,
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

/// Partitions of one stream with what is agreed about them as of this event, whatever was decided since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReassignedPartitions {
    /// The stream's id.
    pub stream: StreamId,
    /// The stream's name.
    pub name: StreamName,
    /// The partitions, ascending.
    pub partitions: Vec<(PartitionId, Partition)>,
}

/// An applied command's index and what it changed; nothing when it was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where the command stands in the metadata log.
    pub index: LogIndex,
    /// What changed, in order.
    pub events: Vec<ClusterEvent>,
}
