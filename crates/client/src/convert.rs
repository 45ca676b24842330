//! Between the wire and this crate's types: the one place that knows both. Owns the meaning of zeros, -1 and wrappers on the
//! wire; never decides anything.

mod admin;

use std::time::Duration;

use liftbridge_proto::api as wire;
use liftbridge_types::{AckPolicy, Offset, PartitionId, SettingOverrides, Timestamp};

use crate::cluster::{BrokerInfo, ClusterMetadata, EventTimes, PartitionInfo, StreamInfo};
use crate::error::PublishError;
use crate::publish::{Ack, Outgoing};
use crate::streams::{NewStream, Partitions, ReplicationFactor};
use crate::subscribe::{ReceivedMessage, Start, Stop, Subscribe};

pub(crate) use admin::{cluster_status, explained_partition};

/// "Every server" in `CreateStreamRequest.replicationFactor`.
const REPLICATION_FACTOR_MAX: i32 = -1;
/// "Whatever offset it gets" in `PublishRequest.expectedOffset`.
const ANY_OFFSET: i64 = -1;

pub(crate) fn create_stream_request(stream: NewStream) -> wire::CreateStreamRequest {
    let SettingOverrides {
        retention_max_bytes,
        retention_max_messages,
        retention_max_age,
        cleaner_interval,
        segment_max_bytes,
        segment_max_age,
        compact_max_goroutines,
        compact_enabled,
        auto_pause_time,
        auto_pause_disable_if_subscribers,
        min_isr,
        optimistic_concurrency_control,
        encryption,
    } = stream.settings;
    let number = |n: Option<u64>| n.map(|n| wire::NullableInt64 { value: saturated_i64(u128::from(n)) });
    let milliseconds = |d: Option<Duration>| d.map(|d| wire::NullableInt64 { value: saturated_i64(d.as_millis()) });
    let small = |n: Option<u32>| n.map(|n| wire::NullableInt32 { value: saturated_i32(n) });
    let flag = |b: Option<bool>| b.map(|value| wire::NullableBool { value });
    wire::CreateStreamRequest {
        subject: stream.subject.unwrap_or_else(|| stream.name.clone()),
        name: stream.name,
        group: stream.group,
        replication_factor: match stream.replication_factor {
            ReplicationFactor::Count(count) => saturated_i32(count),
            ReplicationFactor::EveryServer => REPLICATION_FACTOR_MAX,
        },
        partitions: saturated_i32(stream.partition_count),
        retention_max_bytes: number(retention_max_bytes),
        retention_max_messages: number(retention_max_messages),
        retention_max_age: milliseconds(retention_max_age),
        cleaner_interval: milliseconds(cleaner_interval),
        segment_max_bytes: number(segment_max_bytes),
        segment_max_age: milliseconds(segment_max_age),
        compact_max_goroutines: small(compact_max_goroutines),
        compact_enabled: flag(compact_enabled),
        auto_pause_time: milliseconds(auto_pause_time),
        auto_pause_disable_if_subscribers: flag(auto_pause_disable_if_subscribers),
        min_isr: small(min_isr),
        optimistic_concurrency_control: flag(optimistic_concurrency_control),
        encryption: flag(encryption),
    }
}

pub(crate) fn partitions(partitions: &Partitions) -> Vec<i32> {
    match partitions {
        Partitions::All => Vec::new(),
        Partitions::Only(ids) => ids.iter().map(|id| id.to_wire()).collect(),
    }
}

pub(crate) fn cluster_metadata(response: wire::FetchMetadataResponse) -> ClusterMetadata {
    let exists = |stream: &wire::StreamMetadata| stream.error() == wire::stream_metadata::Error::Ok;
    let mut streams: Vec<_> = response.stream_metadata.into_iter().filter(exists).map(stream_info).collect();
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    ClusterMetadata { brokers: response.brokers.into_iter().filter_map(broker_info).collect(), streams }
}

fn broker_info(broker: wire::Broker) -> Option<BrokerInfo> {
    Some(BrokerInfo {
        id: broker.id,
        host: broker.host,
        port: u16::try_from(broker.port).ok()?,
        partition_count: count(broker.partition_count),
        leader_count: count(broker.leader_count),
    })
}

fn stream_info(stream: wire::StreamMetadata) -> StreamInfo {
    let mut partitions: Vec<_> = stream.partitions.into_values().filter_map(partition_info).collect();
    partitions.sort_by_key(|partition| partition.id);
    StreamInfo { name: stream.name, subject: stream.subject, created_at: time(stream.creation_timestamp), partitions }
}

/// `None` for a negative partition number.
pub(crate) fn partition_info(mut partition: wire::PartitionMetadata) -> Option<PartitionInfo> {
    partition.replicas.sort();
    partition.isr.sort();
    Some(PartitionInfo {
        id: PartitionId::from_wire(partition.id)?,
        leader: Some(partition.leader).filter(|leader| !leader.is_empty()),
        replicas: partition.replicas,
        isr: partition.isr,
        high_watermark: end_after(partition.high_watermark),
        log_end: end_after(partition.newest_offset),
        paused: partition.paused,
        readonly: partition.readonly,
        messages_received: event_times(partition.messages_received_timestamps),
        pause_changes: event_times(partition.pause_timestamps),
        readonly_changes: event_times(partition.readonly_timestamps),
    })
}

fn event_times(times: Option<wire::PartitionEventTimestamps>) -> EventTimes {
    times.map_or(EventTimes::default(), |times| EventTimes {
        first: time(times.first_timestamp),
        latest: time(times.latest_timestamp),
    })
}

