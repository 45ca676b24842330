//! Rejections as bytes: what a server is answered that had another one propose a command.

use liftbridge_proto::v1::{self, metadata_rejection::Reason as Wire};
use prost::Message;

use super::{DecodeError, broker_id};
use crate::rejection::Rejection;

const NOTHING: v1::RejectedEmpty = v1::RejectedEmpty {};

/// The rejection as bytes.
pub(crate) fn encode_rejection(rejection: Rejection) -> Vec<u8> {
    let number = |asked, given| v1::RejectedNumber { asked, given };
    let reason = match rejection {
        Rejection::NoPartitions => Wire::NoPartitions(NOTHING),
        Rejection::TooManyPartitions { partitions, limit } => Wire::TooManyPartitions(number(partitions, limit)),
        Rejection::NoReplicas { factor } => Wire::NoReplicas(factor),
        Rejection::TooManyReplicas { factor, brokers } => Wire::TooManyReplicas(number(factor, brokers)),
        Rejection::StreamExists => Wire::StreamExists(NOTHING),
        Rejection::NotFoundForAll => Wire::NotFoundForAll(NOTHING),
        Rejection::StreamNotFound => Wire::StreamNotFound(NOTHING),
        Rejection::PartitionNotFound => Wire::PartitionNotFound(NOTHING),
        Rejection::Stale => Wire::Stale(NOTHING),
        Rejection::NotEligible { id } => Wire::NotEligible(id.as_str().to_owned()),
        Rejection::NoCandidate => Wire::NoCandidate(NOTHING),
        Rejection::HasLeader => Wire::HasLeader(NOTHING),
        Rejection::BrokerNotFound => Wire::BrokerNotFound(NOTHING),
        Rejection::BrokerRunning { id } => Wire::BrokerRunning(id.as_str().to_owned()),
        Rejection::LastInSync { id, partitions } => {
            Wire::LastInSync(v1::RejectedLastInSync { broker: id.as_str().to_owned(), partitions })
        }
        Rejection::NotAMember { id } => Wire::NotAMember(id.as_str().to_owned()),
        Rejection::FeatureLevel { needed, agreed } => Wire::FeatureLevel(number(needed, agreed)),
    };
    v1::MetadataRejection { reason: Some(reason) }.encode_to_vec()
}

/// The rejection these bytes hold.
pub(crate) fn decode_rejection(bytes: &[u8]) -> Result<Rejection, DecodeError> {
    let message = v1::MetadataRejection::decode(bytes)?;
    Ok(match message.reason.ok_or(DecodeError::UnknownKind { message: "rejection" })? {
        Wire::NoPartitions(_) => Rejection::NoPartitions,
        Wire::TooManyPartitions(wire) => Rejection::TooManyPartitions { partitions: wire.asked, limit: wire.given },
        Wire::NoReplicas(factor) => Rejection::NoReplicas { factor },
        Wire::TooManyReplicas(wire) => Rejection::TooManyReplicas { factor: wire.asked, brokers: wire.given },
        Wire::StreamExists(_) => Rejection::StreamExists,
        Wire::NotFoundForAll(_) => Rejection::NotFoundForAll,
        Wire::StreamNotFound(_) => Rejection::StreamNotFound,
        Wire::PartitionNotFound(_) => Rejection::PartitionNotFound,
        Wire::Stale(_) => Rejection::Stale,
        Wire::NotEligible(id) => Rejection::NotEligible { id: broker_id(&id)? },
        Wire::NoCandidate(_) => Rejection::NoCandidate,
        Wire::HasLeader(_) => Rejection::HasLeader,
        Wire::BrokerNotFound(_) => Rejection::BrokerNotFound,
        Wire::BrokerRunning(id) => Rejection::BrokerRunning { id: broker_id(&id)? },
        Wire::LastInSync(wire) => Rejection::LastInSync { id: broker_id(&wire.broker)?, partitions: wire.partitions },
        Wire::NotAMember(id) => Rejection::NotAMember { id: broker_id(&id)? },
        Wire::FeatureLevel(wire) => Rejection::FeatureLevel { needed: wire.asked, agreed: wire.given },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_commands::broker;

    #[test]
    fn every_rejection_comes_out_as_it_went_in() {
        let id = broker("a");
        let rejections = [
            Rejection::NoPartitions,
            Rejection::TooManyPartitions { partitions: 9, limit: 8 },
            Rejection::NoReplicas { factor: 0 },
            Rejection::TooManyReplicas { factor: 4, brokers: 3 },
            Rejection::StreamExists,
            Rejection::NotFoundForAll,
            Rejection::StreamNotFound,
            Rejection::PartitionNotFound,
            Rejection::Stale,
            Rejection::NotEligible { id: id.clone() },
            Rejection::NoCandidate,
            Rejection::HasLeader,
            Rejection::BrokerNotFound,
            Rejection::BrokerRunning { id: id.clone() },
            Rejection::LastInSync { id: id.clone(), partitions: 3 },
            Rejection::NotAMember { id },
            Rejection::FeatureLevel { needed: 2, agreed: 1 },
        ];
        for rejection in rejections {
            assert_eq!(decode_rejection(&encode_rejection(rejection.clone())), Ok(rejection));
        }
    }

    #[test]
    fn bytes_that_are_no_rejection_are_refused() {
        let whole = encode_rejection(Rejection::NotEligible { id: broker("a") });
        for end in 0..whole.len() {
            decode_rejection(&whole[..end]).unwrap_err();
        }
        let odd = v1::MetadataRejection { reason: Some(Wire::NotEligible("a/b".to_owned())) };
        decode_rejection(&odd.encode_to_vec()).unwrap_err();
    }
}
