//! One message for every partition on a subject, one answer.

use std::time::Duration;

use liftbridge_broker::{PublishError, PublishReply};
use liftbridge_proto::api;
use tokio::time::Instant;
use tonic::{Request, Status};

use super::deadline::deadline;
use super::publish::{heard, refused_at_once, waits};
use super::{ApiService, convert, status};
use crate::gate::identity_of;

/// How much longer than the caller the answer is kept open, so that nobody on the subject ends in the caller's deadline.
const PATIENCE_SLACK: Duration = Duration::from_secs(1);

impl ApiService {
    pub(super) async fn on_publish_to_subject(
        &self,
        request: Request<api::PublishToSubjectRequest>,
    ) -> Result<api::PublishToSubjectResponse, Status> {
        let identity = identity_of(&request);
        let deadline = deadline(&request)?;
        let (publish, reply_to) =
            convert::publish_to_subject(request.into_inner()).map_err(|error| status::invalid(&error))?;
        let (policy, subject) = (publish.ack_policy, publish.subject.clone());
        let waits = waits(policy, deadline.is_some());
        let patience = deadline.filter(|_| waits).map(|deadline| deadline - Instant::now() + PATIENCE_SLACK);
        let publish = self.gate.admit(&identity, publish).map_err(|denied| status::denied(&denied))?;
        let (reply, outcome) = PublishReply::one();
        self.broker.publish_to_subject(publish, reply, patience).await;
        let ack = match if waits { heard(outcome).await.map(Some) } else { refused_at_once(outcome) } {
            Ok(acked) => acked.map(|acked| api::Ack { msg_subject: subject, ..convert::ack(&acked, policy, reply_to) }),
            // Nobody on the subject is no error to one who does not wait.
            Err(PublishError::Closed) if !waits => None,
            // The first answer is handed on as it is, a refusal by a partition included.
            Err(error) => match status::nack(&error) {
                Some(nack) => Some(convert::nack(nack, subject, policy, reply_to)),
                None => return Err(status::publish(&error)),
            },
        };
        Ok(api::PublishToSubjectResponse { ack })
    }
}
