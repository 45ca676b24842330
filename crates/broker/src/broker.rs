//! The broker's handle: what the edges call. Owns its making; each operation has a file of its own.

use std::sync::Arc;

use liftbridge_types::BrokerId;

use crate::clock::SystemClock;
use crate::config::{BrokerConfig, StartError};
use crate::node::Node;
use crate::start::start_node;

/// A running broker. Cheap to clone; every clone is the same broker.
#[derive(Clone, Debug)]
pub struct Broker {
    pub(crate) node: Arc<Node>,
}

impl Broker {
    /// Opens or founds the metadata and every partition, and starts serving them.
    ///
    /// # Errors
    /// When the metadata cannot be read back or the volume not be used. A partition that cannot be opened is no reason: it
    /// is offline and says why.
    pub async fn start(config: BrokerConfig) -> Result<Self, StartError> {
        let node = start_node(config, Arc::new(SystemClock::new())).await?;
        Ok(Self { node })
    }

    /// This broker's id: the stored one, whatever was configured later.
    pub fn id(&self) -> &BrokerId {
        &self.node.id
    }

    /// Waits until the cluster has no place for this server any more; why, in one line. Whoever runs it should stop then.
    pub async fn expelled(&self) -> String {
        self.node.expelled().await
    }

    /// Whether it takes requests: metadata agreed, partitions open, not stopping.
    ///
    /// # Errors
    /// What keeps it from taking them.
    pub fn ready(&self) -> Result<(), String> {
        if !self.node.life.is_running() {
            return Err("server is shutting down".to_owned());
        }
        match self.node.metadata.failure() {
            Some(failure) => Err(format!("metadata log failed: {failure}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
