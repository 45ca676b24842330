//! The answer a publisher is owed. Owns that exactly one is given; never what it says.

use liftbridge_types::AckPolicy;
use tokio::sync::{mpsc, oneshot};

use crate::errors::PublishError;
use crate::requests::Acked;

/// What became of a publish.
pub type PublishOutcome = Result<Acked, PublishError>;

/// The outcome of one of many publishes that share a queue.
#[derive(Debug)]
pub struct QueuedOutcome {
    /// What the publisher calls this publish.
    pub correlation_id: String,
    /// What the publisher waits for: whether it wants to hear of a success.
    pub ack_policy: AckPolicy,
    /// What became of it.
    pub outcome: PublishOutcome,
}

/// An answer that is owed: given by [`PublishReply::answer`], or an error when dropped.
#[must_use = "a publisher waits for this answer"]
#[derive(Debug)]
pub struct PublishReply(Option<To>);

#[derive(Debug)]
enum To {
    Nobody,
    One(oneshot::Sender<PublishOutcome>),
    Queue { queue: mpsc::UnboundedSender<QueuedOutcome>, correlation_id: String, ack_policy: AckPolicy },
}

impl PublishReply {
    /// An answer nobody waits for.
    pub fn nobody() -> Self {
        Self(Some(To::Nobody))
    }

    /// An answer to one waiting publisher.
    pub fn one() -> (Self, oneshot::Receiver<PublishOutcome>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(To::One(sender))), receiver)
    }

    /// An answer to a publisher that pipelines. It bounds how many publishes it has under way, and so the queue.
    pub fn queued(queue: mpsc::UnboundedSender<QueuedOutcome>, correlation_id: String, ack_policy: AckPolicy) -> Self {
        Self(Some(To::Queue { queue, correlation_id, ack_policy }))
    }

    /// Gives the answer. A publisher that has gone is no error.
    pub fn answer(mut self, outcome: PublishOutcome) {
        self.give(outcome);
    }

    fn give(&mut self, outcome: PublishOutcome) {
        match self.0.take() {
            None | Some(To::Nobody) => {}
            Some(To::One(sender)) => drop(sender.send(outcome)),
            Some(To::Queue { queue, correlation_id, ack_policy }) => {
                drop(queue.send(QueuedOutcome { correlation_id, ack_policy, outcome }));
            }
        }
    }
}

impl Drop for PublishReply {
    fn drop(&mut self) {
        self.give(Err(PublishError::Closed));
    }
}
