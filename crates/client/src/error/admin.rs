//! What people who run a cluster asked for was not done or not told.

use thiserror::Error;

use crate::error::{CallError, PartitionName, RouteError};

/// A member was not removed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RemoveMemberError {
    /// No such member.
    #[error("the cluster has no member `{id}`")]
    NotFound {
        /// Its id.
        id: String,
    },
    /// It runs, or only it has what others would need.
    #[error("cannot remove `{id}`: {reason}")]
    Refused {
        /// Its id.
        id: String,
        /// Why, and what to do, in the server's words.
        reason: String,
    },
    /// The cluster refused or could not be asked.
    #[error(transparent)]
    Call(CallError),
}

impl RemoveMemberError {
    /// Whether the same request may succeed a little later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Call(error) if error.retryable())
    }
}

/// Nobody could tell about a partition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExplainError {
    /// There is no such stream or partition, or the cluster could not be asked.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// No such stream or partition.
    #[error("there is no {0}")]
    NotFound(PartitionName),
    /// The answer makes no sense.
    #[error("broker `{address}` sent an answer about no partition")]
    Malformed {
        /// Which broker.
        address: String,
    },
    /// No broker answered, or the one that did refused.
    #[error(transparent)]
    Call(CallError),
}

impl ExplainError {
    /// Whether the same request may succeed a little later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Route(error) => error.retryable(),
            Self::NotFound(_) | Self::Malformed { .. } => false,
            Self::Call(error) => error.retryable(),
        }
    }
}
