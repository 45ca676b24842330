//! How many of the oldest segments a log may let go of. Owns the decision; never a file.

use std::time::Duration;

use liftbridge_types::{Offset, Timestamp};

use crate::options::RetentionLimits;

/// What the decision needs to know of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentFacts {
    /// The offset after its last record.
    pub(crate) end: Offset,
    /// Bytes of its batches.
    pub(crate) bytes: u64,
    /// Its records.
    pub(crate) record_count: u64,
    /// Time of its newest record.
    pub(crate) newest_time: Option<Timestamp>,
}

/// How many leading segments of `segments` (ascending, the last one active) are to go: those beyond any limit, but never
/// the active one and none with a record at or above `high_watermark` (behaviour spec, section 9.5).
pub(crate) fn releasable(
    segments: &[SegmentFacts],
    limits: &RetentionLimits,
    now: Timestamp,
    high_watermark: Offset,
) -> usize {
    let Some((_, sealed)) = segments.split_last() else { return 0 };
    let committed = sealed.iter().take_while(|segment| segment.end <= high_watermark).count();
    let by_age = limits.age.map_or(0, |age| beyond_age(sealed, age, now));
    let by_bytes = limits.bytes.map_or(0, |limit| beyond_sum(segments, limit, |segment| segment.bytes));
    let by_messages = limits.messages.map_or(0, |limit| beyond_sum(segments, limit, |segment| segment.record_count));
    by_age.max(by_bytes).max(by_messages).min(committed)
}

/// Leading segments of which even the newest record is older than `age`; one without records goes along.
fn beyond_age(sealed: &[SegmentFacts], age: Duration, now: Timestamp) -> usize {
    sealed.iter().take_while(|segment| segment.newest_time.is_none_or(|newest| now.since(newest) > age)).count()
}

/// Leading segments that are not among the newest ones that together stay within `limit`.
fn beyond_sum(segments: &[SegmentFacts], limit: u64, measure: impl Fn(&SegmentFacts) -> u64) -> usize {
    let mut sum = 0u64;
    let kept = segments.iter().rev().take_while(|segment| {
        sum = sum.saturating_add(measure(segment));
        sum <= limit
    });
    segments.len() - kept.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten segments of 100 bytes and 10 records, the newest record of segment `n` at time `n` seconds.
    fn segments() -> Vec<SegmentFacts> {
        (0..10)
            .map(|n| SegmentFacts {
                end: Offset::new((n + 1) * 10),
                bytes: 100,
                record_count: 10,
                newest_time: Some(Timestamp::EPOCH.plus(Duration::from_secs(n))),
            })
            .collect()
    }

    #[track_caller]
    fn check(limits: RetentionLimits, now_secs: u64, high_watermark: u64, expected: usize) {
        let now = Timestamp::EPOCH.plus(Duration::from_secs(now_secs));
        assert_eq!(releasable(&segments(), &limits, now, Offset::new(high_watermark)), expected);
    }

    #[test]
    fn nothing_goes_without_limits() {
        check(RetentionLimits::default(), 1_000_000, 100, 0);
    }

    #[test]
    fn the_oldest_go_until_the_rest_is_within_every_limit() {
        let none = RetentionLimits::default();
        check(RetentionLimits { bytes: Some(1000), ..none }, 0, 100, 0);
        check(RetentionLimits { bytes: Some(999), ..none }, 0, 100, 1);
        check(RetentionLimits { bytes: Some(350), ..none }, 0, 100, 7);
        check(RetentionLimits { messages: Some(25), ..none }, 0, 100, 8);
        check(RetentionLimits { age: Some(Duration::from_secs(5)), ..none }, 10, 100, 5);
        check(RetentionLimits { bytes: Some(350), messages: Some(25), age: Some(Duration::from_secs(5)) }, 10, 100, 8);
    }

    #[test]
    fn the_active_segment_always_stays() {
        let all = RetentionLimits { bytes: Some(0), messages: Some(0), age: Some(Duration::ZERO) };
        check(all, 1_000_000, 100, 9);
        assert_eq!(releasable(&[], &all, Timestamp::MAX, Offset::MAX), 0);
    }

    #[test]
    fn what_is_not_committed_stays() {
        let all = RetentionLimits { bytes: Some(0), ..RetentionLimits::default() };
        check(all, 0, 45, 4);
        check(all, 0, 0, 0);
    }
}
