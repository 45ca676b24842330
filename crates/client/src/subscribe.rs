//! Reading a partition: what is asked for ([`Subscribe`]), what arrives ([`ReceivedMessage`]) and the stream of it
//! ([`Subscription`]). Owns positions and how a subscription outlives its server; never how a broker was found.

mod handshake;
mod request;
mod subscription;

use std::collections::HashMap;

use bytes::Bytes;
use liftbridge_types::{Offset, PartitionId, Timestamp};

pub use request::{Start, Stop, Subscribe};
pub use subscription::Subscription;

use crate::client::Client;
use crate::error::SubscribeError;

/// A message as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The stream it is stored in.
    pub stream: String,
    /// The partition it is stored in.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
    /// When the partition's leader received it.
    pub time: Timestamp,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Bytes,
    /// Its headers. Servers add `subject` and `reply`.
    pub headers: HashMap<String, Bytes>,
    /// The subject it was published on.
    pub subject: String,
    /// The subject its publisher wants replies on; empty without.
    pub reply_subject: String,
}

impl Client {
    /// Begins to read a partition and returns once its server has said that everything is set up: what is published from then
    /// on reaches a [`Start::NewOnly`] subscription.
    ///
    /// # Errors
    /// When there is no such stream or partition, nobody leads it, or the server refuses.
    pub async fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, SubscribeError> {
        Subscription::begin(self.router().clone(), subscribe).await
    }
}

#[cfg(test)]
mod tests;
