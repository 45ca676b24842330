//! What retention lets go of, and what readers see of that.

use super::*;
use crate::options::RetentionLimits;

#[track_caller]
fn check_retention(limits: RetentionLimits, now: i64, high_watermark: u64, oldest: u64) {
    let storage = memory();
    // One record to a segment.
    let mut log = open(&storage, LogOptions { segment_bytes_max: 1, retention: limits, ..small() });
    fill(&mut log, 10, 1);
    log.clean(Timestamp::from_nanos(now), Offset::new(high_watermark)).unwrap();
    assert_eq!(log.log_start(), Offset::new(oldest));
    assert_eq!(read(&log.view(), 0, 10, 1000), numbered(oldest..10));
    let files = storage.list().unwrap();
    assert_eq!(files.iter().filter(|f| f.name.ends_with(".log.deleted")).count() as u64, oldest);
    log.remove_released().unwrap();
    assert!(storage.list().unwrap().iter().all(|f| !f.name.ends_with(".deleted")));
    drop(log);
    assert_eq!(open(&storage, small()).log_start(), Offset::new(oldest));
}

/// The cases of TestStreamRetentionBytes, -Messages and -Age (behaviour spec, 13.2), and what must never go.
#[test]
fn retention_lets_whole_old_segments_go() {
    let none = RetentionLimits::default();
    check_retention(none, 0, 10, 0);
    check_retention(RetentionLimits { bytes: Some(100), ..none }, 0, 10, 9);
    check_retention(RetentionLimits { messages: Some(5), ..none }, 0, 10, 5);
    check_retention(RetentionLimits { age: Some(Duration::from_nanos(1)), ..none }, 1_000_000, 10, 9);
    check_retention(RetentionLimits { messages: Some(5), ..none }, 0, 3, 3);
}

#[test]
fn an_old_active_segment_is_rolled_so_that_its_records_can_go() {
    let age = Duration::from_nanos(50);
    let retention = RetentionLimits { age: Some(age), ..RetentionLimits::default() };
    let mut log = open(&memory(), LogOptions { segment_age_max: Some(age), retention, ..LogOptions::default() });
    append_at(&mut log, 1, 0, &["a", "b"]);
    assert_eq!(log.clean(Timestamp::from_nanos(49), Offset::new(2)).unwrap(), 0);
    assert_eq!(log.clean(Timestamp::from_nanos(1000), Offset::new(2)).unwrap(), 1);
    assert_eq!((log.log_start(), log.log_end()), (Offset::new(2), Offset::new(2)));
    assert_eq!(read(&log.view(), 0, 10, 1000), []);
    append_at(&mut log, 1, 2000, &["c"]);
    assert_eq!(read(&log.view(), 0, 10, 1000), [(2, "c".to_owned())]);
}

#[test]
fn a_reader_goes_on_at_the_oldest_record_when_retention_overtakes_it() {
    let retention = RetentionLimits { messages: Some(20), ..RetentionLimits::default() };
    let mut log = open(&memory(), LogOptions { retention, ..small() });
    fill(&mut log, 50, 1);
    let mut reader = log.view().reader(Offset::ZERO);
    assert_eq!(reader.read(Offset::MAX, 1).unwrap()[0].header().base_offset, Offset::ZERO);
    fill(&mut log, 200, 1);
    log.clean(Timestamp::MAX, Offset::new(200)).unwrap();
    log.remove_released().unwrap();
    let next = reader.read(Offset::MAX, 1).unwrap()[0].header().base_offset;
    assert_eq!(next, log.log_start());
    assert!(next > Offset::new(150));
}
