//! Beginning a subscription. Owns finding its partition, resumed if need be; never how it is read.

use liftbridge_auth::Authorized;
use liftbridge_metadata_raft::ProposeError;
use liftbridge_types::PartitionId;

use crate::agreement::unavailable;
use crate::broker::Broker;
use crate::errors::{MetadataUnavailable, SubscribeError};
use crate::requests::Subscribe;
use crate::streams_here::Whereabouts;
use crate::subscription::Subscription;

impl Broker {
    /// Begins a subscription.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub async fn subscribe(&self, request: Authorized<Subscribe>) -> Result<Subscription, SubscribeError> {
        let Subscribe { stream, partition, start, stop, reverse, resume, read_isr_replica: _ } = request.into_request();
        if !self.node.life.is_running() {
            return Err(SubscribeError::ShuttingDown);
        }
        let stream = self.node.streams.get(&stream).ok_or(SubscribeError::NotFound)?;
        let id = PartitionId::from_wire(partition).ok_or(SubscribeError::NotFound)?;
        let partition = match stream.partition(id) {
            Whereabouts::Here(partition) => partition,
            // Only leaders have a copy so far, so asking for any in-sync replica makes no difference.
            Whereabouts::Elsewhere => return Err(SubscribeError::NotLeader),
            Whereabouts::Nowhere => return Err(SubscribeError::NotFound),
        };
        if partition.handle.is_pausing() {
            if !resume {
                return Err(SubscribeError::Paused);
            }
            self.resume(&stream, id).await.map_err(resume_refused)?;
        }
        partition.handle.subscribe(start, stop, reverse).await
    }
}

fn resume_refused(error: ProposeError) -> SubscribeError {
    match error {
        ProposeError::Unavailable(reason) => match unavailable(reason) {
            MetadataUnavailable::ShuttingDown => SubscribeError::ShuttingDown,
            other => SubscribeError::Resume(other),
        },
        // It was deleted in the meantime.
        ProposeError::Rejected(_) => SubscribeError::NotFound,
    }
}
