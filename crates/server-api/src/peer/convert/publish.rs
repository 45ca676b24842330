//! Messages that are handed to the server that leads their partition, and what became of them.

use std::sync::Arc;

use liftbridge_broker::{
    Acked, MetadataUnavailable, PartitionRoute, Publish, PublishError, PublishOutcome, QueuedOutcome,
};
use liftbridge_proto::v1;
use liftbridge_proto::v1::forwarded_outcome::Outcome;
use liftbridge_proto::v1::not_resumed;
use liftbridge_proto::v1::publish_refusal::Reason;
use liftbridge_types::{AckPolicy, Header, Message, Offset, PartitionId, StreamName, Subject, Timestamp};

/// The domain's form of a message on behalf of another server's client.
pub(crate) fn publish(wire: v1::ForwardedPublish) -> Publish {
    let ack_policy = match wire.ack_policy() {
        v1::ForwardedAckPolicy::Leader => AckPolicy::Leader,
        v1::ForwardedAckPolicy::All => AckPolicy::All,
        v1::ForwardedAckPolicy::None => AckPolicy::None,
    };
    let header = |header: v1::ForwardedHeader| Header { name: header.name, value: header.value };
    let headers = wire.headers.into_iter().map(header).collect();
    Publish {
        message: Message { key: wire.key, value: wire.value, headers },
        // One that makes no sense is left out like one that is not there: the message itself is sound.
        arrived_on: wire.arrived_on.and_then(|text| Subject::new(&text).ok()).filter(|subject| !subject.has_wildcard()),
        stream: wire.stream.into(),
        partition: wire.partition,
        ack_policy,
        expected_offset: wire.expected_offset,
    }
}

/// The wire's form of a message for another server, which answers it under this number.
pub(crate) fn forwarded(publish: Publish, correlation: u64) -> v1::ForwardedPublish {
    let Publish { stream, partition, message, arrived_on, ack_policy, expected_offset } = publish;
    let ack_policy = match ack_policy {
        AckPolicy::Leader => v1::ForwardedAckPolicy::Leader,
        AckPolicy::All => v1::ForwardedAckPolicy::All,
        AckPolicy::None => v1::ForwardedAckPolicy::None,
    };
    let header = |header: Header| v1::ForwardedHeader { name: header.name, value: header.value };
    v1::ForwardedPublish {
        correlation,
        stream: stream.to_string(),
        partition,
        ack_policy: ack_policy.into(),
        expected_offset,
        key: message.key,
        headers: message.headers.into_iter().map(header).collect(),
        arrived_on: arrived_on.map(|subject| subject.as_str().to_owned()),
        value: message.value,
    }
}

/// The wire's form of what became of a message, which the broker knows by its number.
pub(crate) fn outcome(queued: QueuedOutcome) -> v1::ForwardedOutcome {
    let outcome = match queued.outcome {
        Ok(acked) => Outcome::Acked(ack(&acked)),
        Err(error) => Outcome::Refused(refusal(error)),
    };
    v1::ForwardedOutcome { correlation: queued.ticket as u64, outcome: Some(outcome) }
}

fn ack(acked: &Acked) -> v1::ForwardedAck {
    let route = v1::ForwardedRoute {
        stream: acked.route.stream.as_str().to_owned(),
        partition: acked.route.partition.get(),
        stream_subject: acked.route.stream_subject.as_str().to_owned(),
        partition_subject: acked.route.partition_subject.as_str().to_owned(),
    };
    v1::ForwardedAck {
        offset: acked.offset.get(),
        received_at: acked.received_at.as_nanos(),
        acked_at: acked.acked_at.as_nanos(),
        route: Some(route),
    }
}

/// Where messages went lately. Most acks repeat the route of the one before, which is made once.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    latest: Option<Arc<PartitionRoute>>,
}

impl Routes {
    /// What became of a message, in the domain's words. An answer that makes no sense is none: nobody can say then.
    pub(crate) fn outcome(&mut self, wire: Option<Outcome>) -> PublishOutcome {
        match wire {
            Some(Outcome::Acked(ack)) => self.acked(ack).ok_or(PublishError::Closed),
            Some(Outcome::Refused(v1::PublishRefusal { reason: Some(reason) })) => Err(error(reason)),
            Some(Outcome::Refused(v1::PublishRefusal { reason: None })) | None => Err(PublishError::Closed),
        }
    }

