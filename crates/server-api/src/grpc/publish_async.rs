//! Many messages one after the other, answered as they are stored.
//!
//! Messages are taken in one by one; what became of them leaves in the order in which it happened, refusals that nothing
//! had to be looked up for ahead of it. The call itself never fails because of a message. It lives as long as the client keeps it open, idle or not.

mod answer;
mod codec;
mod intake;
mod message;
mod route;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use liftbridge_broker::{Publisher, QueuedOutcome, ReplyQueue};
use liftbridge_types::AckPolicy;
use slab::Slab;
use tokio::time::{Instant, Sleep};
use tonic::{Request, Status, Streaming};

use super::{ApiService, status};
use crate::gate::identity_of;
use crate::metrics::{Counted, PUBLISH_ASYNC, StoredLatency, request_finished};
use answer::Answer;
use intake::{Intake, IntakeEnd, Owed};
use message::PublishMessage;
pub(crate) use route::PublishAsyncRoute;

/// Most messages of one call that were taken in and whose answers have not left. No more are read while it is reached.
const WINDOW_MESSAGES: usize = 8192;
/// Messages for which a call keeps room while nothing is under way.
const KEPT_MESSAGES: usize = 64;
/// How long answers are still waited for when no more messages will come.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

impl ApiService {
    pub(super) fn on_publish_async(&self, request: Request<Streaming<PublishMessage>>) -> Answers {
        let replies = ReplyQueue::new();
        let intake = Intake {
            identity: identity_of(&request),
            messages: request.into_inner(),
            publisher: Publisher::new(self.broker.clone()),
            waiting: None,
            gate: self.gate.clone(),
            replies: replies.clone(),
            stopping: Box::pin(self.stopping.clone().cancelled_owned()),
            in_a_row: 0,
            end: None,
        };
        Answers {
            phase: Phase::TakingIn(Box::new(intake)),
            owed: Slab::new(),
            replies,
            outcomes: VecDeque::new(),
            outcomes_at: Instant::now(),
            stored: StoredLatency::new(),
            refused: VecDeque::new(),
            has_stood_back: false,
            _counted: Counted::publish_stream(),
        }
    }
}

enum Phase {
    /// Messages may still come.
    TakingIn(Box<Intake<Streaming<PublishMessage>>>),
    /// No more messages come; answers that are still owed are waited for, then the call ends.
    Draining { until: Pin<Box<Sleep>>, end: Result<(), Status> },
    /// Everything was said.
    Ended,
}

/// The answers of one call. Messages are taken in only when no answer is ready to leave, and by the same task, so a
/// client that does not read its answers stops being read.
///
/// Invariant: the answers owed and those that have not left are at most [`WINDOW_MESSAGES`]. Dropping the stream stops the
/// intake; what was handed over by then is stored, and its answers go nowhere.
pub(crate) struct Answers {
    phase: Phase,
    /// What is known of the messages that wait for an outcome, by ticket.
    owed: Slab<Owed>,
    replies: ReplyQueue,
    /// Outcomes whose answers have not left.
    outcomes: VecDeque<QueuedOutcome>,
    /// When they were known.
    outcomes_at: Instant,
    stored: StoredLatency,
    /// Refusals that needed no outcome and have not left.
    refused: VecDeque<Answer>,
    /// Whether it has stood back since it last had nothing to do.
    has_stood_back: bool,
    _counted: Counted,
}

