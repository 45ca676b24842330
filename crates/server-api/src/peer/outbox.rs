//! What waits to be sent on one link. Owns the order in which it leaves and how much of it may wait; never what is in it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use parking_lot::Mutex;

/// Which of the messages of a link go first: all of a lane leave before any of the next. Within one they keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Of the metadata's raft group: small, and a late one costs an election.
    Raft,
    /// A follower's words to its leader: small, and publishers wait for them.
    Answers,
    /// A leader's to its followers: as large as what is published.
    Batches,
}

const LANES: usize = 3;

/// A message that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There is no connection to send it on.
    Down,
    /// As much waits as may.
    Full,
}

/// What may wait, in bytes for each lane. One message is taken whatever its size when nothing waits in its lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxBounds {
    pub(crate) raft_bytes_max: usize,
    pub(crate) answers_bytes_max: usize,
    pub(crate) batches_bytes_max: usize,
}

impl OutboxBounds {
    fn of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Raft => self.raft_bytes_max,
            Lane::Answers => self.answers_bytes_max,
            Lane::Batches => self.batches_bytes_max,
        }
    }
}

#[derive(Debug)]
struct Queue<T> {
    messages: VecDeque<(T, usize)>,
    bytes: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { messages: VecDeque::new(), bytes: 0 }
    }
}

#[derive(Debug)]
struct Waiting<T> {
    /// Which connection it is sent on; `None` while there is none.
    connection: Option<u64>,
    connections: u64,
    lanes: [Queue<T>; LANES],
    waker: Option<Waker>,
}

/// What waits to be sent on one link. Nothing waits while there is no connection: what was said before it would be old news.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    bounds: OutboxBounds,
    waiting: Mutex<Waiting<T>>,
}

impl<T> Outbox<T> {
    /// An empty outbox of a link without a connection.
    pub(crate) fn new(bounds: OutboxBounds) -> Self {
        let waiting = Waiting { connection: None, connections: 0, lanes: Default::default(), waker: None };
        Self { bounds, waiting: Mutex::new(waiting) }
    }