    fn acked(&mut self, ack: v1::ForwardedAck) -> Option<Acked> {
        let wire = ack.route?;
        let is_latest = |latest: &Arc<PartitionRoute>| {
            latest.stream.as_str() == wire.stream
                && latest.partition.get() == wire.partition
                && latest.stream_subject.as_str() == wire.stream_subject
                && latest.partition_subject.as_str() == wire.partition_subject
        };
        let route = match self.latest.take().filter(is_latest) {
            Some(latest) => latest,
            None => Arc::new(PartitionRoute {
                stream: StreamName::new(&wire.stream).ok()?,
                partition: PartitionId::new(wire.partition)?,
                stream_subject: Subject::new(&wire.stream_subject).ok()?,
                partition_subject: Subject::new(&wire.partition_subject).ok()?,
            }),
        };
        self.latest = Some(Arc::clone(&route));
        Some(Acked {
            route,
            offset: Offset::new(ack.offset),
            received_at: Timestamp::from_nanos(ack.received_at),
            acked_at: Timestamp::from_nanos(ack.acked_at),
        })
    }
}

const NOTHING: v1::Empty = v1::Empty {};

fn refusal(error: PublishError) -> v1::PublishRefusal {
    let reason = match error {
        PublishError::NoStream => Reason::NoStream(NOTHING),
        PublishError::StreamNotFound { stream } => Reason::StreamNotFound(stream),
        PublishError::PartitionNotFound { partition } => Reason::PartitionNotFound(partition),
        PublishError::InvalidSubject => Reason::InvalidSubject(NOTHING),
        PublishError::Readonly { partition } => Reason::Readonly(partition.get()),
        PublishError::AckPolicyRequired => Reason::AckPolicyRequired(NOTHING),
        PublishError::Resume(reason) => Reason::NotResumed(v1::NotResumed { reason: Some(not_resumed(reason)) }),
        PublishError::IncorrectOffset { expected, next } => {
            Reason::IncorrectOffset(v1::IncorrectOffset { expected, next: next.get() })
        }
        PublishError::TooLarge { bytes, limit } => Reason::TooLarge(out_of_bounds(bytes, limit)),
        PublishError::TooManyHeaders { headers, limit } => Reason::TooManyHeaders(out_of_bounds(headers, limit)),
        PublishError::DiskFull => Reason::DiskFull(NOTHING),
        PublishError::FilesExhausted => Reason::FilesExhausted(NOTHING),
        PublishError::Offline { reason } => Reason::Offline(reason),
        PublishError::TooFewInSync { in_sync_count, minimum } => {
            Reason::TooFewInSync(out_of_bounds(in_sync_count, minimum))
        }
        PublishError::Overloaded { waiting_bytes } => Reason::OverloadedBytes(waiting_bytes as u64),
        PublishError::NotLeader => Reason::NotLeader(NOTHING),
        PublishError::LeadershipMoved => Reason::LeadershipMoved(NOTHING),
        PublishError::Closed => Reason::Closed(NOTHING),
        PublishError::WentOffline { reason } => Reason::WentOffline(reason),
        PublishError::Stopped => Reason::Stopped(NOTHING),
        PublishError::ShuttingDown => Reason::ShuttingDown(NOTHING),
    };
    v1::PublishRefusal { reason: Some(reason) }
}

