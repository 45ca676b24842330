//! The Rust client of Liftbridge: connect, create streams, publish, subscribe.
//!
//! ```no_run
//! use futures_util::StreamExt;
//! use liftbridge_client::{Client, NewStream, Outgoing, Start, Subscribe};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder(["127.0.0.1:9292"]).connect().await?;
//! client.create_stream(NewStream::new("orders")).await?;
//! client.publish("orders", Outgoing::new("a first one").key("customer-7")).await?;
//! let mut messages = client.subscribe(Subscribe::new("orders").start(Start::Earliest)).await?;
//! while let Some(message) = messages.next().await {
//!     let message = message?;
//!     println!("{}: {:?}", message.offset, message.value);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it takes care of
//! * **Routing.** Subscriptions and partition metadata go to the partition's leader, publishes too, and to any other broker
//!   while none is known. What the client knows of the cluster is refreshed when a broker says that it is out of date.
//! * **Retries.** A call that was not carried out is tried again, a bounded number of times. A publish whose outcome is not known
//!   is repeated only on request ([`Outgoing::at_least_once`]); pipelined ones ([`Producer`]) never are.
//! * **Bounds.** Outstanding publishes, retries, waiting, message sizes and caches are limited; [`ClientBuilder`] names every limit.
//!
//! It owns connections and routing. It never knows how a server stores anything.

mod admin;
mod builder;
mod client;
mod cluster;
mod convert;
mod error;
mod publish;
mod retry;
mod streams;
mod subscribe;

#[cfg(test)]
mod testing;

pub use admin::{
    ClusterStatus, ClusterSurvey, ExplainedLog, ExplainedPartition, ExplainedReplica, Member, MemberState, MemberVote,
    PartitionCounts, ReplicaStorage, StorageTroubles, SurveyedServer, TroubledPage, TroubledPartition, TroubledReplica,
};
pub use builder::{ClientBuilder, TlsOptions};
pub use client::Client;
pub use cluster::{BrokerInfo, ClusterMetadata, EventTimes, PartitionInfo, StreamInfo};
pub use error::{
    CallError, ChangeStreamError, ConnectError, CreateStreamError, ExplainError, PartitionInfoError, PartitionName,
    PublishError, RemoveMemberError, RouteError, SubscribeError,
};
pub use liftbridge_types::{AckPolicy, Header, Offset, PartitionId, SettingOverrides, Timestamp};
pub use publish::{Ack, AckFuture, Outgoing, Partitioner, Producer, ProducerWindow, RoundRobin, partition_of_key};
pub use streams::{NewStream, Partitions, ReplicationFactor};
pub use subscribe::{ReceivedMessage, Start, Stop, Subscribe, Subscription};
pub use tonic::Code;
