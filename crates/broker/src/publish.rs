//! Publishing: from a request to the partitions that store it. Owns the order in which a publish is refused; never how it is
//! stored.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use liftbridge_auth::Authorized;
use liftbridge_metadata_raft::{ProposeError, Rejection};
use liftbridge_types::{AckPolicy, PartitionId, Subject};
use tokio::time::Instant;

use crate::agreement::unavailable;
use crate::broker::Broker;
use crate::errors::{MetadataUnavailable, PublishError};
use crate::partition::{Handover, Partition, Proposal};
use crate::publish_reply::PublishReply;
use crate::requests::{Publish, PublishToSubject};
use crate::streams_here::{LocalPartition, LocalStream};

/// What a message published to a subject expects on streams with optimistic concurrency control: the API carries no offset
/// for it and 0 is what a missing number reads as (behaviour spec 2.10 and 2.17).
const EXPECTED_OFFSET_OF_SUBJECT: i64 = 0;

/// How long a message waits for this server to hear what the one that handed it over knows.
const CATCHING_UP_PATIENCE: Duration = Duration::from_millis(500);

/// The longest anybody is kept waiting for an answer that nobody will give, whatever patience a client claims to have.
const PATIENCE_MAX: Duration = Duration::from_hours(1);

impl Broker {
    /// Hands a message to its partition, resuming it if it is paused. Waits only while the node's admission bound is
    /// reached; what becomes of the message goes to `reply`, refusals included.
    pub async fn publish(&self, request: Authorized<Publish>, reply: PublishReply) {
        let request = request.into_request();
        if matches!(self.target(&request), Err(PublishError::StreamNotFound { .. })) {
            self.node.hear_of_stream(&request.stream).await;
        }
        let target = match self.target(&request) {
            Ok(target) => target,
            Err(refusal) => return reply.answer(Err(refusal)),
        };
        if let Err(refusal) = target.admits(&request) {
            return reply.answer(Err(refusal));
        }
        self.node.handover_over().await;
        match target.partition.open_to_publishers() {
            Some(_) => self.publish_to(target, request, reply).await,
            None => self.forward(&target.partition, request, reply).await,
        }
    }

    /// The same for a message that another server hands over: it goes no further than here. That server may have heard of
    /// the stream, or of who leads it, before this one has.
    pub(crate) async fn publish_here(&self, request: Publish, reply: PublishReply) {
        let mut carried_out = self.node.agreement.carried_out();
        let end = Instant::now() + CATCHING_UP_PATIENCE;
        self.node.handover_over().await;
        loop {
            let refusal = match self.target(&request) {
                Ok(target) if target.partition.leading_replica().is_some() => {
                    return self.publish_to(target, request, reply).await;
                }
                // Whoever leaves leads nothing any more.
                Ok(_) if self.node.leaving.load(Ordering::Acquire) => {
                    return reply.answer(Err(PublishError::NotLeader));
                }
                Ok(_) => PublishError::NotLeader,
                Err(refusal @ PublishError::StreamNotFound { .. }) => refusal,
                Err(refusal) => return reply.answer(Err(refusal)),
            };
            let next = self.node.agreement.carried_out_after(carried_out);
            match tokio::time::timeout_at(end, next).await {
                Ok(Some(index)) => carried_out = index,
                Ok(None) | Err(_) => return reply.answer(Err(refusal)),
            }
        }
    }

    async fn publish_to(&self, target: Target, request: Publish, reply: PublishReply) {
        let replica = match self.open_replica(&target, &request).await {
            Ok(replica) => replica,
            Err(refusal) => return reply.answer(Err(refusal)),
        };
        // A publisher that leaves here has handed nothing over; its reply says `Closed`.
        let permit = self.node.host.admission().acquire(request.message.payload_bytes()).await;
        let handover = replica.publish(Proposal::new(request, reply, permit));
        if handover == Handover::Held {
            self.resume_for_held(target.partition).await;
        }
    }

    /// Hands a message to every unpaused, writable partition whose subject matches, one of each load-balance group. The
    /// first outcome goes to `reply`. When nothing matches this waits with `reply` unanswered, for `patience` and for an hour
    /// at most, and then drops it; so does whoever drops the future.
    pub async fn publish_to_subject(
        &self,
        request: Authorized<PublishToSubject>,
        reply: PublishReply,
        patience: Option<Duration>,
    ) {
        let PublishToSubject { subject, message, ack_policy } = request.into_request();
        if !self.node.life.is_running() {
            return reply.answer(Err(PublishError::ShuttingDown));
        }
        self.node.handover_over().await;
        let subject = match Subject::new(&subject) {
            Ok(subject) if !subject.has_wildcard() => subject,
            _ => return reply.answer(Err(PublishError::InvalidSubject)),
        };
        let partitions = self.node.subjects.route(&subject, |partition| partition.takes_from_subject());
        if partitions.is_empty() {
            return self.keep_unanswered(reply, patience).await;
        }
        let mut holding = Vec::new();
        for (partition, reply) in partitions.iter().zip(reply.first_of(partitions.len())) {
            let request = Publish {
                stream: Arc::from(partition.route().stream.as_str()),
                partition: partition.route().partition.to_wire(),
                message: message.clone(),
                arrived_on: (*partition.subject() != subject).then(|| subject.clone()),
                ack_policy,
                expected_offset: EXPECTED_OFFSET_OF_SUBJECT,
            };
            let Some(replica) = partition.open_to_publishers() else {
                self.forward(partition, request, reply).await;
                continue;
            };
            let permit = self.node.host.admission().acquire(message.payload_bytes()).await;
            let handover = replica.publish(Proposal::new(request, reply, permit));
            if handover == Handover::Held {
                holding.push(Arc::clone(partition));
            }
        }
        for partition in holding {
            self.resume_for_held(partition).await;
        }
    }

