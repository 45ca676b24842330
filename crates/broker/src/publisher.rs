//! One client's many publishes, handed over in bursts. Owns that messages which come in a row are looked up, admitted and
//! handed over together, in their order; never how they are stored or answered.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use liftbridge_auth::Authorized;

use crate::admission::{AdmissionPermit, cost_bytes};
use crate::broker::Broker;
use crate::errors::PublishError;
use crate::partition::{Handover, Proposal};
use crate::publish::Target;
use crate::publish_reply::PublishReply;
use crate::requests::Publish;
use crate::streams_here::LocalPartition;

/// Messages after which a burst is handed over, whether or not more of it come.
const BURST_MESSAGES_MAX: usize = 512;
/// The same in bytes of their cost.
const BURST_BYTES_MAX: usize = 512 * 1024;

/// What has to be waited for before the publisher may go on: room for its messages, a partition that is being resumed.
/// Dropping it loses messages that nobody was told about.
pub type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Hands one client's publishes over, the same as [`Broker::publish`] one by one but cheaper for many in a row.
///
/// Messages stay here until [`Publisher::hand_over`]: to be called as soon as no more are at hand. Whoever gets a
/// [`Waiting`] awaits it before anything else is asked.
pub struct Publisher {
    broker: Broker,
    /// Where the messages of the burst go, looked up with its first.
    target: Option<Target>,
    burst: Vec<Proposal>,
    cost_bytes: usize,
}

impl Publisher {
    /// A publisher with nothing to hand over.
    pub fn new(broker: Broker) -> Self {
        Self { broker, target: None, burst: Vec::new(), cost_bytes: 0 }
    }

    /// Takes a message in. What becomes of it goes to `reply`, refusals included.
    #[must_use = "the publisher may have to wait"]
    pub fn publish(&mut self, request: Authorized<Publish>, reply: PublishReply) -> Option<Waiting> {
        if !self.target.as_ref().is_some_and(|target| target.is_of(request.request())) {
            if let Some(handed_over) = self.hand_over() {
                return Some(self.publish_after(Some(handed_over), request, reply));
            }
            match self.broker.target(request.request()) {
                Ok(target) => self.target = Some(target),
                // It may have been made through another server a moment ago.
                Err(PublishError::StreamNotFound { .. }) if !self.broker.node.standing.borrow().alone => {
                    return Some(self.publish_after(None, request, reply));
                }
                Err(refusal) => return refuse(reply, refusal),
            }
        }
        let Some(target) = &self.target else { return None };
        if let Err(refusal) = target.admits(request.request()) {
            return refuse(reply, refusal);
        }
        // Paused, led elsewhere, or about to be.
        let waits = self.broker.node.is_handing_over();
        if waits || target.partition.open_to_publishers().is_none_or(|replica| replica.is_paused()) {
            let handed_over = self.hand_over();
            return Some(self.publish_after(handed_over, request, reply));
        }
        self.add(request.into_request(), reply);
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
        let admission = self.broker.node.host.admission();
        match admission.try_acquire_cost(cost) {
            Some(permit) => match publish_all(&target.partition, &mut self.burst, &permit) {
                Handover::Done => None,
                Handover::Held => Some(resume(self.broker.clone(), target.partition)),
            },
            None => {
                let (broker, mut burst) = (self.broker.clone(), std::mem::take(&mut self.burst));
                Some(Box::pin(async move {
                    let permit = broker.node.host.admission().acquire_cost(cost).await;
                    if publish_all(&target.partition, &mut burst, &permit) == Handover::Held {
                        broker.resume_for_held(target.partition).await;
                    }
                }))
            }
        }
    }

    fn add(&mut self, request: Publish, reply: PublishReply) {
        let Publish { message, ack_policy, expected_offset, .. } = request;
        self.cost_bytes = self.cost_bytes.saturating_add(cost_bytes(message.payload_bytes()));
        self.burst.push(Proposal {
            message,
            arrived_on: None,
            reply_subject: Bytes::new(),
            ack_policy,
            expected_offset,
            reply,
            permit: AdmissionPermit::none(),
        });
    }

    /// The way of a single message, behind what was handed over before.
    fn publish_after(&self, before: Option<Waiting>, request: Authorized<Publish>, reply: PublishReply) -> Waiting {
        let broker = self.broker.clone();
        Box::pin(async move {
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

fn publish_all(partition: &LocalPartition, burst: &mut Vec<Proposal>, permit: &AdmissionPermit) -> Handover {
    for proposal in &mut *burst {
        proposal.permit = permit.clone();
    }
    match partition.replica() {
        Some(replica) => replica.publish_all(burst),
        // A replica that was here when the burst began is here for ever.
        None => Handover::Done,
    }
}

fn resume(broker: Broker, partition: Arc<LocalPartition>) -> Waiting {
    Box::pin(async move { broker.resume_for_held(partition).await })
}

fn refuse(reply: PublishReply, refusal: PublishError) -> Option<Waiting> {
    reply.answer(Err(refusal));
    None
}
