//! What can be set per stream and what applies when it is not. Owns the bounds of every setting; never where they come from.

use std::time::Duration;

use thiserror::Error;

/// A setting outside its range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{name}` is {value}, it must be {allowed}")]
pub struct InvalidSetting {
    /// The API's name of the setting.
    pub name: &'static str,
    /// What was given.
    pub value: i64,
    /// What would be legal.
    pub allowed: &'static str,
}

/// What one stream's creator asked for; `None` falls back to the server's [`StreamSettings`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingOverrides {
    /// Most bytes a partition keeps; 0 = no limit.
    pub retention_max_bytes: Option<u64>,
    /// Most messages a partition keeps; 0 = no limit.
    pub retention_max_messages: Option<u64>,
    /// How long a message is kept; zero = no limit.
    pub retention_max_age: Option<Duration>,
    /// How often retention is enforced; zero = the server's interval.
    pub cleaner_interval: Option<Duration>,
    /// Size at which a segment is rolled, in bytes; 0 = the server's size.
    pub segment_max_bytes: Option<u64>,
    /// Age at which a segment is rolled; zero = the retention age.
    pub segment_max_age: Option<Duration>,
    /// Workers compaction may use; kept for the clients that set it.
    pub compact_max_goroutines: Option<u32>,
    /// Whether the stream is compacted by key.
    pub compact_enabled: Option<bool>,
    /// Idle time after which a partition pauses itself; zero = never.
    pub auto_pause_time: Option<Duration>,
    /// Whether subscribers keep a partition from pausing itself.
    pub auto_pause_disable_if_subscribers: Option<bool>,
    /// Fewest in-sync replicas that may commit.
    pub min_isr: Option<u32>,
    /// Whether publishers must name the offset they expect.
    pub optimistic_concurrency_control: Option<bool>,
    /// Whether data is encrypted at rest.
    pub encryption: Option<bool>,
}

/// Fewest in-sync replicas of so many under which a publisher may be promised `ALL`, when `configured` says so.
///
/// Unset it is a majority, because one disk less than that can lose what was acknowledged.
pub fn minimum_in_sync(replica_count: usize, configured: Option<u32>) -> usize {
    let majority = replica_count / 2 + 1;
    configured.map_or(majority, |minimum| usize::try_from(minimum).unwrap_or(usize::MAX).max(1))
}

/// What applies to a stream once its overrides and the server's configuration are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Most bytes a partition keeps; `None` = no limit.
    pub retention_max_bytes: Option<u64>,
    /// Most messages a partition keeps; `None` = no limit.
    pub retention_max_messages: Option<u64>,
    /// How long a message is kept; `None` = no limit.
    pub retention_max_age: Option<Duration>,
    /// How often retention is enforced.
    pub cleaner_interval: Duration,
    /// Size at which a segment is rolled, in bytes.
    pub segment_max_bytes: u64,
    /// Age at which a segment is rolled; `None` = the retention age, and never when that is unlimited too.
    pub segment_max_age: Option<Duration>,
    /// Fewest in-sync replicas that may commit; `None` = a majority of the replicas.
    pub min_isr: Option<u32>,
    /// Whether publishers must name the offset they expect.
    pub optimistic_concurrency_control: bool,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            retention_max_bytes: None,
            retention_max_messages: None,
            retention_max_age: Some(Duration::from_hours(168)),
            cleaner_interval: Duration::from_mins(5),
            segment_max_bytes: 256 * 1024 * 1024,
            segment_max_age: None,
            min_isr: None,
            optimistic_concurrency_control: false,
        }
    }
}

impl StreamSettings {
    /// Retention is enforced at most this often, and segments are this old before they are rolled for their age: with less, a
    /// partition would do nothing else.
    pub const INTERVAL_MIN: Duration = Duration::from_secs(1);

    /// These settings with a stream's own in their place.
    #[must_use]
    pub fn with_overrides(&self, overrides: &SettingOverrides) -> Self {
        let limit = |own: Option<u64>, server: Option<u64>| own.map_or(server, |n| (n > 0).then_some(n));
        let age = |own: Option<Duration>, server: Option<Duration>| own.map_or(server, |d| (!d.is_zero()).then_some(d));
        Self {
            retention_max_bytes: limit(overrides.retention_max_bytes, self.retention_max_bytes),
            retention_max_messages: limit(overrides.retention_max_messages, self.retention_max_messages),
            retention_max_age: age(overrides.retention_max_age, self.retention_max_age),
            cleaner_interval: overrides
                .cleaner_interval
                .filter(|d| !d.is_zero())
                .map_or(self.cleaner_interval, |d| d.max(Self::INTERVAL_MIN)),
            segment_max_bytes: overrides.segment_max_bytes.filter(|n| *n > 0).unwrap_or(self.segment_max_bytes),
            segment_max_age: age(overrides.segment_max_age, self.segment_max_age).map(|d| d.max(Self::INTERVAL_MIN)),
            min_isr: overrides.min_isr.or(self.min_isr),
            optimistic_concurrency_control: overrides
                .optimistic_concurrency_control
                .unwrap_or(self.optimistic_concurrency_control),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_of_zero_lifts_the_servers_limit() {
        let server = StreamSettings { retention_max_bytes: Some(10), ..StreamSettings::default() };
        let own = SettingOverrides {
            retention_max_bytes: Some(0),
            retention_max_age: Some(Duration::ZERO),
            ..SettingOverrides::default()
        };
        let effective = server.with_overrides(&own);
        assert_eq!(effective.retention_max_bytes, None);
        assert_eq!(effective.retention_max_age, None);
    }

    #[test]
    fn absent_overrides_keep_every_server_setting() {
        let server = StreamSettings { retention_max_messages: Some(7), min_isr: Some(2), ..StreamSettings::default() };
        assert_eq!(server.with_overrides(&SettingOverrides::default()), server);
    }

    #[test]
    fn nothing_is_to_be_done_all_the_time() {
        let nanosecond = Some(Duration::from_nanos(1));
        let own = SettingOverrides {
            cleaner_interval: nanosecond,
            segment_max_age: nanosecond,
            ..SettingOverrides::default()
        };
        let effective = StreamSettings::default().with_overrides(&own);
        assert_eq!(effective.cleaner_interval, StreamSettings::INTERVAL_MIN);
        assert_eq!(effective.segment_max_age, Some(StreamSettings::INTERVAL_MIN));
    }

    #[test]
    fn zero_sizes_and_intervals_fall_back_to_the_server() {
        let server = StreamSettings::default();
        let own = SettingOverrides {
            cleaner_interval: Some(Duration::ZERO),
            segment_max_bytes: Some(0),
            ..SettingOverrides::default()
        };
        assert_eq!(server.with_overrides(&own), server);
    }
}