    /// The replica here that the message is for, resumed if it is paused, or why the message is refused.
    async fn open_replica(&self, target: &Target, request: &Publish) -> Result<Arc<Partition>, PublishError> {
        target.admits(request)?;
        let replica = target.partition.leading_replica().ok_or(PublishError::NotLeader)?;
        if replica.is_paused() {
            let resumed = self.resume(&target.stream, target.id).await;
            resumed.map_err(|error| resume_refused(error, &target.stream, request.partition))?;
        }
        Ok(Arc::clone(replica))
    }

    /// The partition that is meant, whatever its state.
    pub(crate) fn target(&self, request: &Publish) -> Result<Target, PublishError> {
        let Publish { stream: name, partition: number, .. } = request;
        if name.is_empty() {
            return Err(PublishError::NoStream);
        }
        if !self.node.life.is_running() {
            return Err(PublishError::ShuttingDown);
        }
        let not_found = || PublishError::StreamNotFound { stream: (**name).to_owned() };
        let stream = self.node.streams.get(name).ok_or_else(not_found)?;
        let no_partition = PublishError::PartitionNotFound { partition: *number };
        let Some(id) = PartitionId::from_wire(*number) else { return Err(no_partition) };
        let partition = Arc::clone(stream.partition(id).ok_or(no_partition)?);
        Ok(Target { stream, id, partition })
    }

    /// Has a partition resumed that was paused while a publish was on its way to it, and holds it now.
    pub(crate) async fn resume_for_held(&self, partition: Arc<LocalPartition>) {
        let broker = self.clone();
        // A task, because the message was handed over: it is stored or refused even if its publisher leaves here.
        let resuming = tokio::spawn(async move {
            if let Err(refusal) = broker.resume_again(&partition).await
                && let Some(replica) = partition.replica()
            {
                replica.refuse_held(&refusal);
            }
        });
        // It fails only with the runtime it runs on, and then nobody waits for an answer.
        let _ = resuming.await;
    }

    async fn resume_again(&self, partition: &Arc<LocalPartition>) -> Result<(), PublishError> {
        let route = partition.route();
        let stream = self.node.streams.get(route.stream.as_str());
        let is_its_own = |stream: &Arc<LocalStream>| stream.partition(route.partition) == Some(partition);
        match stream.filter(is_its_own) {
            Some(stream) => {
                let resumed = self.resume(&stream, route.partition).await;
                resumed.map_err(|error| resume_refused(error, &stream, route.partition.to_wire()))
            }
            None => Err(PublishError::StreamNotFound { stream: route.stream.as_str().to_owned() }),
        }
    }

    /// Keeps an answer that nobody will give until its publisher stops waiting or the server stops. In the publisher's own
    /// future and not in a task, which would outlive a publisher that leaves.
    async fn keep_unanswered(&self, reply: PublishReply, patience: Option<Duration>) {
        if let Some(patience) = patience {
            let stopped = tokio::time::timeout(patience.min(PATIENCE_MAX), self.node.life.stopping()).await;
            if stopped.is_ok() {
                return reply.answer(Err(PublishError::ShuttingDown));
            }
        }
        drop(reply);
    }
}

/// Where a message goes.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) stream: Arc<LocalStream>,
    pub(crate) id: PartitionId,
    pub(crate) partition: Arc<LocalPartition>,
}

impl Target {
    /// Whether the message can be stored there as things stand.
    pub(crate) fn admits(&self, request: &Publish) -> Result<(), PublishError> {
        if self.partition.is_readonly() {
            return Err(PublishError::Readonly { partition: self.id });
        }
        if self.stream.expects_offsets && request.ack_policy == AckPolicy::None {
            return Err(PublishError::AckPolicyRequired);
        }
        Ok(())
    }

    /// Whether a message for this stream and partition goes there.
    pub(crate) fn is_of(&self, request: &Publish) -> bool {
        self.id.to_wire() == request.partition && self.stream.name.as_str() == &*request.stream
    }
}

fn resume_refused(error: ProposeError, stream: &LocalStream, partition: i32) -> PublishError {
    match error {
        ProposeError::Unavailable(reason) => match unavailable(reason) {
            MetadataUnavailable::ShuttingDown => PublishError::ShuttingDown,
            other => PublishError::Resume(other),
        },
        ProposeError::Rejected(Rejection::PartitionNotFound) => PublishError::PartitionNotFound { partition },
        // The stream was deleted in the meantime; nothing else about it can keep it from being resumed.
        ProposeError::Rejected(_) => PublishError::StreamNotFound { stream: stream.name.as_str().to_owned() },
    }
}
