//! Taking in the messages of one PublishAsync call. Owns their order and the window; never their answers' way out.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::Either;
use futures_util::{FutureExt, future};
use liftbridge_auth::Identity;
use liftbridge_broker::{Broker, PublishReply, QueuedOutcome};
use liftbridge_proto::api;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::refusal;
use crate::gate::Gate;
use crate::grpc::{convert, status};

/// Why no more messages come.
pub(super) enum IntakeEnd {
    /// The client has sent all it wanted to.
    HalfClosed,
    /// The server is stopping.
    Stopping,
    /// The messages could not be received.
    Failed(Status),
}

/// What messages are handed over with. Dropped at the end, so that the queues end with the last answer owed.
pub(super) struct Intake {
    pub(super) broker: Broker,
    pub(super) gate: Gate,
    pub(super) identity: Identity,
    pub(super) window: Arc<Semaphore>,
    pub(super) outcomes: mpsc::UnboundedSender<QueuedOutcome>,
    pub(super) refusals: mpsc::UnboundedSender<api::PublishResponse>,
}

impl Intake {
    /// Takes in messages until no more come. Dropping this at any await loses at most the message being handed over,
    /// which nobody was told about.
    pub(super) async fn run(
        self,
        mut requests: Streaming<api::PublishRequest>,
        stopping: CancellationToken,
    ) -> IntakeEnd {
        let mut stopped = pin!(stopping.cancelled().fuse());
        loop {
            let Ok(permit) = self.window.acquire().await else { return IntakeEnd::Stopping };
            // Messages come first: a busy call does not pay for looking whether the server stops.
            let received = match future::select(pin!(requests.message()), &mut stopped).await {
                Either::Left((received, _)) => received,
                Either::Right(((), _)) => return IntakeEnd::Stopping,
            };
            match received {
                Ok(Some(request)) => {
                    // The permit comes back when the answer leaves.
                    permit.forget();
                    self.hand_over(request).await;
                }
                Ok(None) => return IntakeEnd::HalfClosed,
                Err(status) => return IntakeEnd::Failed(not_received(status)),
            }
        }
    }

    async fn hand_over(&self, request: api::PublishRequest) {
        let (publish, reply_to) = match convert::publish(request) {
            Ok(converted) => converted,
            Err((error, reply_to)) => return self.refuse(status::invalid_async(&error), reply_to.correlation_id),
        };
        let correlation_id = reply_to.correlation_id;
        let policy = publish.ack_policy;
        match self.gate.admit(&self.identity, publish) {
            Ok(publish) => {
                let reply = PublishReply::queued(self.outcomes.clone(), correlation_id, policy);
                self.broker.publish(publish, reply).await;
            }
            Err(denied) => self.refuse(status::denied_async(&denied), correlation_id),
        }
    }

    fn refuse(&self, error: api::PublishAsyncError, correlation_id: String) {
        // The receiver lives as long as the call, and this is part of it.
        drop(self.refusals.send(refusal(error, correlation_id)));
    }
}

/// A message over the size the transport takes in is the client's mistake, and told as such.
fn not_received(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::invalid_argument(status.message()),
        _ => status,
    }
}
