//! What runs on this node: its partitions, publishing, subscriptions, routing and shutdown.
//!
//! Owns the node's state and carries out what the replication core decides. It never knows gRPC, HTTP, NATS or protobuf.

mod administration;
mod admission;
mod agreement;
mod begun_logs;
mod broker;
mod clean_stop;
mod clock;
mod cluster_config;
mod config;
mod describe;
mod describe_cluster;
mod directories;
mod directory_id;
mod errors;
mod explain_partition;
mod follow_metadata;
mod forwarding;
mod heartbeats;
mod identity;
mod inbox;
mod join_cluster;
mod measure;
mod metrics;
mod node;
mod one_line_file;
mod partition;
mod partition_trouble;
mod peers;
mod progress;
mod publish;
mod publish_reply;
mod publisher;
mod read_budget;
mod registration;
mod removal;
mod replicate;
mod reply_queue;
mod requests;
mod server_id;
mod shutdown;
mod start;
mod storage_troubles;
mod streams;
mod streams_here;
mod subjects;
mod subscribe;
mod subscription;
mod tail_budget;
mod whole_file;
mod wishes;
mod workers;

pub use administration::{
    ClusterDescription, ExplainedFollower, ExplainedLog, ExplainedReplica, MemberDescription, MemberRegistration,
    MemberState, Obstacle, PartitionCounts, PartitionExplanation, PartitionTrouble, RemoveMember, ReplicaStorage,
    StorageTroubles, TroubledPage, TroubledPartition, TroubledReplica,
};
pub use broker::Broker;
pub use cluster_config::ClusterConfig;
pub use config::{BrokerConfig, StartError};
pub use errors::{
    ChangeStreamError, CreateStreamError, DescribeError, ExplainError, GoOn, MetadataUnavailable, PublishError,
    RemoveMemberError, SubscribeError, SubscriptionEnd,
};
pub use peers::{
    Heartbeat, HeartbeatAnswer, Join, JoinAnswer, NoPeers, PartitionMessage, PeerAnswer, PeerCall, PeerError,
    PeerInbox, Peers, ProposeAnswer,
};
pub use publish_reply::{PublishOutcome, PublishReply};
pub use publisher::{Publisher, Waiting};
pub use reply_queue::{QueuedOutcome, ReplyQueue};
pub use requests::{
    Acked, BrokerDescription, CreateStream, DeleteStream, Delivery, EventTimes, PartitionDescription, PartitionRoute,
    PauseStream, Publish, PublishToSubject, ReplicationFactor, SetStreamReadonly, Shutdown, StartPosition,
    StopPosition, StreamDescription, Subscribe,
};
pub use subscription::Subscription;
// What a `Delivery` is made of, for edges that know no log.
pub use liftbridge_commitlog::Record;
// What servers say to each other, for edges that know no raft and no replica.
pub use liftbridge_metadata_raft::{Command, DecodeError, LogIndex, Rejection, RemoveBroker, SESSION_TIMEOUT_MAX};
pub use liftbridge_replication::{Body as ReplicaMessageBody, LogTail, Message as ReplicaMessage};