fn error(reason: Reason) -> PublishError {
    match reason {
        Reason::NoStream(_) => PublishError::NoStream,
        Reason::StreamNotFound(stream) => PublishError::StreamNotFound { stream },
        Reason::PartitionNotFound(partition) => PublishError::PartitionNotFound { partition },
        Reason::InvalidSubject(_) => PublishError::InvalidSubject,
        Reason::Readonly(partition) => {
            PartitionId::new(partition).map_or(PublishError::Closed, |partition| PublishError::Readonly { partition })
        }
        Reason::AckPolicyRequired(_) => PublishError::AckPolicyRequired,
        Reason::NotResumed(not_resumed) => {
            not_resumed.reason.map_or(PublishError::Closed, |reason| PublishError::Resume(unavailable(reason)))
        }
        Reason::IncorrectOffset(v1::IncorrectOffset { expected, next }) => {
            PublishError::IncorrectOffset { expected, next: Offset::new(next) }
        }
        Reason::TooLarge(bounds) => PublishError::TooLarge { bytes: size(bounds.found), limit: size(bounds.limit) },
        Reason::TooManyHeaders(bounds) => {
            PublishError::TooManyHeaders { headers: size(bounds.found), limit: size(bounds.limit) }
        }
        Reason::DiskFull(_) => PublishError::DiskFull,
        Reason::FilesExhausted(_) => PublishError::FilesExhausted,
        Reason::Offline(reason) => PublishError::Offline { reason },
        Reason::TooFewInSync(bounds) => {
            PublishError::TooFewInSync { in_sync_count: size(bounds.found), minimum: size(bounds.limit) }
        }
        Reason::OverloadedBytes(bytes) => PublishError::Overloaded { waiting_bytes: size(bytes) },
        Reason::NotLeader(_) => PublishError::NotLeader,
        Reason::LeadershipMoved(_) => PublishError::LeadershipMoved,
        Reason::Closed(_) => PublishError::Closed,
        Reason::WentOffline(reason) => PublishError::WentOffline { reason },
        Reason::Stopped(_) => PublishError::Stopped,
        Reason::ShuttingDown(_) => PublishError::ShuttingDown,
    }
}

fn not_resumed(reason: MetadataUnavailable) -> not_resumed::Reason {
    match reason {
        MetadataUnavailable::NoLeader => not_resumed::Reason::NoLeader(NOTHING),
        MetadataUnavailable::LogFailed { reason } => not_resumed::Reason::LogFailed(reason),
        MetadataUnavailable::TooLarge { bytes, limit } => not_resumed::Reason::TooLarge(out_of_bounds(bytes, limit)),
        MetadataUnavailable::ShuttingDown => not_resumed::Reason::ShuttingDown(NOTHING),
    }
}

fn unavailable(reason: not_resumed::Reason) -> MetadataUnavailable {
    match reason {
        not_resumed::Reason::NoLeader(_) => MetadataUnavailable::NoLeader,
        not_resumed::Reason::LogFailed(reason) => MetadataUnavailable::LogFailed { reason },
        not_resumed::Reason::TooLarge(bounds) => {
            MetadataUnavailable::TooLarge { bytes: size(bounds.found), limit: size(bounds.limit) }
        }
        not_resumed::Reason::ShuttingDown(_) => MetadataUnavailable::ShuttingDown,
    }
}

