//! The outcome of a publish that is still on its way. Owns the waiting end; never decides the outcome.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::error::PublishError;
use crate::publish::Ack;

/// Resolves to the message's ack, `None` with [`crate::AckPolicy::None`]. It resolves within the ack timeout, polled or not, and may
/// be dropped by those who do not want to know.
#[derive(Debug)]
#[must_use = "the outcome of a publish is only known from its ack"]
pub struct AckFuture {
    reply: Option<oneshot::Receiver<Result<Ack, PublishError>>>,
}

impl AckFuture {
    pub(crate) fn not_asked_for() -> Self {
        Self { reply: None }
    }

    pub(crate) fn waiting(reply: oneshot::Receiver<Result<Ack, PublishError>>) -> Self {
        Self { reply: Some(reply) }
    }
}

impl Future for AckFuture {
    type Output = Result<Option<Ack>, PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.reply {
            None => Poll::Ready(Ok(None)),
            Some(reply) => {
                Pin::new(reply).poll(context).map(|outcome| outcome.unwrap_or(Err(PublishError::Closed)).map(Some))
            }
        }
    }
}
