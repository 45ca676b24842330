//! Protobuf to domain values and back: the one place where both are known.
//!
//! Owns how absent, negative and unknown wire values are read, and the inclusive numbers of the API (-1 = none). It
//! never decides whether something is allowed or exists.

mod admin;
mod create_stream;
mod metadata;
mod publish;
mod subscribe;

use liftbridge_types::{InvalidName, InvalidSetting, InvalidSubject, NAME_BYTES_MAX};
use thiserror::Error;

pub(crate) use admin::{cluster_status, explained_partition, troubled_page};
pub(crate) use create_stream::create_stream;
pub(crate) use metadata::{broker, inclusive, partition, stream, unknown_group, unknown_stream};
pub(crate) use publish::{ack, ack_policy, nack, publish, publish_to_subject, wire_ack_policy};
pub(crate) use subscribe::{Envelope, subscribe};

/// A request that means nothing, whatever the server's state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum InvalidRequest {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Subject(#[from] InvalidSubject),
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    #[error("Group is {bytes} bytes long, the limit is {NAME_BYTES_MAX}")]
    Group { bytes: usize },
    #[error("Invalid partitions {partitions}")]
    Partitions { partitions: i32 },
    #[error("Invalid replicationFactor {factor}")]
    ReplicationFactor { factor: i32 },
    #[error("Correlation id is {bytes} bytes long, the limit is {limit}")]
    CorrelationId { bytes: usize, limit: usize },
    #[error("Unknown AckPolicy {number}")]
    AckPolicy { number: i32 },
    #[error("Unknown StartPosition {number}")]
    StartPosition { number: i32 },
    #[error("Unknown StopPosition {number}")]
    StopPosition { number: i32 },
    #[error("Consumer id cannot be empty when group id is provided")]
    ConsumerId,
}