pub(crate) fn publish_request(
    stream: &str,
    partition: PartitionId,
    message: Outgoing,
    correlation_id: String,
) -> wire::PublishRequest {
    wire::PublishRequest {
        key: message.key.unwrap_or_default(),
        value: message.value,
        stream: stream.to_owned(),
        partition: partition.to_wire(),
        headers: message.headers,
        ack_inbox: String::new(),
        correlation_id,
        ack_policy: ack_policy(message.ack_policy).into(),
        expected_offset: message.expected_offset.map_or(ANY_OFFSET, signed),
    }
}

pub(crate) fn publish_to_subject_request(subject: &str, message: Outgoing) -> wire::PublishToSubjectRequest {
    wire::PublishToSubjectRequest {
        key: message.key.unwrap_or_default(),
        value: message.value,
        subject: subject.to_owned(),
        headers: message.headers,
        ack_inbox: String::new(),
        correlation_id: String::new(),
        ack_policy: ack_policy(message.ack_policy).into(),
    }
}

fn ack_policy(policy: AckPolicy) -> wire::AckPolicy {
    match policy {
        AckPolicy::Leader => wire::AckPolicy::Leader,
        AckPolicy::All => wire::AckPolicy::All,
        AckPolicy::None => wire::AckPolicy::None,
    }
}

/// The outcome of one message of a publish stream.
pub(crate) fn publish_outcome(response: wire::PublishResponse) -> Result<Ack, PublishError> {
    match response.async_error {
        Some(error) => Err(publish_error(error)),
        None => response.ack.map_or_else(
            || Err(PublishError::Internal { message: "the server sent an answer without an ack".to_owned() }),
            acked,
        ),
    }
}

fn publish_error(error: wire::PublishAsyncError) -> PublishError {
    use wire::publish_async_error::Code;
    let code = error.code();
    let message = error.message;
    match code {
        Code::NotFound => PublishError::NotFound { message },
        Code::Readonly => PublishError::Readonly { message },
        Code::IncorrectOffset => PublishError::IncorrectOffset,
        Code::BadRequest => PublishError::BadRequest { message },
        Code::PermissionDenied => PublishError::PermissionDenied { message },
        Code::EncryptionFailed => PublishError::EncryptionFailed { message },
        Code::Internal | Code::Unknown => PublishError::Internal { message },
    }
}

/// An ack, or what one with an error says.
pub(crate) fn acked(ack: wire::Ack) -> Result<Ack, PublishError> {
    use wire::ack::Error;
    match ack.ack_error() {
        Error::Ok => Ok(Ack {
            stream: ack.stream,
            partition_subject: ack.partition_subject,
            offset: Offset::new(u64::try_from(ack.offset).unwrap_or(0)),
            received_at: time(ack.reception_timestamp),
            committed_at: time(ack.commit_timestamp),
        }),
        Error::IncorrectOffset => Err(PublishError::IncorrectOffset),
        Error::TooLarge => Err(PublishError::BadRequest { message: "message exceeds max replication size".to_owned() }),
        Error::Encryption => {
            Err(PublishError::EncryptionFailed { message: "encryption failed on partition".to_owned() })
        }
        Error::Unknown => Err(PublishError::Internal { message: "unknown error".to_owned() }),
    }
}

pub(crate) fn subscribe_request(subscribe: &Subscribe) -> wire::SubscribeRequest {
    let mut request = wire::SubscribeRequest {
        stream: subscribe.stream.clone(),
        partition: subscribe.partition.to_wire(),
        read_isr_replica: subscribe.read_isr_replica,
        resume: subscribe.resume,
        reverse: subscribe.reverse,
        ..wire::SubscribeRequest::default()
    };
    match subscribe.start {
        Start::NewOnly => request.set_start_position(wire::StartPosition::NewOnly),
        Start::Earliest => request.set_start_position(wire::StartPosition::Earliest),
        Start::Latest => request.set_start_position(wire::StartPosition::Latest),
        Start::Offset(offset) => {
            request.set_start_position(wire::StartPosition::Offset);
            request.start_offset = signed(offset);
        }
        Start::Time(time) => {
            request.set_start_position(wire::StartPosition::Timestamp);
            request.start_timestamp = time.as_nanos();
        }
    }
    match subscribe.stop {
        Stop::OnCancel => request.set_stop_position(wire::StopPosition::StopOnCancel),
        Stop::Latest => request.set_stop_position(wire::StopPosition::StopLatest),
        Stop::Offset(offset) => {
            request.set_stop_position(wire::StopPosition::StopOffset);
            request.stop_offset = signed(offset);
        }
        Stop::Time(time) => {
            request.set_stop_position(wire::StopPosition::StopTimestamp);
            request.stop_timestamp = time.as_nanos();
        }
    }
    request
}

/// `None` for numbers no server would send.
pub(crate) fn received_message(message: wire::Message) -> Option<ReceivedMessage> {
    Some(ReceivedMessage {
        stream: message.stream,
        partition: PartitionId::from_wire(message.partition)?,
        offset: Offset::new(u64::try_from(message.offset).ok()?),
        time: Timestamp::from_nanos(message.timestamp),
        key: Some(message.key).filter(|key| !key.is_empty()),
        value: message.value,
        headers: message.headers,
        subject: message.subject,
        reply_subject: message.reply_subject,
    })
}

/// The end of a range whose last offset is `last`, where -1 means there is none.
fn end_after(last: i64) -> Offset {
    u64::try_from(last).map_or(Offset::ZERO, |last| Offset::new(last).next())
}

fn time(nanos: i64) -> Option<Timestamp> {
    (nanos != 0).then(|| Timestamp::from_nanos(nanos))
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn signed(offset: Offset) -> i64 {
    saturated_i64(u128::from(offset.get()))
}

fn saturated_i64(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn saturated_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
