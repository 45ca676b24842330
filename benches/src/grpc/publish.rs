//! A publisher that keeps many messages on their way. Owns its window and that every message is acknowledged.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use liftbridge_proto::api;

use super::connection::Connection;
use crate::Failure;
use crate::noop_server::VALUE;

/// Most messages without an ack.
const WINDOW: u64 = 4096;
/// A publisher whose window was full goes on after so many acks, not after each.
const WAKE_EVERY: u64 = WINDOW / 4;

/// Publishes so many messages under `LEADER` and returns when the last one is acknowledged.
pub(super) async fn publish(mut connection: Connection, stream: &str, count: u64) -> Result<(), Failure> {
    let progress = Arc::new(Progress::default());
    let template = api::PublishRequest {
        value: VALUE,
        stream: stream.to_owned(),
        partition: connection.partition,
        ack_policy: api::AckPolicy::Leader.into(),
        expected_offset: -1,
        ..Default::default()
    };
    let requests = Requests { template, sent: 0, count, progress: Arc::clone(&progress) };
    let mut answers = connection.client.publish_async(requests).await?.into_inner();
    let mut acked = 0;
    while acked < count {
        let answer = answers.message().await?.ok_or("the server ended the call")?;
        if let Some(error) = answer.async_error {
            return Err(format!("message refused: {}", error.message).into());
        }
        answer.ack.ok_or("an answer without an ack")?;
        acked += 1;
        progress.acked(acked, count);
    }
    Ok(())
}

/// How far the acks have come.
#[derive(Default)]
struct Progress {
    acked: AtomicU64,
    publisher: AtomicWaker,
}

impl Progress {
    fn acked(&self, acked: u64, count: u64) {
        self.acked.store(acked, Ordering::Release);
        if acked.is_multiple_of(WAKE_EVERY) || acked == count {
            self.publisher.wake();
        }
    }
}

/// The messages, as fast as the window and the connection take them. Ends with the last ack.
struct Requests {
    template: api::PublishRequest,
    sent: u64,
    count: u64,
    progress: Arc<Progress>,
}

impl Stream for Requests {
    type Item = api::PublishRequest;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let is_blocked = |acked| acked < this.count && (this.sent == this.count || this.sent - acked >= WINDOW);
        let mut acked = this.progress.acked.load(Ordering::Acquire);
        if is_blocked(acked) {
            this.progress.publisher.register(context.waker());
            // An ack may have come before the waker was in place.
            acked = this.progress.acked.load(Ordering::Acquire);
            if is_blocked(acked) {
                return Poll::Pending;
            }
        }
        if acked == this.count {
            return Poll::Ready(None);
        }
        this.sent += 1;
        Poll::Ready(Some(api::PublishRequest { correlation_id: this.sent.to_string(), ..this.template.clone() }))
    }
}
