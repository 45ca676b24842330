//! Messages that other servers forward here. Owns that no more are taken in than have been answered, but for a window;
//! never what becomes of one.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use liftbridge_broker::{PublishReply, QueuedOutcome};
use liftbridge_proto::v1;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::peer::convert;
use crate::peer::inbox::Inbox;
use crate::peer::service::stopped;

/// Most messages of one call that were taken in and whose outcomes have not left. No more are read while it is reached.
const WINDOW_MESSAGES: usize = 16_384;

/// The outcomes of one call, as they become known.
pub(crate) struct Outcomes {
    outcomes: mpsc::UnboundedReceiver<QueuedOutcome>,
    window: Arc<Semaphore>,
    /// Taking in; `None` when no more comes in.
    intake: Option<Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>>,
    /// Why nothing came in any more, to be told after the last outcome.
    end: Result<(), Status>,
}

/// Takes messages in until the caller sends no more or the server stops.
pub(crate) fn take_in(
    inbox: Inbox,
    mut messages: Streaming<v1::ForwardedPublish>,
    stopping: CancellationToken,
) -> Outcomes {
    // It holds no more than the window lets in.
    let (sender, outcomes) = mpsc::unbounded_channel();
    let window = Arc::new(Semaphore::new(WINDOW_MESSAGES));
    let places = Arc::clone(&window);
    let intake = async move {
        let taking = async {
            loop {
                let Ok(place) = places.acquire().await else { return Ok(()) };
                let Some(message) = messages.message().await? else { return Ok(()) };
                // The place comes back when the outcome leaves.
                place.forget();
                let number = message.correlation.to_string();
                let publish = convert::publish(message);
                let reply = PublishReply::queued(sender.clone(), number, publish.ack_policy);
                inbox.publish(publish, reply).await;
            }
        };
        stopping.run_until_cancelled(taking).await.unwrap_or_else(|| Err(stopped()))
    };
    Outcomes { outcomes, window, intake: Some(Box::pin(intake)), end: Ok(()) }
}

impl Stream for Outcomes {
    type Item = Result<v1::ForwardedOutcome, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match this.outcomes.poll_recv(context) {
                Poll::Ready(Some(outcome)) => {
                    this.window.add_permits(1);
                    return Poll::Ready(Some(Ok(convert::outcome(outcome))));
                }
                // Everything that was taken in is answered, and the intake, which could send more, has ended.
                Poll::Ready(None) => {
                    let end = std::mem::replace(&mut this.end, Ok(()));
                    return Poll::Ready(end.err().map(Err));
                }
                Poll::Pending => {}
            }
            let Some(intake) = &mut this.intake else { return Poll::Pending };
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
