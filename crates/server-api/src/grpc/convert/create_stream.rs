//! A request for a new stream as a domain value.

use std::time::Duration;

use liftbridge_broker::{CreateStream, ReplicationFactor};
use liftbridge_proto::api::{CreateStreamRequest, NullableBool, NullableInt32, NullableInt64};
use liftbridge_types::{InvalidSetting, NAME_BYTES_MAX, SettingOverrides, StreamName, Subject};

use super::InvalidRequest;

/// The domain's form of a request for a new stream.
pub(crate) fn create_stream(wire: CreateStreamRequest) -> Result<CreateStream, InvalidRequest> {
    Ok(CreateStream {
        name: StreamName::new(&wire.name)?,
        subject: Subject::new(&wire.subject)?,
        partitions: partitions(wire.partitions)?,
        replication_factor: replication_factor(wire.replication_factor)?,
        overrides: overrides(&wire)?,
        group: group(wire.group)?,
    })
}

/// Any text is a group, and an empty one is none. Only its length has a bound, that of names.
fn group(wire: String) -> Result<Option<String>, InvalidRequest> {
    match wire.len() {
        0 => Ok(None),
        1..=NAME_BYTES_MAX => Ok(Some(wire)),
        bytes => Err(InvalidRequest::Group { bytes }),
    }
}

fn partitions(wire: i32) -> Result<u32, InvalidRequest> {
    let partitions = u32::try_from(wire).map_err(|_| InvalidRequest::Partitions { partitions: wire })?;
    Ok(partitions.max(1))
}

fn replication_factor(wire: i32) -> Result<ReplicationFactor, InvalidRequest> {
    if wire == -1 {
        return Ok(ReplicationFactor::Max);
    }
    let factor = u32::try_from(wire).map_err(|_| InvalidRequest::ReplicationFactor { factor: wire })?;
    Ok(ReplicationFactor::Count(factor.max(1)))
}

fn overrides(wire: &CreateStreamRequest) -> Result<SettingOverrides, InvalidSetting> {
    Ok(SettingOverrides {
        retention_max_bytes: count("retentionMaxBytes", wire.retention_max_bytes)?,
        retention_max_messages: count("retentionMaxMessages", wire.retention_max_messages)?,
        retention_max_age: milliseconds("retentionMaxAge", wire.retention_max_age)?,
        cleaner_interval: milliseconds("cleanerInterval", wire.cleaner_interval)?,
        segment_max_bytes: count("segmentMaxBytes", wire.segment_max_bytes)?,
        segment_max_age: milliseconds("segmentMaxAge", wire.segment_max_age)?,
        compact_max_goroutines: small_count("compactMaxGoroutines", wire.compact_max_goroutines)?,
        compact_enabled: flag(wire.compact_enabled),
        auto_pause_time: milliseconds("autoPauseTime", wire.auto_pause_time)?,
        auto_pause_disable_if_subscribers: flag(wire.auto_pause_disable_if_subscribers),
        // No log commits with fewer than one replica, so 0 can only mean "the server's".
        min_isr: small_count("minIsr", wire.min_isr)?.filter(|n| *n > 0),
        optimistic_concurrency_control: flag(wire.optimistic_concurrency_control),
        encryption: flag(wire.encryption),
    })
}

fn negative(name: &'static str, value: i64) -> InvalidSetting {
    InvalidSetting { name, value, allowed: "0 or more" }
}

fn count(name: &'static str, wire: Option<NullableInt64>) -> Result<Option<u64>, InvalidSetting> {
    wire.map(|set| u64::try_from(set.value).map_err(|_| negative(name, set.value))).transpose()
}

fn small_count(name: &'static str, wire: Option<NullableInt32>) -> Result<Option<u32>, InvalidSetting> {
    wire.map(|set| u32::try_from(set.value).map_err(|_| negative(name, set.value.into()))).transpose()
}

fn milliseconds(name: &'static str, wire: Option<NullableInt64>) -> Result<Option<Duration>, InvalidSetting> {
    Ok(count(name, wire)?.map(Duration::from_millis))
}

fn flag(wire: Option<NullableBool>) -> Option<bool> {
    wire.map(|set| set.value)
}

#[cfg(test)]
mod tests {
    use liftbridge_types::InvalidName;

    use super::*;

    fn request() -> CreateStreamRequest {
        CreateStreamRequest { name: "foo".to_owned(), subject: "foo".to_owned(), ..CreateStreamRequest::default() }
    }

    #[track_caller]
    fn check_refused(change: impl FnOnce(&mut CreateStreamRequest), text: &str) {
        let mut wire = request();
        change(&mut wire);
        assert_eq!(create_stream(wire).unwrap_err().to_string(), text);
    }

    #[test]
    fn zero_partitions_and_replicas_mean_one_and_minus_one_replicas_means_all() {
        let stream = create_stream(request()).unwrap();
        assert_eq!((stream.partitions, stream.replication_factor), (1, ReplicationFactor::Count(1)));
        assert_eq!((stream.group, stream.overrides), (None, SettingOverrides::default()));
        let stream = create_stream(CreateStreamRequest { replication_factor: -1, ..request() }).unwrap();
        assert_eq!(stream.replication_factor, ReplicationFactor::Max);
    }

    #[test]
    fn the_name_is_judged_before_the_subject_and_the_subject_before_the_numbers() {
        check_refused(|wire| (wire.name, wire.subject) = Default::default(), "Name cannot be empty");
        check_refused(|wire| (wire.subject, wire.partitions) = ("a..b".to_owned(), -1), "Subject is invalid");
        check_refused(|wire| (wire.partitions, wire.replication_factor) = (-1, -2), "Invalid partitions -1");
        check_refused(|wire| wire.replication_factor = -2, "Invalid replicationFactor -2");
    }

    #[test]
    fn a_group_has_the_length_of_a_name() {
        let stream = create_stream(CreateStreamRequest { group: "any text".to_owned(), ..request() }).unwrap();
        assert_eq!(stream.group.as_deref(), Some("any text"));
        assert!(create_stream(CreateStreamRequest { group: "g".repeat(200), ..request() }).is_ok());
        check_refused(|wire| wire.group = "g".repeat(201), "Group is 201 bytes long, the limit is 200");
    }

    #[test]
    fn a_name_that_is_a_path_is_refused() {
        check_refused(|wire| wire.name = "../x".to_owned(), "Name contains '/', which is not allowed");
        assert_eq!(
            create_stream(CreateStreamRequest { name: "..".to_owned(), ..request() }).unwrap_err(),
            InvalidRequest::Name(InvalidName::Dots)
        );
    }

    #[test]
    fn durations_are_milliseconds_and_negative_settings_are_named() {
        let wire = CreateStreamRequest {
            retention_max_age: Some(NullableInt64 { value: 1500 }),
            retention_max_bytes: Some(NullableInt64 { value: 0 }),
            min_isr: Some(NullableInt32 { value: 0 }),
            ..request()
        };
        let overrides = create_stream(wire).unwrap().overrides;
        assert_eq!(overrides.retention_max_age, Some(Duration::from_millis(1500)));
        assert_eq!((overrides.retention_max_bytes, overrides.min_isr), (Some(0), None));
        check_refused(
            |wire| wire.segment_max_age = Some(NullableInt64 { value: -5 }),
            "`segmentMaxAge` is -5, it must be 0 or more",
        );
        check_refused(
            |wire| wire.min_isr = Some(NullableInt32 { value: i32::MIN }),
            "`minIsr` is -2147483648, it must be 0 or more",
        );
    }
}
