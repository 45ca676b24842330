//! One message, one answer.

use liftbridge_broker::{Acked, PublishError, PublishOutcome, PublishReply};
use liftbridge_proto::api;
use liftbridge_types::AckPolicy;
use tokio::sync::oneshot;
use tonic::{Request, Status};

use super::deadline::deadline;
use super::{ApiService, convert, status};
use crate::gate::identity_of;

impl ApiService {
    pub(super) async fn on_publish(
        &self,
        request: Request<api::PublishRequest>,
    ) -> Result<api::PublishResponse, Status> {
        let identity = identity_of(&request);
        let has_deadline = deadline(&request)?.is_some();
        let (publish, reply_to) =
            convert::publish(request.into_inner()).map_err(|(error, _)| status::invalid(&error))?;
        let policy = publish.ack_policy;
        let publish = self.gate.admit(&identity, publish).map_err(|denied| status::denied(&denied))?;
        let (reply, outcome) = PublishReply::one();
        self.broker.publish(publish, reply).await;
        let acked = if waits(policy, has_deadline) { heard(outcome).await.map(Some) } else { refused_at_once(outcome) };
        let acked = acked.map_err(|error| status::publish(&error))?;
        let ack = acked.map(|acked| convert::ack(&acked, policy, reply_to));
        Ok(api::PublishResponse { ack, ..api::PublishResponse::default() })
    }
}

/// Whether the publisher waits for an outcome: one without a deadline would do so forever, and is answered at once.
pub(super) fn waits(policy: AckPolicy, has_deadline: bool) -> bool {
    policy != AckPolicy::None && has_deadline
}

/// What became of the message, however long that takes.
pub(super) async fn heard(outcome: oneshot::Receiver<PublishOutcome>) -> PublishOutcome {
    outcome.await.unwrap_or(Err(PublishError::Closed))
}

/// A refusal that needed no log and so is known already. That it was stored is not said to one who does not wait.
pub(super) fn refused_at_once(mut outcome: oneshot::Receiver<PublishOutcome>) -> Result<Option<Acked>, PublishError> {
    match outcome.try_recv() {
        Ok(Err(refused)) => Err(refused),
        Ok(Ok(_)) | Err(_) => Ok(None),
    }
}
