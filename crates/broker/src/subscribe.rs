//! Beginning a subscription. Owns finding its partition, resumed if need be; never how it is read.

use liftbridge_auth::Authorized;
use liftbridge_metadata_raft::ProposeError;
use liftbridge_types::PartitionId;

use crate::agreement::unavailable;
use crate::broker::Broker;
use crate::errors::{MetadataUnavailable, SubscribeError};
use crate::requests::Subscribe;
use crate::subscription::Subscription;

impl Broker {
    /// Begins a subscription.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub async fn subscribe(&self, request: Authorized<Subscribe>) -> Result<Subscription, SubscribeError> {
        let Subscribe { stream, partition, start, stop, reverse, resume, read_isr_replica } = request.into_request();
        if !self.node.life.is_running() {
            return Err(SubscribeError::ShuttingDown);
        }
        self.node.hear_of_stream(&stream).await;
        let stream = self.node.streams.get(&stream).ok_or(SubscribeError::NotFound)?;
        let id = PartitionId::from_wire(partition).ok_or(SubscribeError::NotFound)?;
        let partition = stream.partition(id).ok_or(SubscribeError::NotFound)?;
        let leading = partition.leading_replica();
        let replica = leading.or_else(|| partition.in_sync_replica().filter(|_| read_isr_replica));
        let replica = replica.ok_or(SubscribeError::NotLeader)?;
        if replica.is_pausing() {
            if !resume {
                return Err(SubscribeError::Paused);
            }
            self.resume(&stream, id).await.map_err(resume_refused)?;
        }
        replica.subscribe(start, stop, reverse).await
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
