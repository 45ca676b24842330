//! Publishing: one message and its ack ([`Client::publish`]), many in flight ([`Producer`]), or to a subject.
//!
//! Owns what is promised about order and repetition. Messages for a partition are handed to one broker over one stream, in the
//! order of the calls, and another broker takes over only when none of them is outstanding. It never knows how a broker was found.

mod ack_future;
mod outgoing;
mod partitioner;
mod pending;
mod producer;
mod publish_stream;
mod publisher;
mod window;

use std::time::Duration;

use liftbridge_proto::api as wire;
use liftbridge_types::{AckPolicy, Offset, Timestamp};
use tonic::Code;

pub use ack_future::AckFuture;
pub use outgoing::Outgoing;
pub use partitioner::{Partitioner, RoundRobin, partition_of_key};
pub use producer::Producer;
pub(crate) use publisher::Publisher;
pub use window::ProducerWindow;

use crate::client::Client;
use crate::convert;
use crate::error::{CallError, PublishError};

/// A message was stored to the degree its policy asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The stream it was stored in.
    pub stream: String,
    /// The subject the partition listens on.
    pub partition_subject: String,
    /// The offset it got.
    pub offset: Offset,
    /// When the partition's leader received it.
    pub received_at: Option<Timestamp>,
    /// When it had met its policy.
    pub committed_at: Option<Timestamp>,
}

impl Client {
    /// Publishes one message and waits for its ack; with [`AckPolicy::None`] there is none and it returns once the message is on
    /// its way.
    ///
    /// A message that was certainly not sent, or refused by a broker that does not lead, is tried again, five times altogether. One whose outcome is unknown is repeated only
    /// with [`Outgoing::at_least_once`].
    ///
    /// # Errors
    /// When the message was refused, was not acknowledged in time, or could not be sent.
    pub async fn publish(&self, stream: &str, message: Outgoing) -> Result<Option<Ack>, PublishError> {
        let retries = self.router().limits().leader_retries;
        let mut number = 0;
        loop {
            let error = match self.publish_once(stream, message.clone()).await {
                Ok(ack) => return Ok(ack),
                Err(error) => error,
            };
            let not_stored = matches!(error, PublishError::NotSent { .. }) || error.is_of_another_leader();
            let repeat = not_stored || (message.repeats && error.outcome_unknown());
            if !repeat || !retries.goes_on_after(number) {
                return Err(error);
            }
            tracing::debug!(stream, %error, try_number = number, "publishing again");
            retries.pause_after(number).await;
            number += 1;
        }
    }

    async fn publish_once(&self, stream: &str, message: Outgoing) -> Result<Option<Ack>, PublishError> {
        self.publisher().send(stream, message, self.publisher().window()).await?.await
    }

    /// A handle to publish many messages without waiting for each ack, with the client's default window.
    pub fn producer(&self) -> Producer {
        self.producer_with(self.router().limits().window)
    }

    /// A handle to publish many messages without waiting for each ack, with so much outstanding at most.
    pub fn producer_with(&self, window: ProducerWindow) -> Producer {
        Producer::new(self.publisher().clone(), window)
    }

    /// Publishes to every partition attached to a matching subject and waits for the first ack; there may be several or none.
    /// Partitioning and the expected offset of `message` mean nothing here.
    ///
    /// # Errors
    /// When no ack came in time, which is also the case when nothing listens on the subject, or the message was refused.
    pub async fn publish_to_subject(&self, subject: &str, message: Outgoing) -> Result<Option<Ack>, PublishError> {
        let ack_timeout = self.router().limits().ack_timeout;
        let wants_ack = message.ack_policy != AckPolicy::None;
        let request = convert::publish_to_subject_request(subject, message);
        let call = self.router().call_any(request, |mut client, mut request| {
            request.set_timeout(ack_timeout);
            async move { client.publish_to_subject(request).await }
        });
        let response = match tokio::time::timeout(ack_timeout, call).await {
            Ok(Ok((response, _))) => response,
            Ok(Err(error)) => return Err(subject_error(error, ack_timeout)),
            Err(_) => return Err(PublishError::AckTimeout { after: ack_timeout }),
        };
        subject_ack(response, wants_ack)
    }
}

fn subject_ack(response: wire::PublishToSubjectResponse, wants_ack: bool) -> Result<Option<Ack>, PublishError> {
    match response.ack {
        Some(ack) => convert::acked(ack).map(Some),
        None if wants_ack => {
            Err(PublishError::Internal { message: "the server sent an answer without an ack".to_owned() })
        }
        None => Ok(None),
    }
}

fn subject_error(error: CallError, ack_timeout: Duration) -> PublishError {
    match error.code {
        Code::DeadlineExceeded => PublishError::AckTimeout { after: ack_timeout },
        _ if error.never_sent => PublishError::NotSent { cause: error },
        Code::Unavailable => PublishError::OutcomeUnknown { cause: error },
        _ => PublishError::Refused(error),
    }
}

#[cfg(test)]
mod tests;
