//! The answer a publisher is owed. Owns that exactly one is given; never what it says.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::errors::PublishError;
use crate::reply_queue::{QueuedOutcome, ReplyQueue};
use crate::requests::Acked;

/// What became of a publish.
pub type PublishOutcome = Result<Acked, PublishError>;

/// An answer that is owed: given by [`PublishReply::answer`], or an error when dropped.
#[must_use = "a publisher waits for this answer"]
#[derive(Debug)]
pub struct PublishReply(To);

#[derive(Debug)]
enum To {
    Nobody,
    One(oneshot::Sender<PublishOutcome>),
    Queue {
        queue: ReplyQueue,
        ticket: usize,
    },
    /// Whoever of several answers first does so for all.
    First(Arc<Mutex<PublishReply>>),
    /// Somebody of this server, who passes it on or tries again.
    Call(Call),
}

/// What is called with an answer.
struct Call(Box<dyn FnOnce(PublishOutcome) + Send>);

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call")
    }
}

impl PublishReply {
    /// An answer nobody waits for.
    pub fn nobody() -> Self {
        Self(To::Nobody)
    }

    /// An answer to one waiting publisher.
    pub fn one() -> (Self, oneshot::Receiver<PublishOutcome>) {
        let (sender, receiver) = oneshot::channel();
        (Self(To::One(sender)), receiver)
    }

    /// An answer to a publisher that pipelines, which knows this publish by `ticket`. It bounds how many publishes it has
    /// under way, and so the queue.
    pub fn queued(queue: ReplyQueue, ticket: usize) -> Self {
        Self(To::Queue { queue, ticket })
    }

    /// An answer that `take` gets, from any thread; it must not block.
    pub(crate) fn calling(take: impl FnOnce(PublishOutcome) + Send + 'static) -> Self {
        Self(To::Call(Call(Box::new(take))))
    }

    /// As many answers as wanted, of which the first one given becomes this one.
    pub(crate) fn first_of(self, count: usize) -> Vec<Self> {
        if count == 1 {
            return vec![self];
        }
        let shared = Arc::new(Mutex::new(self));
        (0..count).map(|_| Self(To::First(Arc::clone(&shared)))).collect()
    }

    /// Gives the answer. A publisher that has gone is no error.
    pub fn answer(mut self, outcome: PublishOutcome) {
        self.give(outcome);
    }

    fn give(&mut self, outcome: PublishOutcome) {
        match std::mem::replace(&mut self.0, To::Nobody) {
            To::Nobody => {}
            To::One(sender) => drop(sender.send(outcome)),
            To::Queue { queue, ticket } => queue.push(QueuedOutcome { ticket, outcome }),
            To::First(shared) => shared.lock().give(outcome),
            To::Call(Call(take)) => take(outcome),
        }
    }
}

impl Drop for PublishReply {
    fn drop(&mut self) {
        if !matches!(self.0, To::Nobody) {
            self.give(Err(PublishError::Closed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_answers_for_all_even_when_it_is_dropped() {
        let (reply, mut outcome) = PublishReply::one();
        let mut replies = reply.first_of(3).into_iter();
        assert!(outcome.try_recv().is_err(), "nobody has answered yet");
        replies.next().unwrap().answer(Err(PublishError::DiskFull));
        replies.next().unwrap().answer(Err(PublishError::NotLeader));
        drop(replies);
        assert_eq!(outcome.try_recv().unwrap().unwrap_err(), PublishError::DiskFull);

        let (reply, mut outcome) = PublishReply::one();
        drop(reply.first_of(2));
        assert_eq!(outcome.try_recv().unwrap().unwrap_err(), PublishError::Closed);
    }
}
