//! A stream's own settings as bytes. Owns the mapping of each field; never its meaning.

use std::time::Duration;

use liftbridge_proto::v1;
use liftbridge_types::SettingOverrides;

use super::DecodeError;

pub(super) fn encode(overrides: &SettingOverrides) -> v1::StreamOverrides {
    v1::StreamOverrides {
        retention_max_bytes: overrides.retention_max_bytes,
        retention_max_messages: overrides.retention_max_messages,
        retention_max_age: overrides.retention_max_age.map(encode_span),
        cleaner_interval: overrides.cleaner_interval.map(encode_span),
        segment_max_bytes: overrides.segment_max_bytes,
        segment_max_age: overrides.segment_max_age.map(encode_span),
        compact_max_goroutines: overrides.compact_max_goroutines,
        compact_enabled: overrides.compact_enabled,
        auto_pause_time: overrides.auto_pause_time.map(encode_span),
        auto_pause_disable_if_subscribers: overrides.auto_pause_disable_if_subscribers,
        min_isr: overrides.min_isr,
        optimistic_concurrency_control: overrides.optimistic_concurrency_control,
        encryption: overrides.encryption,
    }
}

pub(super) fn decode(overrides: v1::StreamOverrides) -> Result<SettingOverrides, DecodeError> {
    Ok(SettingOverrides {
        retention_max_bytes: overrides.retention_max_bytes,
        retention_max_messages: overrides.retention_max_messages,
        retention_max_age: overrides.retention_max_age.map(decode_span).transpose()?,
        cleaner_interval: overrides.cleaner_interval.map(decode_span).transpose()?,
        segment_max_bytes: overrides.segment_max_bytes,
        segment_max_age: overrides.segment_max_age.map(decode_span).transpose()?,
        compact_max_goroutines: overrides.compact_max_goroutines,
        compact_enabled: overrides.compact_enabled,
        auto_pause_time: overrides.auto_pause_time.map(decode_span).transpose()?,
        auto_pause_disable_if_subscribers: overrides.auto_pause_disable_if_subscribers,
        min_isr: overrides.min_isr,
        optimistic_concurrency_control: overrides.optimistic_concurrency_control,
        encryption: overrides.encryption,
    })
}

fn encode_span(duration: Duration) -> v1::Span {
    v1::Span { seconds: duration.as_secs(), nanos: duration.subsec_nanos() }
}

/// `Duration::new` panics when nanoseconds carry over into too many seconds, so they may not carry at all.
fn decode_span(span: v1::Span) -> Result<Duration, DecodeError> {
    match span.nanos {
        0..1_000_000_000 => Ok(Duration::new(span.seconds, span.nanos)),
        nanos => Err(DecodeError::OutOfRange { field: "nanos", value: nanos.into() }),
    }
}