impl Answers {
    /// The next answer to send.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        if let Some(refusal) = self.refused.pop_front() {
            return Poll::Ready(refusal);
        }
        loop {
            while let Some(queued) = self.outcomes.pop_front() {
                if let Some(answer) = self.answer(queued) {
                    return Poll::Ready(answer);
                }
            }
            self.stored.record();
            // Without anything owed nothing can come, and nobody is to be woken.
            if self.owed.is_empty() || self.replies.poll_take(context, &mut self.outcomes).is_pending() {
                return Poll::Pending;
            }
            self.outcomes_at = Instant::now();
        }
    }

    /// The last look before there is nothing to do: what was taken in just now may be answered already, and is to wake this
    /// when it is not.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        let owed_before = self.owed.len();
        let answer = self.poll_answer(context);
        // Outcomes that need no answer have made room in a window that was full; nobody else would have messages taken in.
        let made_room = answer.is_pending() && self.owed.len() < owed_before;
        if made_room {
            context.waker().wake_by_ref();
        } else if answer.is_pending() && self.owed.is_empty() {
            self.shrink();
        }
        self.has_stood_back = answer.is_ready() || made_room;
        answer
    }

    /// Gives memory back that a burst left behind: calls stay open for as long as their client lives.
    fn shrink(&mut self) {
        if self.owed.capacity() <= KEPT_MESSAGES {
            return;
        }
        self.owed = Slab::new();
        self.outcomes = VecDeque::new();
        self.refused = VecDeque::new();
        self.replies.shrink();
        if let Phase::TakingIn(intake) = &mut self.phase {
            intake.publisher.shrink();
        }
    }

    /// The answer to one message; `None` when its publisher does not want to hear of a success.
    fn answer(&mut self, queued: QueuedOutcome) -> Option<Answer> {
        let Owed { correlation_id, ack_policy: policy, arrived_at } = self.owed.try_remove(queued.ticket)?;
        let took = self.outcomes_at.saturating_duration_since(arrived_at);
        match queued.outcome {
            Ok(acked) => {
                self.stored.add(took);
                (policy != AckPolicy::None).then_some(Answer::Acked { acked, policy, correlation_id })
            }
            Err(error) => {
                request_finished(PUBLISH_ASYNC, status::publish(&error).code(), took);
                Some(Answer::Refused { error: status::publish_async(&error), correlation_id })
            }
        }
    }

    /// Whether to let other tasks go first, once, after having been woken. Messages and answers come in bursts, and the
    /// first of a burst does the waking: one moment later there are many to take in and to send at once.
    fn stands_back(&mut self, context: &Context<'_>) -> bool {
        if self.has_stood_back {
            return false;
        }
        self.has_stood_back = true;
        context.waker().wake_by_ref();
        true
    }

    /// Moves on from one phase to the next; `Ready` when there is something new to look at.
    fn poll_phase(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.phase {
            Phase::TakingIn(intake) => {
                let Poll::Ready(end) = intake.poll(context, &mut self.owed, &mut self.refused) else {
                    // Refusals are answers that are ready.
                    return if self.refused.is_empty() { Poll::Pending } else { Poll::Ready(()) };
                };
                let (time, end) = match end {
                    IntakeEnd::HalfClosed => (DRAIN_TIME_MAX, Ok(())),
                    IntakeEnd::Stopping => (DRAIN_TIME_MAX, Err(Status::unavailable("server is shutting down"))),
                    IntakeEnd::Failed(status) => (Duration::ZERO, Err(status)),
                };
                self.phase = Phase::Draining { until: Box::pin(tokio::time::sleep(time)), end };
                Poll::Ready(())
            }
            Phase::Draining { .. } if self.owed.is_empty() => Poll::Ready(()),
            Phase::Draining { until, .. } => until.as_mut().poll(context),
            Phase::Ended => Poll::Pending,
        }
    }

    fn finish(&mut self) -> Option<Result<Answer, Status>> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Draining { end: Err(status), .. } => Some(Err(status)),
            Phase::Draining { end: Ok(()), .. } | Phase::TakingIn(_) | Phase::Ended => None,
        }
    }
}

impl Stream for Answers {
    type Item = Result<Answer, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.stands_back(context) {
            return Poll::Pending;
        }
        loop {
            if matches!(this.phase, Phase::Ended) {
                return Poll::Ready(None);
            }
            if let Poll::Ready(answer) = this.poll_answer(context) {
                return Poll::Ready(Some(Ok(answer)));
            }
            let was_draining = matches!(this.phase, Phase::Draining { .. });
            match this.poll_phase(context) {
                Poll::Ready(()) if was_draining => return Poll::Ready(this.finish()),
                Poll::Ready(()) => {}
                Poll::Pending => {
                    return this.poll_rest(context).map(|answer| Some(Ok(answer)));
                }
            }
        }
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("owed", &self.owed.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
