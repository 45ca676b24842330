//! Taking in the messages of one PublishAsync call. Owns their order and that they are handed over before the call rests;
//! never their answers' way out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{FutureExt, Stream, StreamExt};
use liftbridge_auth::Identity;
use liftbridge_broker::{Publish, PublishReply, Publisher, ReplyQueue, Waiting};
use liftbridge_types::AckPolicy;
use slab::Slab;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Code, Status};

use super::WINDOW_MESSAGES;
use super::answer::Answer;
use super::message::{CorrelationId, PublishMessage};
use crate::gate::Gate;
use crate::grpc::convert::InvalidRequest;
use crate::grpc::{convert, status};
use crate::metrics::{PUBLISH_ASYNC, request_finished};

/// Messages that are taken in before other tasks are let go first, however many have come.
const IN_A_ROW_MAX: usize = 1024;
/// The longest id by which a publisher recognises an answer: it is kept until then, and no bound counts it.
const CORRELATION_ID_BYTES_MAX: usize = 1024;

/// Why no more messages come.
pub(super) enum IntakeEnd {
    /// The client has sent all it wanted to.
    HalfClosed,
    /// The server is stopping.
    Stopping,
    /// The messages could not be received.
    Failed(Status),
}

/// Where messages come from and what they are handed over with.
pub(super) struct Intake<S> {
    pub(super) messages: S,
    pub(super) publisher: Publisher,
    /// What the publisher has to wait for before it goes on.
    pub(super) waiting: Option<Waiting>,
    pub(super) gate: Gate,
    pub(super) identity: Identity,
    pub(super) replies: ReplyQueue,
    pub(super) stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Messages taken in since other tasks were last let go first.
    pub(super) in_a_row: usize,
    /// Why no more messages come, while those before are still being handed over.
    pub(super) end: Option<IntakeEnd>,
}

/// What is kept of a message that was handed over.
#[derive(Debug)]
pub(super) struct Owed {
    /// What its publisher recognises it by.
    pub(super) correlation_id: CorrelationId,
    /// Whether its publisher wants to hear of a success.
    pub(super) ack_policy: AckPolicy,
    /// When it came, or at most a moment before.
    pub(super) arrived_at: Instant,
}

impl<S: Stream<Item = Result<PublishMessage, Status>> + Unpin> Intake<S> {
    /// Takes in messages until no more come. Answers that are known at once go to `refused`. Dropping it at any time loses
    /// at most messages nobody was told about.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        owed: &mut Slab<Owed>,
        refused: &mut VecDeque<Answer>,
    ) -> Poll<IntakeEnd> {
        // What comes in one burst has one time: a look at the clock costs as much as taking a message in.
        let mut arrived_at = None;
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.poll_unpin(context));
                self.waiting = None;
            }
            if let Some(end) = self.end.take() {
                return Poll::Ready(end);
            }
            if self.in_a_row >= IN_A_ROW_MAX {
                self.in_a_row = 0;
                self.waiting = self.publisher.hand_over();
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            // Messages come first: a busy call does not pay for looking whether the server stops.
            let received = match owed.len() + refused.len() < WINDOW_MESSAGES {
                true => self.messages.poll_next_unpin(context),
                false => Poll::Pending,
            };
            match received {
                Poll::Ready(Some(Ok(message))) => {
                    self.take_in(message, *arrived_at.get_or_insert_with(Instant::now), owed, refused);
                }
                Poll::Ready(None) => self.end_with(IntakeEnd::HalfClosed),
                Poll::Ready(Some(Err(status))) => self.end_with(IntakeEnd::Failed(not_received(status))),
                Poll::Pending => {
                    self.in_a_row = 0;
                    self.waiting = self.publisher.hand_over();
                    if self.waiting.is_none() {
                        ready!(self.stopping.as_mut().poll(context));
                        return Poll::Ready(IntakeEnd::Stopping);
                    }
                }
            }
        }
    }

    /// No more messages come; those taken in are still handed over.
    fn end_with(&mut self, end: IntakeEnd) {
        self.end = Some(end);
        self.waiting = self.publisher.hand_over();
    }

    fn take_in(
        &mut self,
        message: PublishMessage,
        arrived_at: Instant,
        owed: &mut Slab<Owed>,
        refused: &mut VecDeque<Answer>,
    ) {
        let PublishMessage { stream, partition, message, correlation_id, ack_policy, expected_offset } = message;
        self.in_a_row += 1;
        let mut refuse = |code, error, correlation_id| {
            request_finished(PUBLISH_ASYNC, code, arrived_at.elapsed());
            refused.push_back(Answer::Refused { error, correlation_id });
        };
        if correlation_id.len() > CORRELATION_ID_BYTES_MAX {
            let error = InvalidRequest::CorrelationId { bytes: correlation_id.len(), limit: CORRELATION_ID_BYTES_MAX };
            // Not even repeated: it is what nobody has room for.
            return refuse(Code::InvalidArgument, status::invalid_async(&error), CorrelationId::new());
        }
        let ack_policy = match convert::ack_policy(ack_policy) {
            Ok(policy) => policy,
            Err(error) => return refuse(Code::InvalidArgument, status::invalid_async(&error), correlation_id),
        };
        let publish = Publish { stream, partition, message, arrived_on: None, ack_policy, expected_offset };
        match self.gate.admit(&self.identity, publish) {
            Ok(publish) => {
                let ticket = owed.insert(Owed { correlation_id, ack_policy, arrived_at });
                let reply = PublishReply::queued(self.replies.clone(), ticket);
                self.waiting = self.publisher.publish(publish, reply);
            }
            Err(denied) => refuse(Code::PermissionDenied, status::denied_async(&denied), correlation_id),
        }
    }
}

/// A message over the size the transport takes in is the client's mistake, and told as such.
fn not_received(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::invalid_argument(status.message()),
        _ => status,
    }
}
