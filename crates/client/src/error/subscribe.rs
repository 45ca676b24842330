//! A subscription did not begin, or broke off.

use thiserror::Error;

use crate::error::{CallError, PartitionName, RouteError};

/// A subscription did not begin, or ended other than at its stop position.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// It is not known whom to ask.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// No such stream or partition.
    #[error("there is no {0}")]
    NotFound(PartitionName),
    /// The stream was deleted while it was being read.
    #[error("stream `{stream}` was deleted")]
    StreamDeleted {
        /// The stream's name.
        stream: String,
    },
    /// The partition is paused. A publish wakes it, as does [`crate::Subscribe::resume`].
    #[error("{0} is paused")]
    Paused(PartitionName),
    /// There is nothing between the start and the stop position, for example because the partition is empty.
    #[error("nothing to read: {message}")]
    NothingToRead {
        /// The server's words.
        message: String,
    },
    /// Stored bytes do not match their checksum. The text names the damaged offsets; subscribe again after them to go on.
    #[error("{message}")]
    DataLoss {
        /// The server's words.
        message: String,
    },
    /// A message that no server would send.
    #[error("broker sent a malformed message: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The broker refused, or could not be reached for too long.
    #[error(transparent)]
    Call(CallError),
}

impl SubscribeError {
    /// Whether subscribing again may succeed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Route(error) => error.retryable(),
            Self::Paused(_) => true,
            // Another broker answered that it does not lead the partition: leadership is moving.
            Self::Call(error) => error.retryable() || error.code == tonic::Code::FailedPrecondition,
            Self::NotFound(_)
            | Self::StreamDeleted { .. }
            | Self::NothingToRead { .. }
            | Self::DataLoss { .. }
            | Self::Malformed { .. } => false,
        }
    }
}
