//! The broker's handle: what the edges call.

use std::time::Duration;

use liftbridge_auth::Authorized;
use liftbridge_types::BrokerId;

use crate::config::{BrokerConfig, StartError};
use crate::errors::{ChangeStreamError, CreateStreamError, DescribeError, SubscribeError};
use crate::publish_reply::PublishReply;
use crate::requests::{
    BrokerDescription, CreateStream, DeleteStream, PartitionDescription, PauseStream, Publish, PublishToSubject,
    SetStreamReadonly, Shutdown, StreamDescription, Subscribe,
};
use crate::subscription::Subscription;

/// A running broker. Cheap to clone; every clone is the same broker.
#[derive(Clone, Debug)]
pub struct Broker {}

impl Broker {
    /// Opens or founds the metadata and every partition, and starts serving them.
    pub async fn start(config: BrokerConfig) -> Result<Self, StartError> {
        let _ = config;
        todo!()
    }

    /// This broker's id: the stored one, whatever was configured later.
    pub fn id(&self) -> &BrokerId {
        todo!()
    }

    /// Whether it takes requests: metadata agreed, partitions open, not stopping. The text says what it waits for.
    pub fn ready(&self) -> Result<(), String> {
        todo!()
    }

    /// Creates a stream; returns when its partitions take publishes.
    pub async fn create_stream(&self, request: Authorized<CreateStream>) -> Result<(), CreateStreamError> {
        let _ = request;
        todo!()
    }

    /// Deletes a stream and its data; running subscriptions end.
    pub async fn delete_stream(&self, request: Authorized<DeleteStream>) -> Result<(), ChangeStreamError> {
        let _ = request;
        todo!()
    }

    /// Pauses partitions; running subscriptions end.
    pub async fn pause_stream(&self, request: Authorized<PauseStream>) -> Result<(), ChangeStreamError> {
        let _ = request;
        todo!()
    }

    /// Makes partitions read-only or writable.
    pub async fn set_stream_readonly(&self, request: Authorized<SetStreamReadonly>) -> Result<(), ChangeStreamError> {
        let _ = request;
        todo!()
    }

    /// Hands a message to its partition, resuming it if it is paused. Waits only while the node's admission bound is
    /// reached; what becomes of the message goes to `reply`, refusals included.
    pub async fn publish(&self, request: Authorized<Publish>, reply: PublishReply) {
        let _ = (request, reply);
        todo!()
    }

    /// Hands a message to every unpaused, writable partition whose subject matches, one of each load-balance group. The
    /// first outcome goes to `reply`; when nothing matches `reply` is kept unanswered for `patience` and then dropped.
    pub async fn publish_to_subject(
        &self,
        request: Authorized<PublishToSubject>,
        reply: PublishReply,
        patience: Option<Duration>,
    ) {
        let _ = (request, reply, patience);
        todo!()
    }

    /// Begins a subscription.
    pub async fn subscribe(&self, request: Authorized<Subscribe>) -> Result<Subscription, SubscribeError> {
        let _ = request;
        todo!()
    }

    /// The brokers of the cluster, this one first.
    pub fn describe_brokers(&self, request: &Authorized<()>) -> Vec<BrokerDescription> {
        let _ = request;
        todo!()
    }

    /// Every stream, reserved ones included, by name.
    pub fn describe_all_streams(&self, request: &Authorized<()>) -> Vec<StreamDescription> {
        let _ = request;
        todo!()
    }

    /// One stream; `None` when there is none of that name.
    pub fn describe_stream(&self, request: &Authorized<()>, name: &str) -> Option<StreamDescription> {
        let _ = (request, name);
        todo!()
    }

    /// One partition, from its leader.
    pub fn describe_partition(
        &self,
        request: &Authorized<()>,
        stream: &str,
        partition: i32,
    ) -> Result<PartitionDescription, DescribeError> {
        let _ = (request, stream, partition);
        todo!()
    }

    /// Brings metrics that are read, not counted (sizes, lags), up to date; called before each scrape.
    pub fn refresh_metrics(&self) {}

    /// Stops. Returns when everything is stopped; a second, fast call cuts a graceful one short.
    pub async fn shutdown(&self, how: Shutdown) {
        let _ = how;
    }
}
