//! Streams could not be created, changed or described.

use thiserror::Error;

use crate::error::{CallError, PartitionName};

/// A stream was not created.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CreateStreamError {
    /// The name is taken.
    #[error("stream `{name}` already exists")]
    Exists {
        /// The name.
        name: String,
    },
    /// The cluster refused or could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl CreateStreamError {
    /// Whether the same request may succeed a little later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Call(error) if error.retryable())
    }
}

/// An existing stream was not deleted, paused or switched between read-only and writable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeStreamError {
    /// No such stream.
    #[error("stream `{name}` does not exist")]
    StreamNotFound {
        /// Its name.
        name: String,
    },
    /// No such stream, or not all of the partitions that were named.
    #[error("cannot change stream `{name}`: {reason}")]
    NotFound {
        /// The stream's name.
        name: String,
        /// Which of the two, in the server's words.
        reason: String,
    },
    /// The cluster refused or could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl ChangeStreamError {
    /// Whether the same request may succeed a little later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Call(error) if error.retryable())
    }
}

/// It is not known which broker to ask.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// The cluster has no stream of that name.
    #[error("no known stream `{stream}`")]
    UnknownStream {
        /// The name.
        stream: String,
    },
    /// The stream has fewer partitions.
    #[error("no known {0}")]
    UnknownPartition(PartitionName),
    /// Nobody leads the partition at the moment, or its leader's address is not known.
    #[error("no known leader for {0}")]
    NoLeader(PartitionName),
    /// The cluster could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl RouteError {
    /// Whether asking again may help.
    pub fn retryable(&self) -> bool {
        match self {
            Self::UnknownStream { .. } | Self::UnknownPartition(_) => false,
            Self::NoLeader(_) => true,
            Self::Call(error) => error.retryable(),
        }
    }
}

/// A partition's leader could not tell about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PartitionInfoError {
    /// It is not known whom to ask.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// No such stream or partition.
    #[error("there is no {0}")]
    NotFound(PartitionName),
    /// Whoever was asked does not lead it (any more, or because it is paused).
    #[error("{0} is not being led, it may be paused")]
    NotLeader(PartitionName),
    /// The answer makes no sense.
    #[error("broker `{address}` sent an answer without partition metadata")]
    Malformed {
        /// Which broker.
        address: String,
    },
    /// The broker refused or could not be asked.
    #[error(transparent)]
    Call(CallError),
}

impl PartitionInfoError {
    /// Whether the same request may succeed a little later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Route(error) => error.retryable(),
            Self::NotFound(_) | Self::Malformed { .. } => false,
            Self::NotLeader(_) => true,
            Self::Call(error) => error.retryable(),
        }
    }
}
