//! Publishers under measurement: each sends, and each times its own acks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use liftbridge_client::{AckFuture, AckPolicy, Client, Outgoing, Producer, ProducerWindow, PublishError, RoundRobin};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::commands::bench::latency::Latencies;
use crate::commands::bench::pacer::{self, Extent};
use crate::failure::Failure;

/// Bytes a producer may have outstanding. Large, so that the window in messages is what counts.
const WINDOW_BYTES: u32 = 256 * 1024 * 1024;

/// What is to be published.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) stream: String,
    pub(super) value: Bytes,
    pub(super) ack: AckPolicy,
    pub(super) publishers: usize,
    /// Messages each publisher may have outstanding.
    pub(super) window: u32,
    /// Messages a second altogether; `None` = as fast as the windows allow.
    pub(super) rate: Option<u32>,
    pub(super) extent: Extent,
    /// Writes into each value when it was due, as nanoseconds since this instant.
    pub(super) stamp: Option<Instant>,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    pub(super) first_error: Option<PublishError>,
    pub(super) latencies: Latencies,
}

impl Load {
    /// Publishes, spread over `clients`, until the extent is reached and everything is acknowledged or given up.
    pub(super) async fn run(&self, clients: &[Client]) -> Result<Outcome, Failure> {
        let mut due = match self.rate {
            Some(rate) => pacer::start(rate, self.extent, self.publishers)?.into_iter().map(Some).collect(),
            None => Vec::new(),
        };
        due.resize_with(self.publishers, || None);
        let budget = Arc::new(Budget::new(self.extent));
        let window = ProducerWindow { messages: self.window, bytes: WINDOW_BYTES };
        let mut publishers = JoinSet::new();
        for (due, client) in due.into_iter().zip(clients.iter().cycle()) {
            let publisher = Publisher {
                load: self.clone(),
                producer: client.producer_with(window),
                turns: RoundRobin::new(),
                budget: Arc::clone(&budget),
            };
            publishers.spawn(publisher.run(due));
        }
        let mut total = Outcome { sent: 0, acknowledged: 0, first_error: None, latencies: Latencies::new() };
        for outcome in publishers.join_all().await {
            total.sent += outcome.sent;
            total.acknowledged += outcome.acknowledged;
            total.first_error = total.first_error.or(outcome.first_error);
            total.latencies.merge(&outcome.latencies);
        }
        Ok(total)
    }
}

struct Publisher {
    load: Load,
    producer: Producer,
    turns: RoundRobin,
    budget: Arc<Budget>,
}

impl Publisher {
    async fn run(self, due: Option<mpsc::Receiver<Instant>>) -> Outcome {
        let (acks, queue) = mpsc::channel(1024);
        let (sent, mut outcome) = tokio::join!(self.send(due, acks), time_acks(queue));
        match sent {
            Ok(sent) => outcome.sent = sent,
            Err((sent, error)) => {
                outcome.sent = sent + 1;
                outcome.first_error.get_or_insert(error);
            }
        }
        outcome
    }

    async fn send(
        &self,
        mut due: Option<mpsc::Receiver<Instant>>,
        acks: mpsc::Sender<(Instant, AckFuture)>,
    ) -> Result<u64, (u64, PublishError)> {
        let mut sent = 0;
        while let Some(begun) = self.next(&mut due).await {
            let ack = self.producer.publish(&self.load.stream, self.message(begun)).await;
            let ack = ack.map_err(|error| (sent, error))?;
            sent += 1;
            if acks.send((begun, ack)).await.is_err() {
                break;
            }
        }
        Ok(sent)
    }

    /// From when the next message's time counts; `None` when there is no next one.
    async fn next(&self, due: &mut Option<mpsc::Receiver<Instant>>) -> Option<Instant> {
        match due {
            Some(due) => due.recv().await,
            None => self.budget.take().then(Instant::now),
        }
    }

    fn message(&self, begun: Instant) -> Outgoing {
        let value = match self.load.stamp {
            Some(since) => stamped(&self.load.value, begun.duration_since(since)),
            None => self.load.value.clone(),
        };
        Outgoing::new(value).ack(self.load.ack).round_robin(&self.turns)
    }
}

/// Takes the time of each ack as it arrives, in whatever order.
async fn time_acks(mut queue: mpsc::Receiver<(Instant, AckFuture)>) -> Outcome {
    let mut outcome = Outcome { sent: 0, acknowledged: 0, first_error: None, latencies: Latencies::new() };
    let mut waiting = FuturesUnordered::new();
    let mut is_open = true;
    loop {
        tokio::select! {
            biased;
            Some((result, time)) = waiting.next() => match result {
                Ok(_) => {
                    outcome.acknowledged += 1;
                    outcome.latencies.record(time);
                }
                Err(error) => {
                    outcome.first_error.get_or_insert(error);
                }
            },
            next = queue.recv(), if is_open => match next {
                Some((begun, ack)) => waiting.push(async move { (ack.await, begun.elapsed()) }),
                None => is_open = false,
            },
            else => return outcome,
        }
    }
}

/// What is left to be published in a closed loop, shared by all publishers.
#[derive(Debug)]
struct Budget {
    left: Option<AtomicU64>,
    until: Option<Instant>,
}

impl Budget {
    fn new(extent: Extent) -> Self {
        Self {
            left: extent.count.map(AtomicU64::new),
            until: extent.duration.map(|duration| Instant::now() + duration),
        }
    }

    fn take(&self) -> bool {
        let in_time = self.until.is_none_or(|until| Instant::now() < until);
        let take_one = |left: &AtomicU64| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        };
        in_time && self.left.as_ref().is_none_or(take_one)
    }
}

/// Bytes of a stamp.
pub(super) const STAMP_BYTES: usize = 8;

fn stamped(value: &Bytes, time: Duration) -> Bytes {
    let mut stamped = value.to_vec();
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    if let Some(place) = stamped.first_chunk_mut::<STAMP_BYTES>() {
        *place = nanos.to_be_bytes();
    }
    stamped.into()
}

/// The time a value was stamped with.
pub(super) fn stamp_of(value: &[u8]) -> Option<Duration> {
    value.first_chunk::<STAMP_BYTES>().map(|bytes| Duration::from_nanos(u64::from_be_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_messages_is_used_up() {
        let budget = Budget::new(Extent { count: Some(2), duration: None });
        assert_eq!([budget.take(), budget.take(), budget.take()], [true, true, false]);
    }

    #[test]
    fn a_budget_of_time_is_used_up() {
        let budget = Budget::new(Extent { count: None, duration: Some(Duration::ZERO) });
        assert!(!budget.take());
    }

    #[test]
    fn stamps_are_read_back() {
        let time = Duration::from_nanos(123_456_789);
        assert_eq!(stamp_of(&stamped(&Bytes::from_static(&[0; 9]), time)), Some(time));
        assert_eq!(stamp_of(b"short"), None);
    }
}
