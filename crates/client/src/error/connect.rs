//! No connection to a cluster came about.

use thiserror::Error;

use crate::error::CallError;

/// The client could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// Nobody to ask.
    #[error("no broker address was given")]
    NoAddresses,
    /// A text that is no address.
    #[error("`{address}` is no broker address, give `host:port`")]
    InvalidAddress {
        /// The text.
        address: String,
    },
    /// Certificates or keys that cannot be used.
    #[error("TLS settings cannot be used: {reason}")]
    Tls {
        /// What is wrong with them.
        reason: String,
    },
    /// Every address was tried.
    #[error("none of {tried} broker addresses answered, the last one: {last}")]
    Unreachable {
        /// How many there are.
        tried: usize,
        /// What the last one said.
        last: CallError,
    },
}

impl ConnectError {
    /// Whether connecting again with the same settings may succeed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::NoAddresses | Self::InvalidAddress { .. } | Self::Tls { .. } => false,
            Self::Unreachable { last, .. } => last.retryable(),
        }
    }
}
