//! One client's many publishes, handed over in bursts. Owns that messages which come in a row are looked up, admitted and
//! handed over together, in their order; never how they are stored or answered.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use liftbridge_auth::Authorized;
use tokio::task::JoinHandle;

use crate::admission::{AdmissionPermit, cost_bytes};
use crate::broker::Broker;
use crate::errors::PublishError;
use crate::partition::{Handover, Proposal};
use crate::publish::Target;
use crate::publish_reply::PublishReply;
use crate::requests::Publish;
use crate::streams_here::LocalPartition;

/// Messages after which a burst is handed over, whether or not more of it come.
const BURST_MESSAGES_MAX: usize = 256;
/// The same in bytes of their cost: so much a client may have waiting outside the node's bound.
const BURST_BYTES_MAX: usize = 128 * 1024;

/// What has to be waited for before the publisher may go on: room for its messages, a partition that is being resumed. It
/// goes on by itself, whether or not it is polled, so that who holds the next right to room always uses it. Dropping it
/// loses messages that nobody was told about.
#[derive(Debug)]
pub struct Waiting(JoinHandle<()>);

impl Waiting {
    fn on(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // It fails only with the runtime it runs on; what it held was answered then.
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Hands one client's publishes over, the same as [`Broker::publish`] one by one but cheaper for many in a row.
///
/// Messages stay here until [`Publisher::hand_over`]: to be called as soon as no more are at hand. Whoever gets a
/// [`Waiting`] awaits it before anything else is asked. To be used within a tokio runtime.
pub struct Publisher {
    broker: Broker,
    /// Where the messages of the burst go, looked up with its first.
    target: Option<Target>,
    burst: Vec<(Publish, PublishReply)>,
    cost_bytes: usize,
    /// The burst on its way, kept for its memory.
    proposals: Vec<Proposal>,
}

impl Publisher {
    /// A publisher with nothing to hand over.
    pub fn new(broker: Broker) -> Self {
        Self { broker, target: None, burst: Vec::new(), cost_bytes: 0, proposals: Vec::new() }
    }

    /// Takes a message in. What becomes of it goes to `reply`, refusals included.
    #[must_use = "the publisher may have to wait"]
    pub fn publish(&mut self, request: Authorized<Publish>, reply: PublishReply) -> Option<Waiting> {
        let goes_on = self.target.as_ref().is_some_and(|target| target.is_of(request.request()));
        if !goes_on && let Some(handed_over) = self.hand_over() {
            return Some(self.publish_after(Some(handed_over), request, reply));
        }
        let target = match self.target.take().map_or_else(|| self.broker.target(request.request()), Ok) {
            Ok(target) => self.target.insert(target),
            // It may have been made through another server a moment ago.
            Err(PublishError::StreamNotFound { .. }) if !self.broker.node.standing.borrow().alone => {
                return Some(self.publish_after(None, request, reply));
            }
            Err(refusal) => return refuse(reply, refusal),
        };
        if let Err(refusal) = target.admits(request.request()) {
            return refuse(reply, refusal);
        }
        // Paused, led elsewhere, or about to be.
        let waits = self.broker.node.is_handing_over();
        if waits || target.partition.open_to_publishers().is_none_or(|replica| replica.is_paused()) {
            let handed_over = self.hand_over();
            return Some(self.publish_after(handed_over, request, reply));
        }
        let request = request.into_request();
        self.cost_bytes = self.cost_bytes.saturating_add(cost_bytes(request.message.payload_bytes()));
        self.burst.push((request, reply));
        if self.burst.len() >= BURST_MESSAGES_MAX || self.cost_bytes >= BURST_BYTES_MAX {
            self.hand_over()
        } else {
            None
        }
    }

    /// Hands over what was taken in. The next message looks its partition up anew.
    #[must_use = "the publisher may have to wait"]
    pub fn hand_over(&mut self) -> Option<Waiting> {
        let target = self.target.take()?;
        let cost = std::mem::take(&mut self.cost_bytes);
        if self.burst.is_empty() {
            return None;
        }
        let broker = self.broker.clone();
        match broker.node.host.admission().try_acquire_cost(cost) {
            Some(permit) => match publish_all(&target.partition, &mut self.burst, &permit, &mut self.proposals) {
                Handover::Done => None,
                Handover::Held => Some(Waiting::on(async move { broker.resume_for_held(target.partition).await })),
            },
            None => {
                let mut burst = std::mem::take(&mut self.burst);
                Some(Waiting::on(async move {
                    let permit = broker.node.host.admission().acquire_cost(cost).await;
                    if publish_all(&target.partition, &mut burst, &permit, &mut Vec::new()) == Handover::Held {
                        drop(permit);
                        broker.resume_for_held(target.partition).await;
                    }
                }))
            }
        }
    }

    /// Gives memory back that a burst left behind.
    pub fn shrink(&mut self) {
        self.burst.shrink_to_fit();
        self.proposals.shrink_to_fit();
    }

    /// The way of a single message, behind what was handed over before.
    fn publish_after(&self, before: Option<Waiting>, request: Authorized<Publish>, reply: PublishReply) -> Waiting {
        let broker = self.broker.clone();
        Waiting::on(async move {
            if let Some(before) = before {
                before.await;
            }
            broker.publish(request, reply).await;
        })
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("burst", &self.burst.len()).finish_non_exhaustive()
    }
}

fn publish_all(
    partition: &LocalPartition,
    burst: &mut Vec<(Publish, PublishReply)>,
    permit: &AdmissionPermit,
    proposals: &mut Vec<Proposal>,
) -> Handover {
    proposals.extend(burst.drain(..).map(|(request, reply)| Proposal::new(request, reply, permit.clone())));
    match partition.replica() {
        Some(replica) => replica.publish_all(proposals),
        // A replica that was here when the burst began is here for ever.
        None => Handover::Done,
    }
}

fn refuse(reply: PublishReply, refusal: PublishError) -> Option<Waiting> {
    reply.answer(Err(refusal));
    None
}
