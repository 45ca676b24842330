//! Many messages one after the other, answered as they are stored.
//!
//! Messages are taken in one by one; their answers leave in the order in which they are given. The call itself never
//! fails because of a message. It lives as long as the client keeps it open, idle or not.

mod intake;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use liftbridge_broker::QueuedOutcome;
use liftbridge_proto::api;
use liftbridge_types::AckPolicy;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Sleep;
use tonic::{Request, Status, Streaming};

use super::convert::ReplyTo;
use super::{ApiService, convert, status};
use crate::gate::identity_of;
use crate::metrics::Counted;
use intake::{Intake, IntakeEnd};

/// Most messages of one call that were taken in and whose answers have not left. No more are read while it is reached.
const WINDOW_MESSAGES: usize = 8192;
/// How long answers are still waited for when no more messages will come.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

impl ApiService {
    pub(super) fn on_publish_async(&self, request: Request<Streaming<api::PublishRequest>>) -> Answers {
        let identity = identity_of(&request);
        // Neither queue holds more than the window lets in.
        let (outcome_sender, outcomes) = mpsc::unbounded_channel();
        let (refusal_sender, refusals) = mpsc::unbounded_channel();
        let window = Arc::new(Semaphore::new(WINDOW_MESSAGES));
        let intake = Intake {
            broker: self.broker.clone(),
            gate: self.gate.clone(),
            identity,
            window: Arc::clone(&window),
            outcomes: outcome_sender,
            refusals: refusal_sender,
        };
        let stopping = self.stopping.clone();
        Answers {
            outcomes,
            refusals,
            window,
            left: 0,
            has_stood_back: false,
            phase: Phase::TakingIn(Box::pin(intake.run(request.into_inner(), stopping))),
            _counted: Counted::publish_stream(),
        }
    }
}

enum Phase {
    /// Messages may still come.
    TakingIn(Pin<Box<dyn Future<Output = IntakeEnd> + Send>>),
    /// No more messages come; answers that are still owed are waited for, then the call ends.
    Draining { until: Pin<Box<Sleep>>, end: Result<(), Status> },
    /// Everything was said.
    Ended,
}

/// The answers of one call. Messages are taken in only when no answer is ready to leave, and by the same task, so a
/// client that does not read its answers stops being read.
///
/// Invariant: `window`, `left` and the answers still owed add up to [`WINDOW_MESSAGES`]. Dropping the stream stops the intake;
/// what was handed over by then is stored, and its answers go nowhere.
pub(crate) struct Answers {
    outcomes: mpsc::UnboundedReceiver<QueuedOutcome>,
    refusals: mpsc::UnboundedReceiver<api::PublishResponse>,
    window: Arc<Semaphore>,
    /// Answers that have left and whose places in the window are not yet given back.
    left: usize,
    phase: Phase,
    /// Whether it has stood back since it last had nothing to do.
    has_stood_back: bool,
    _counted: Counted,
}

impl Answers {
    /// The next answer to send; `None` when no more can come.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Option<api::PublishResponse>> {
        let outcomes_ended = loop {
            match self.outcomes.poll_recv(context) {
                Poll::Ready(Some(queued)) => {
                    self.left += 1;
                    if let Some(response) = answer(queued) {
                        return Poll::Ready(Some(response));
                    }
                }
                Poll::Ready(None) => break true,
                Poll::Pending => break false,
            }
        };
        match self.refusals.poll_recv(context) {
            Poll::Ready(Some(response)) => {
                self.left += 1;
                Poll::Ready(Some(response))
            }
            Poll::Ready(None) if outcomes_ended => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
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
                let Poll::Ready(end) = intake.as_mut().poll(context) else { return Poll::Pending };
                let (time, end) = match end {
                    IntakeEnd::HalfClosed => (DRAIN_TIME_MAX, Ok(())),
                    IntakeEnd::Stopping => (DRAIN_TIME_MAX, Err(Status::unavailable("server is shutting down"))),
                    IntakeEnd::Failed(status) => (Duration::ZERO, Err(status)),
                };
                self.phase = Phase::Draining { until: Box::pin(tokio::time::sleep(time)), end };
                Poll::Ready(())
            }
            Phase::Draining { until, .. } => until.as_mut().poll(context),
            Phase::Ended => Poll::Pending,
        }
    }

    fn finish(&mut self) -> Option<Result<api::PublishResponse, Status>> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Draining { end: Err(status), .. } => Some(Err(status)),
            Phase::Draining { end: Ok(()), .. } | Phase::TakingIn(_) | Phase::Ended => None,
        }
    }
}

impl Stream for Answers {
    type Item = Result<api::PublishResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.stands_back(context) {
            return Poll::Pending;
        }
        loop {
            if matches!(this.phase, Phase::Ended) {
                return Poll::Ready(None);
            }
            match this.poll_answer(context) {
                Poll::Ready(Some(response)) => return Poll::Ready(Some(Ok(response))),
                Poll::Ready(None) => return Poll::Ready(this.finish()),
                Poll::Pending => {}
            }
            this.window.add_permits(std::mem::take(&mut this.left));
            let was_draining = matches!(this.phase, Phase::Draining { .. });
            match this.poll_phase(context) {
                Poll::Ready(()) if was_draining => return Poll::Ready(this.finish()),
                Poll::Ready(()) => {}
                Poll::Pending => {
                    this.has_stood_back = false;
                    return Poll::Pending;
                }
            }
        }
    }
}

/// The answer to one message; `None` when its publisher does not want to hear of a success.
fn answer(queued: QueuedOutcome) -> Option<api::PublishResponse> {
    let QueuedOutcome { correlation_id, ack_policy, outcome } = queued;
    match outcome {
        Ok(_) if ack_policy == AckPolicy::None => None,
        Ok(acked) => {
            let reply_to = ReplyTo { correlation_id: correlation_id.clone(), ack_inbox: String::new() };
            let ack = Some(convert::ack(&acked, ack_policy, reply_to));
            Some(api::PublishResponse { ack, async_error: None, correlation_id })
        }
        Err(error) => Some(refusal(status::publish_async(&error), correlation_id)),
    }
}

/// An error's answer. Its ack is there but empty, because older clients look at nothing else.
fn refusal(error: api::PublishAsyncError, correlation_id: String) -> api::PublishResponse {
    api::PublishResponse { ack: Some(api::Ack::default()), async_error: Some(error), correlation_id }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("window", &self.window.available_permits()).finish_non_exhaustive()
    }
}