    /// Puts a message of about `bytes` bytes into its lane.
    pub(crate) fn push(&self, lane: Lane, message: T, bytes: usize) -> Result<(), NotTaken> {
        let mut waiting = self.waiting.lock();
        if waiting.connection.is_none() {
            return Err(NotTaken::Down);
        }
        let [raft, answers, batches] = &mut waiting.lanes;
        let queue = match lane {
            Lane::Raft => raft,
            Lane::Answers => answers,
            Lane::Batches => batches,
        };
        if !queue.messages.is_empty() && queue.bytes.saturating_add(bytes) > self.bounds.of(lane) {
            return Err(NotTaken::Full);
        }
        queue.messages.push_back((message, bytes));
        queue.bytes = queue.bytes.saturating_add(bytes);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Takes no more messages until there is another connection, and forgets those that wait.
    pub(crate) fn disconnect(&self) {
        let mut waiting = self.waiting.lock();
        waiting.connection = None;
        waiting.lanes = Default::default();
        let former = waiting.waker.take();
        drop(waiting);
        if let Some(former) = former {
            former.wake();
        }
    }

    /// Begins to take messages, for a new connection. The one before gets no more of them.
    pub(crate) fn connect(self: &Arc<Self>) -> Outgoing<T> {
        self.disconnect();
        let mut waiting = self.waiting.lock();
        waiting.connections += 1;
        let connection = waiting.connections;
        waiting.connection = Some(connection);
        drop(waiting);
        Outgoing { outbox: Arc::clone(self), connection }
    }
}

/// The messages of an outbox as they leave on one connection. Without it the link is down.
#[derive(Debug)]
pub(crate) struct Outgoing<T> {
    outbox: Arc<Outbox<T>>,
    connection: u64,
}

impl<T> Stream for Outgoing<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut waiting = self.outbox.waiting.lock();
        if waiting.connection != Some(self.connection) {
            return Poll::Ready(None);
        }
        for queue in &mut waiting.lanes {
            if let Some((message, bytes)) = queue.messages.pop_front() {
                queue.bytes = queue.bytes.saturating_sub(bytes);
                return Poll::Ready(Some(message));
            }
        }
        if waiting.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            waiting.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl<T> Drop for Outgoing<T> {
    fn drop(&mut self) {
        let mut waiting = self.outbox.waiting.lock();
        if waiting.connection == Some(self.connection) {
            waiting.connection = None;
            waiting.lanes = Default::default();
            waiting.waker = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::StreamExt;

    use super::*;

    fn outbox(bytes: usize) -> Arc<Outbox<&'static str>> {
        Arc::new(Outbox::new(OutboxBounds {
            raft_bytes_max: bytes,
            answers_bytes_max: bytes,
            batches_bytes_max: bytes,
        }))
    }

    fn all(outgoing: &mut Outgoing<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| outgoing.next().now_or_never().flatten()).collect()
    }

    #[test]
    fn raft_goes_first_and_every_lane_keeps_its_order() {
        let outbox = outbox(100);
        let mut outgoing = outbox.connect();
        let sent = [
            (Lane::Batches, "batch 1"),
            (Lane::Answers, "answer 1"),
            (Lane::Batches, "batch 2"),
            (Lane::Raft, "raft 1"),
            (Lane::Answers, "answer 2"),
            (Lane::Raft, "raft 2"),
        ];
        for (lane, message) in sent {
            outbox.push(lane, message, 1).unwrap();
        }
        assert_eq!(all(&mut outgoing), ["raft 1", "raft 2", "answer 1", "answer 2", "batch 1", "batch 2"]);
    }

    #[test]
    fn a_full_lane_takes_no_more_and_the_others_do() {
        let outbox = outbox(10);
        let mut outgoing = outbox.connect();
        outbox.push(Lane::Batches, "6", 6).unwrap();
        assert_eq!(outbox.push(Lane::Batches, "5", 5), Err(NotTaken::Full));
        outbox.push(Lane::Batches, "4", 4).unwrap();
        assert_eq!(outbox.push(Lane::Batches, "1", 1), Err(NotTaken::Full));
        outbox.push(Lane::Raft, "raft", 10).unwrap();
        assert_eq!(all(&mut outgoing), ["raft", "6", "4"]);
        outbox.push(Lane::Batches, "1", 1).unwrap();
    }

    #[test]
    fn what_is_larger_than_its_lane_is_taken_when_nothing_waits() {
        let outbox = outbox(10);
        let mut outgoing = outbox.connect();
        outbox.push(Lane::Batches, "11", 11).unwrap();
        assert_eq!(outbox.push(Lane::Batches, "1", 1), Err(NotTaken::Full));
        assert_eq!(all(&mut outgoing), ["11"]);
    }

    #[test]
    fn nothing_is_taken_and_nothing_kept_without_a_connection() {
        let outbox = outbox(10);
        assert_eq!(outbox.push(Lane::Raft, "early", 1), Err(NotTaken::Down));
        let first = outbox.connect();
        outbox.push(Lane::Raft, "lost", 1).unwrap();
        drop(first);
        assert_eq!(outbox.push(Lane::Raft, "between", 1), Err(NotTaken::Down));
        let mut second = outbox.connect();
        assert_eq!(all(&mut second), Vec::<&str>::new());
    }

    #[test]
    fn a_former_connection_gets_nothing_and_ends_nothing() {
        let outbox = outbox(10);
        let mut former = outbox.connect();
        let mut current = outbox.connect();
        outbox.push(Lane::Raft, "raft", 1).unwrap();
        assert_eq!(former.next().now_or_never(), Some(None));
        drop(former);
        assert_eq!(all(&mut current), ["raft"]);
        outbox.push(Lane::Raft, "raft", 1).unwrap();
    }
}
