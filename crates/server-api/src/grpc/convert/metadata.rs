//! Descriptions of brokers, streams and partitions on their way out.

use liftbridge_broker::{BrokerDescription, EventTimes, PartitionDescription, StreamDescription};
use liftbridge_proto::api;
use liftbridge_types::{BrokerId, Offset, Timestamp};

/// The wire form of a broker.
pub(crate) fn broker(described: BrokerDescription) -> api::Broker {
    api::Broker {
        id: described.id.as_str().to_owned(),
        host: described.host,
        port: described.port.into(),
        partition_count: i32::try_from(described.partition_count).unwrap_or(i32::MAX),
        leader_count: i32::try_from(described.leader_count).unwrap_or(i32::MAX),
    }
}

/// The wire form of a stream.
pub(crate) fn stream(described: StreamDescription) -> api::StreamMetadata {
    api::StreamMetadata {
        name: described.name.as_str().to_owned(),
        subject: described.subject.as_str().to_owned(),
        error: api::stream_metadata::Error::Ok.into(),
        partitions: described.partitions.into_iter().map(|p| (p.id.to_wire(), partition(p))).collect(),
        creation_timestamp: described.created_at.as_nanos(),
    }
}

/// The answer for a stream that was asked for by name and is not there.
pub(crate) fn unknown_stream(name: String) -> api::StreamMetadata {
    let error = api::stream_metadata::Error::UnknownStream.into();
    api::StreamMetadata { name, error, ..api::StreamMetadata::default() }
}

/// The answer for a consumer group that was asked for and is not there.
pub(crate) fn unknown_group(group_id: String) -> api::ConsumerGroupMetadata {
    let error = api::consumer_group_metadata::Error::UnknownGroup.into();
    api::ConsumerGroupMetadata { group_id, error, ..api::ConsumerGroupMetadata::default() }
}

/// The wire form of a partition.
pub(crate) fn partition(described: PartitionDescription) -> api::PartitionMetadata {
    let ids = |brokers: Vec<BrokerId>| brokers.iter().map(|id| id.as_str().to_owned()).collect();
    api::PartitionMetadata {
        id: described.id.to_wire(),
        leader: described.leader.map(|id| id.as_str().to_owned()).unwrap_or_default(),
        replicas: ids(described.replicas),
        isr: ids(described.isr),
        high_watermark: last_before(described.high_watermark),
        newest_offset: last_before(described.log_end),
        paused: described.paused,
        readonly: described.readonly,
        messages_received_timestamps: Some(times(described.messages_received)),
        pause_timestamps: Some(times(described.pause_changes)),
        readonly_timestamps: Some(times(described.readonly_changes)),
    }
}

fn times(times: EventTimes) -> api::PartitionEventTimestamps {
    let nanos = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_nanos);
    api::PartitionEventTimestamps { first_timestamp: nanos(times.first), latest_timestamp: nanos(times.latest) }
}

/// The API's name for an end: the offset before it, -1 when there is none.
fn last_before(end: Option<Offset>) -> i64 {
    end.and_then(Offset::previous).map_or(-1, inclusive)
}

/// An offset as the API writes it.
pub(crate) fn inclusive(offset: Offset) -> i64 {
    i64::try_from(offset.get()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use liftbridge_types::PartitionId;

    use super::*;

    fn described(high_watermark: Option<Offset>, log_end: Option<Offset>) -> PartitionDescription {
        PartitionDescription {
            id: PartitionId::from_wire(1).unwrap(),
            leader: None,
            replicas: Vec::new(),
            isr: Vec::new(),
            high_watermark,
            log_end,
            paused: false,
            readonly: false,
            messages_received: EventTimes::default(),
            pause_changes: EventTimes::default(),
            readonly_changes: EventTimes::default(),
        }
    }

    #[track_caller]
    fn check(end: Option<u64>, expected: i64) {
        let wire = partition(described(end.map(Offset::new), end.map(Offset::new)));
        assert_eq!((wire.high_watermark, wire.newest_offset), (expected, expected));
    }

    #[test]
    fn ends_become_the_last_offset_before_them() {
        check(None, -1);
        check(Some(0), -1);
        check(Some(1), 0);
        check(Some(u64::MAX), i64::MAX);
    }

    #[test]
    fn what_never_happened_has_time_zero() {
        let wire = partition(described(None, None));
        assert_eq!(wire.pause_timestamps, Some(api::PartitionEventTimestamps::default()));
        assert_eq!(wire.leader, "");
    }
}
