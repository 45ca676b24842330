//! What runs on this node: its partitions, publishing, subscriptions, routing and shutdown.
//!
//! Owns the node's state and carries out what the replication core decides. It never knows gRPC, HTTP, NATS or protobuf.

mod admission;
mod broker;
mod clock;
mod config;
mod errors;
mod metrics;
mod partition;
mod publish_reply;
mod requests;
mod subscription;
mod workers;

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
// What a `Delivery` is made of, for edges that know no log.
pub use liftbridge_commitlog::Record;