fn out_of_bounds(found: usize, limit: usize) -> v1::OutOfBounds {
    v1::OutOfBounds { found: found as u64, limit: limit as u64 }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(outcome: PublishOutcome) -> QueuedOutcome {
        QueuedOutcome { ticket: 7, outcome }
    }

    #[test]
    fn a_message_comes_out_as_it_went_in() {
        let header = |name: &'static str, value: &'static str| Header { name: name.into(), value: value.into() };
        for key in [None, Some("".into()), Some("k".into())] {
            for ack_policy in [AckPolicy::Leader, AckPolicy::All, AckPolicy::None] {
                for arrived_on in [None, Some(Subject::new("a.b").unwrap())] {
                    let message = Message { key: key.clone(), value: "v".into(), headers: vec![header("a", "1")] };
                    let (stream, partition, expected_offset) = ("s".into(), 3, -1);
                    let sent = Publish { stream, partition, message, arrived_on, ack_policy, expected_offset };
                    let arrived = publish(forwarded(sent.clone(), 7));
                    assert_eq!((arrived.stream, arrived.partition), (sent.stream, sent.partition));
                    assert_eq!((arrived.message, arrived.ack_policy), (sent.message, sent.ack_policy));
                    assert_eq!((arrived.arrived_on, arrived.expected_offset), (sent.arrived_on, sent.expected_offset));
                }
            }
        }
    }

    #[test]
    fn a_subject_nothing_can_be_published_to_is_left_out() {
        for text in ["", "a b", "a.*", "a.>"] {
            let wire = v1::ForwardedPublish { arrived_on: Some(text.to_owned()), ..v1::ForwardedPublish::default() };
            assert_eq!(publish(wire).arrived_on, None, "{text}");
        }
    }

    #[test]
    fn every_refusal_comes_out_as_it_went_in() {
        let limit = 9;
        let errors = [
            PublishError::NoStream,
            PublishError::StreamNotFound { stream: "s".into() },
            PublishError::PartitionNotFound { partition: -7 },
            PublishError::InvalidSubject,
            PublishError::Readonly { partition: PartitionId::new(2).unwrap() },
            PublishError::AckPolicyRequired,
            PublishError::Resume(MetadataUnavailable::NoLeader),
            PublishError::Resume(MetadataUnavailable::LogFailed { reason: "r".into() }),
            PublishError::Resume(MetadataUnavailable::TooLarge { bytes: 10, limit }),
            PublishError::Resume(MetadataUnavailable::ShuttingDown),
            PublishError::IncorrectOffset { expected: 4, next: Offset::new(5) },
            PublishError::TooLarge { bytes: 10, limit },
            PublishError::TooManyHeaders { headers: 10, limit },
            PublishError::DiskFull,
            PublishError::FilesExhausted,
            PublishError::Offline { reason: "r".into() },
            PublishError::TooFewInSync { in_sync_count: 1, minimum: 2 },
            PublishError::Overloaded { waiting_bytes: 1 },
            PublishError::NotLeader,
            PublishError::LeadershipMoved,
            PublishError::Closed,
            PublishError::WentOffline { reason: "r".into() },
            PublishError::Stopped,
            PublishError::ShuttingDown,
        ];
        for sent in errors {
            let wire = outcome(queued(Err(sent.clone())));
            assert_eq!(wire.correlation, 7);
            assert_eq!(Routes::default().outcome(wire.outcome).unwrap_err(), sent);
        }
    }

    #[test]
    fn an_ack_comes_out_as_it_went_in_and_routes_are_made_once() {
        let route = |partition| {
            let subject = Subject::new("subject").unwrap();
            let partition = PartitionId::new(partition).unwrap();
            let partition_subject = subject.of_partition(partition);
            let stream = StreamName::new("s").unwrap();
            Arc::new(PartitionRoute { stream, partition, stream_subject: subject, partition_subject })
        };
        let acked = |route: &Arc<PartitionRoute>, offset| Acked {
            route: Arc::clone(route),
            offset: Offset::new(offset),
            received_at: Timestamp::from_nanos(-1),
            acked_at: Timestamp::from_nanos(2),
        };
        let mut routes = Routes::default();
        let mut pass = |sent: &Acked| {
            let arrived = routes.outcome(outcome(queued(Ok(sent.clone()))).outcome).unwrap();
            assert_eq!((&arrived.route, arrived.offset), (&sent.route, sent.offset));
            assert_eq!((arrived.received_at, arrived.acked_at), (sent.received_at, sent.acked_at));
            arrived.route
        };
        let (zero, one) = (route(0), route(1));
        let first = pass(&acked(&zero, 0));
        assert!(Arc::ptr_eq(&first, &pass(&acked(&zero, 1))));
        assert!(!Arc::ptr_eq(&first, &pass(&acked(&one, 0))));
    }

    #[test]
    fn an_answer_that_makes_no_sense_leaves_the_outcome_unknown() {
        let odd_route = v1::ForwardedRoute { stream: "a/b".into(), ..v1::ForwardedRoute::default() };
        let answers = [
            None,
            Some(Outcome::Refused(v1::PublishRefusal { reason: None })),
            Some(Outcome::Acked(v1::ForwardedAck::default())),
            Some(Outcome::Acked(v1::ForwardedAck { route: Some(odd_route), ..v1::ForwardedAck::default() })),
            Some(Outcome::Refused(v1::PublishRefusal { reason: Some(Reason::Readonly(u32::MAX)) })),
        ];
        for answer in answers {
            assert_eq!(Routes::default().outcome(answer).unwrap_err(), PublishError::Closed);
        }
    }
}
