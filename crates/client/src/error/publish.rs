//! A message was not acknowledged.

use std::time::Duration;

use thiserror::Error;

use crate::error::CallError;

/// What servers answer to a message for a partition that another one leads.
const NOT_LEADER: &str = "Server not partition leader";
/// How servers end what they say of a message that was pending when its partition's leadership moved, or it was closed or went
/// offline, or the server stopped. The API has no code for that.
const MAY_BE_STORED: &str = ": it may have been stored";

/// A message was not stored, or nobody knows whether it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// No ack came in time. The message may have been stored or may still be.
    #[error("no ack within {after:?}, the message may have been stored")]
    AckTimeout {
        /// How long the client waited.
        after: Duration,
    },
    /// The connection broke while the ack was outstanding, or a message before this one got no ack in time. The message may
    /// have been stored.
    #[error("no ack came, the message may have been stored: {cause}")]
    OutcomeUnknown {
        /// What happened to the connection.
        cause: CallError,
    },
    /// No connection came about; the message was certainly not stored.
    #[error("message was not sent: {cause}")]
    NotSent {
        /// Why not.
        cause: CallError,
    },
    /// No such stream or partition.
    #[error("{message}")]
    NotFound {
        /// Which of the two, in the server's words.
        message: String,
    },
    /// The partition refuses publishes.
    #[error("{message}")]
    Readonly {
        /// The server's words.
        message: String,
    },
    /// The message would not have got the expected offset.
    #[error("incorrect expected offset")]
    IncorrectOffset,
    /// The message can never be stored like this, for example because it is too large.
    #[error("{message}")]
    BadRequest {
        /// The server's words.
        message: String,
    },
    /// The publisher may not publish here.
    #[error("{message}")]
    PermissionDenied {
        /// The server's words.
        message: String,
    },
    /// The server could not encrypt the message.
    #[error("{message}")]
    EncryptionFailed {
        /// The server's words.
        message: String,
    },
    /// The server failed to store it.
    #[error("{message}")]
    Internal {
        /// The server's words.
        message: String,
    },
    /// The broker refused the call as a whole.
    #[error(transparent)]
    Refused(CallError),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl PublishError {
    /// Whether publishing the same message again may succeed. Where [`PublishError::outcome_unknown`], it may also be stored twice.
    pub fn retryable(&self) -> bool {
        match self {
            Self::AckTimeout { .. } | Self::OutcomeUnknown { .. } | Self::NotSent { .. } | Self::Internal { .. } => {
                true
            }
            Self::Refused(cause) => cause.retryable(),
            Self::NotFound { .. }
            | Self::Readonly { .. }
            | Self::IncorrectOffset
            | Self::BadRequest { .. }
            | Self::PermissionDenied { .. }
            | Self::EncryptionFailed { .. }
            | Self::Closed => false,
        }
    }

    /// Whether the broker refused it because another one leads the partition; it was certainly not stored.
    pub(crate) fn is_of_another_leader(&self) -> bool {
        matches!(self, Self::Internal { message } if message == NOT_LEADER)
    }

    /// Whether the message may have been stored all the same.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::AckTimeout { .. } | Self::OutcomeUnknown { .. } => true,
            Self::Internal { message } => message.ends_with(MAY_BE_STORED),
            _ => false,
        }
    }
}
