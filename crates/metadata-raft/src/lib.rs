//! The cluster's agreed decisions and the raft node that orders them.
//!
//! Owns which brokers, streams and partitions there are ([`ClusterState`], a pure state machine), and a log and snapshots
//! that bring every server to the same answer ([`Metadata`]). It never knows message data, client protocols or tokio, and
//! carries nothing out: what a decision changed is handed on as [`ClusterEvent`]s.

mod admission;
mod agreed_state;
mod apply;
mod balance;
mod call_reply;
mod cluster_event;
mod cluster_state;
mod codec;
mod command;
mod controller;
mod digest;
mod failover;
mod framed_file;
mod log_index;
mod member_file;
mod metadata;
mod metadata_node;
mod node_id;
mod placement;
mod proposal;
mod raft_log;
mod raft_logger;
mod raft_node;
mod raft_storage;
mod rejection;
mod reserve;
mod sessions;
mod snapshot_store;
mod standing;
mod state;
#[cfg(test)]
mod test_commands;

pub use admission::{Admitted, Join, JoinRefusal};
pub use call_reply::{CallReply, JoinAnswer, Unanswered};
pub use cluster_event::{Applied, ChangedPartitions, ClusterEvent, DeletedStream, ReassignedPartitions};
pub use cluster_state::{ClusterState, FEATURE_LEVEL};
pub use codec::DecodeError;
pub use command::{
    BrokerLife, ChangeInSync, Command, CreateStream, DeleteStream, ElectUnclean, LOST_PARTITIONS_MAX, Member,
    MoveLeader, PARTITIONS_PER_STREAM_MAX, PartitionName, PauseStream, RegisterBroker, RemoveBroker, ReplicaCount,
    ResumeStream, SetReadonly,
};
pub use framed_file::FramedReadError;
pub use log_index::LogIndex;
pub use member_file::{NoteJoinedError, Presence, metadata_presence, note_joined};
pub use metadata::{Metadata, MetadataOptions, PROPOSALS_WAITING_MAX, Recovery};
pub use metadata_node::MetadataNode;
pub use node_id::{DirectoryId, RaftId};
pub use placement::Load;
pub use proposal::{ProposalOutcome, ProposalReply, ProposeError, Unavailable};
pub use raft_log::RaftLogError;
pub use raft_node::{Ports, SendMessage};
pub use raft_storage::OpenMetadataError;
pub use rejection::Rejection;
pub use sessions::{Heartbeat, HeartbeatAnswer, SESSION_TIMEOUT_MAX};
pub use standing::{CONTROLLER_LEASE, ControllerAddress, Part, Standing};
pub use state::{Broker, Brokers, ChangeTimes, Node, Nodes, Partition, Stream, Streams};
