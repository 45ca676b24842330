//! What runs on this node: its partitions, publishing, subscriptions, routing and shutdown.
//!
//! Owns the node's state and carries out what the replication core decides. It never knows gRPC, HTTP, NATS or protobuf.

mod broker;
mod config;
mod errors;
mod publish_reply;
mod requests;
mod subscription;

pub use broker::Broker;
pub use config::{BrokerConfig, StartError};
pub use errors::{
    ChangeStreamError, CreateStreamError, DescribeError, MetadataUnavailable, PublishError, SubscribeError, SubscriptionEnd,
};
pub use publish_reply::{PublishOutcome, PublishReply, QueuedOutcome};
pub use requests::{
    Acked, BrokerDescription, CreateStream, DeleteStream, Delivery, EventTimes, PartitionDescription, PartitionRoute,
    PauseStream, Publish, PublishToSubject, ReplicationFactor, SetStreamReadonly, Shutdown, StartPosition, StopPosition,
    StreamDescription, Subscribe,
};
pub use subscription::Subscription;
