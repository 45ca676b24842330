//! Messages that other servers forward here. Owns that no more are taken in than have been answered, but for a window;
//! never what becomes of one.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use liftbridge_broker::{PublishReply, QueuedOutcome, ReplyQueue};
use liftbridge_proto::v1;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::peer::convert;
use crate::peer::inbox::Inbox;
use crate::peer::service::stopped;

/// Most messages of one call that were taken in and whose outcomes have not left. No more are read while it is reached.
const WINDOW_MESSAGES: usize = 16_384;

/// The outcomes of one call, as they become known.
///
/// Invariant: the places of the window that are not free are the messages that were taken in and whose outcomes have not
/// left, and one more while the intake waits for a message.
pub(crate) struct Outcomes {
    replies: ReplyQueue,
    /// Outcomes that have not left.
    known: VecDeque<QueuedOutcome>,
    window: Arc<Semaphore>,
    /// Taking in; `None` when no more comes in.
    intake: Option<BoxFuture<'static, Result<(), Status>>>,
    /// Why nothing came in any more, to be told after the last outcome.
    end: Result<(), Status>,
}

/// Takes messages in until the caller sends no more or the server stops.
pub(crate) fn take_in(
    inbox: Inbox,
    mut messages: Streaming<v1::ForwardedPublish>,
    stopping: CancellationToken,
) -> Outcomes {
    let replies = ReplyQueue::new();
    let window = Arc::new(Semaphore::new(WINDOW_MESSAGES));
    let (queue, places) = (replies.clone(), Arc::clone(&window));
    let intake = async move {
        let taking = async {
            loop {
                let Ok(place) = places.acquire().await else { return Ok(()) };
                let Some(message) = messages.message().await? else { return Ok(()) };
                // The place comes back when the outcome leaves.
                place.forget();
                let ticket = usize::try_from(message.correlation).unwrap_or(usize::MAX);
                inbox.publish(convert::publish(message), PublishReply::queued(queue.clone(), ticket)).await;
            }
        };
        stopping.run_until_cancelled(taking).await.unwrap_or_else(|| Err(stopped()))
    };
    Outcomes { replies, known: VecDeque::new(), window, intake: Some(Box::pin(intake)), end: Ok(()) }
}

impl Stream for Outcomes {
    type Item = Result<v1::ForwardedOutcome, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(outcome) = this.known.pop_front() {
                this.window.add_permits(1);
                return Poll::Ready(Some(Ok(convert::outcome(outcome))));
            }
            if this.replies.poll_take(context, &mut this.known).is_ready() {
                continue;
            }
            let Some(intake) = &mut this.intake else {
                if this.window.available_permits() < WINDOW_MESSAGES {
                    return Poll::Pending;
                }
                let end = std::mem::replace(&mut this.end, Ok(()));
                return Poll::Ready(end.err().map(Err));
            };
            let Poll::Ready(end) = intake.as_mut().poll(context) else { return Poll::Pending };
            this.end = end;
            this.intake = None;
        }
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").field("window", &self.window.available_permits()).finish_non_exhaustive()
    }
}
