//! One reader of one partition, as fast as it asks and never beyond what is committed.

use std::sync::Arc;

use crate::errors::SubscriptionEnd;
use crate::requests::{Delivery, PartitionRoute};

/// A running subscription; dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Subscription {}

impl Subscription {
    /// Where its records come from.
    pub fn route(&self) -> &Arc<PartitionRoute> {
        todo!()
    }

    /// The next records, waiting for them if need be. Cancel safe.
    ///
    /// # Errors
    /// Why it ended; nothing follows.
    pub async fn next(&mut self) -> Result<Delivery, SubscriptionEnd> {
        todo!()
    }
}
