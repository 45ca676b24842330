//! A running subscription. Owns where it is and how it goes on when its server goes away; never how it begins (`handshake`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use liftbridge_types::Offset;
use tokio::time::Instant;
use tonic::Code;
use tracing::info;

use crate::cluster::Router;
use crate::convert;
use crate::error::{CallError, PartitionName, RouteError, SubscribeError};
use crate::subscribe::handshake::{self, Begun};
use crate::subscribe::{ReceivedMessage, Subscribe};

/// The first pause between attempts to go on elsewhere; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// What servers say to a subscriber that has read everything up to its stop position already, upward and downward.
const NOTHING_LEFT: [&str; 2] = ["Stop offset is before start offset", "Stop offset is after start offset"];

/// The messages of one partition, in order. Ends after the stop position, at the end of a read-only partition, or with one error.
///
/// When its server goes away it goes on with the next message at the partition's new leader, trying for the client's
/// resubscribe window. Until the first message has arrived, "the next" is again the start position asked for: for
/// [`crate::Start::NewOnly`] that is what is new by then. Dropping it ends it.
#[derive(Debug)]
#[must_use = "messages arrive only while the stream is polled"]
pub struct Subscription {
    router: Arc<Router>,
    /// What is left to read.
    rest: Subscribe,
    last: Option<Offset>,
    phase: Phase,
}

enum Phase {
    Receiving(Box<Begun>),
    GoingOn(BoxFuture<'static, Result<Option<Begun>, SubscribeError>>),
    Ended,
}

impl std::fmt::Debug for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Receiving(_) => "Receiving",
            Self::GoingOn(_) => "GoingOn",
            Self::Ended => "Ended",
        })
    }
}

impl Subscription {
    pub(crate) async fn begin(router: Arc<Router>, subscribe: Subscribe) -> Result<Self, SubscribeError> {
        let begun = handshake::begin(&router, &subscribe).await?;
        Ok(Self { router, rest: subscribe, last: None, phase: Phase::Receiving(Box::new(begun)) })
    }

    /// The offset of the last message that was delivered.
    pub fn last_offset(&self) -> Option<Offset> {
        self.last
    }

    fn end(&mut self, with: Option<SubscribeError>) -> Option<Result<ReceivedMessage, SubscribeError>> {
        self.phase = Phase::Ended;
        with.map(Err)
    }

    /// What follows from the end of a stream of messages: the end of the subscription, or another attempt.
    fn on_error(&mut self, error: CallError) -> Option<Option<Result<ReceivedMessage, SubscribeError>>> {
        let Subscribe { stream, partition, .. } = &self.rest;
        let end = match error.code {
            Code::Unavailable => {
                info!(%stream, %partition, last = ?self.last, %error, "subscription lost its server");
                self.go_on(error);
                return None;
            }
            Code::ResourceExhausted => None,
            Code::NotFound => Some(SubscribeError::StreamDeleted { stream: stream.clone() }),
            Code::FailedPrecondition => Some(SubscribeError::Paused(PartitionName::new(stream, *partition))),
            Code::DataLoss => Some(SubscribeError::data_loss(error.message)),
            _ => Some(SubscribeError::Call(error)),
        };
        Some(self.end(end))
    }

    fn go_on(&mut self, cause: CallError) {
        self.phase = match self.last.map_or_else(|| Some(self.rest.clone()), |last| self.rest.after(last)) {
            Some(rest) => {
                self.rest = rest.clone();
                Phase::GoingOn(Box::pin(go_on(Arc::clone(&self.router), rest, cause)))
            }
            None => Phase::Ended,
        };
    }
}

impl Stream for Subscription {
    type Item = Result<ReceivedMessage, SubscribeError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let this = &mut *self;
            match &mut this.phase {
                Phase::Receiving(begun) => match ready!(Pin::new(&mut begun.messages).poll_next(context)) {
                    Some(Ok(message)) => {
                        let Some(message) = convert::received_message(message) else {
                            return Poll::Ready(
                                this.end(Some(SubscribeError::Malformed { what: "a negative number" })),
                            );
                        };
                        this.last = Some(message.offset);
                        return Poll::Ready(Some(Ok(message)));
                    }
                    Some(Err(status)) => {
                        let error = CallError::from_status(&begun.address.to_string(), &status);
                        if let Some(item) = this.on_error(error) {
                            return Poll::Ready(item);
                        }
                    }
                    None => return Poll::Ready(this.end(None)),
                },
                Phase::GoingOn(attempt) => match ready!(attempt.as_mut().poll(context)) {
                    Ok(Some(begun)) => this.phase = Phase::Receiving(Box::new(begun)),
                    Ok(None) => return Poll::Ready(this.end(None)),
                    Err(error) => return Poll::Ready(this.end(Some(error))),
                },
                Phase::Ended => return Poll::Ready(None),
            }
        }
    }
}

fn says_nothing_left(error: &CallError) -> bool {
    NOTHING_LEFT.iter().any(|text| error.message.starts_with(text))
}

/// Begins `rest` wherever that is possible, within the window; `None` when nothing of it is left. `cause` is why it is necessary.
async fn go_on(router: Arc<Router>, rest: Subscribe, cause: CallError) -> Result<Option<Begun>, SubscribeError> {
    let until = Instant::now() + router.limits().resubscribe_window;
    let mut pause = PAUSE_FIRST.min(router.limits().resubscribe_window);
    let mut last_error = SubscribeError::Call(cause);
    router.cache().forget_streams();
    loop {
        match tokio::time::timeout_at(until, handshake::begin(&router, &rest)).await {
            Ok(Ok(begun)) => return Ok(Some(begun)),
            Ok(Err(SubscribeError::NothingToRead { .. })) => return Ok(None),
            Ok(Err(SubscribeError::Call(error))) if says_nothing_left(&error) => return Ok(None),
            Ok(Err(
                SubscribeError::NotFound(PartitionName { stream, .. })
                | SubscribeError::Route(RouteError::UnknownStream { stream }),
            )) => return Err(SubscribeError::StreamDeleted { stream }),
            Ok(Err(error)) if error.retryable() && !matches!(error, SubscribeError::Paused(_)) => last_error = error,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(last_error),
        }
        if Instant::now() + pause >= until {
            return Err(last_error);
        }
        // Not all the subscribers of a server that went away should come back at once.
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
