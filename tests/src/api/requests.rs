//! Requests with the defaults tests want. Owns those defaults; sends nothing.

use std::time::Duration;

use bytes::Bytes;

use super::wire;

/// The expected offset that means "any".
pub const OCC_ANY: i64 = -1;

/// Create a stream of one partition on a subject of its own name.
pub fn stream(name: &str) -> wire::CreateStreamRequest {
    wire::CreateStreamRequest {
        subject: name.to_owned(),
        name: name.to_owned(),
        replication_factor: 1,
        partitions: 1,
        ..Default::default()
    }
}

/// Publish a text under `ALL`.
pub fn publish(stream: &str, partition: i32, text: &str) -> wire::PublishRequest {
    wire::PublishRequest {
        value: Bytes::copy_from_slice(text.as_bytes()),
        stream: stream.to_owned(),
        partition,
        ack_policy: wire::AckPolicy::All.into(),
        expected_offset: OCC_ANY,
        ..Default::default()
    }
}

/// Publish a text to a subject under `ALL`, waiting at most `patience` for the ack.
pub fn message(subject: &str, text: &str, patience: Duration) -> tonic::Request<wire::PublishToSubjectRequest> {
    let mut request = tonic::Request::new(wire::PublishToSubjectRequest {
        value: Bytes::copy_from_slice(text.as_bytes()),
        subject: subject.to_owned(),
        ack_policy: wire::AckPolicy::All.into(),
        ..Default::default()
    });
    request.set_timeout(patience);
    request
}

/// Subscribe to a partition from the earliest record to the latest there is.
pub fn subscribe(stream: &str, partition: i32) -> wire::SubscribeRequest {
    wire::SubscribeRequest {
        stream: stream.to_owned(),
        partition,
        start_position: wire::StartPosition::Earliest.into(),
        stop_position: wire::StopPosition::StopLatest.into(),
        // Clients send rubbish in fields that their positions do not use; servers must not look at it.
        start_offset: -7,
        start_timestamp: i64::MIN,
        stop_offset: -7,
        stop_timestamp: i64::MIN,
        ..Default::default()
    }
}

/// Subscribe to a partition from `start` to `stop`, both included.
pub fn offsets(stream: &str, partition: i32, start: i64, stop: i64) -> wire::SubscribeRequest {
    wire::SubscribeRequest {
        start_position: wire::StartPosition::Offset.into(),
        start_offset: start,
        stop_position: wire::StopPosition::StopOffset.into(),
        stop_offset: stop,
        ..subscribe(stream, partition)
    }
}
