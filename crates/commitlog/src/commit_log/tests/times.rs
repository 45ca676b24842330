//! Which offsets times lead to.

use super::*;
use crate::error::TimeLookupError;

#[track_caller]
fn check_times(log: &CommitLog, time: i64, first: Option<u64>, last: Result<u64, &str>) {
    let (view, end) = (log.view(), log.log_end());
    let time = Timestamp::from_nanos(time);
    let found = view.first_at_or_after(time, end).unwrap();
    assert_eq!(found.map(|offsets| offsets.start.get()), first, "first at or after {time}");
    let found = match view.last_at_or_before(time, end) {
        Ok(offsets) => Ok(offsets.end.get() - 1),
        Err(TimeLookupError::BeforeBeginning) => Err("before"),
        Err(TimeLookupError::Empty) => Err("empty"),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(found, last, "last at or before {time}");
}

/// The expectations of the behaviour spec, section 9.7: records at 0, 10, ... 90, in one segment or one each.
#[test]
fn times_are_found_without_the_reference_bugs() {
    for segment_bytes_max in [1, 200, 1 << 20] {
        let mut log = open(&memory(), LogOptions { segment_bytes_max, ..small() });
        check_times(&log, 50, None, Err("empty"));
        fill(&mut log, 10, 1);
        check_times(&log, -1, Some(0), Err("before"));
        check_times(&log, 0, Some(0), Ok(0));
        check_times(&log, 5, Some(1), Ok(0));
        check_times(&log, 20, Some(2), Ok(2));
        check_times(&log, 25, Some(3), Ok(2));
        check_times(&log, 85, Some(9), Ok(8));
        check_times(&log, 90, Some(9), Ok(9));
        check_times(&log, 500, None, Ok(9));
        check_times(&log, i64::MAX, None, Ok(9));
    }
}

#[test]
fn an_empty_active_segment_does_not_hide_earlier_times() {
    let age = Some(Duration::from_nanos(1));
    let mut log = open(&memory(), LogOptions { segment_age_max: age, ..small() });
    append_at(&mut log, 1, 10, &["a"]);
    log.clean(Timestamp::from_nanos(100), Offset::new(1)).unwrap();
    check_times(&log, 10, Some(0), Ok(0));
    check_times(&log, 50, None, Ok(0));
}

#[test]
fn times_beyond_the_end_asked_for_are_not_found() {
    let mut log = open(&memory(), small());
    fill(&mut log, 10, 1);
    let view = log.view();
    assert_eq!(view.first_at_or_after(Timestamp::from_nanos(70), Offset::new(5)).unwrap(), None);
    let last = view.last_at_or_before(Timestamp::from_nanos(70), Offset::new(5)).unwrap();
    assert_eq!(last, Offset::new(4)..Offset::new(5));
}

/// A log of 20 records in batches of 5, of which that at `base` is damaged on the medium; opened again without
/// its indexes when `reopened`.
fn damaged_at(base: u64, segment_bytes_max: u64, reopened: bool) -> CommitLog {
    let volume = FaultyVolume::new(1);
    let storage = volume.directory("log");
    let options = LogOptions { segment_bytes_max, ..small() };
    let mut log = open(&storage, options);
    let bytes_now =
        |name: &str| storage.list().unwrap().into_iter().find(|file| file.name == name).map(|file| file.bytes);
    fill(&mut log, base, 5);
    let only = "00000000000000000000.log";
    let before = bytes_now(only).unwrap_or(0);
    fill(&mut log, 20, 5);
    log.park(Offset::new(20)).unwrap();
    let own = format!("{base:020}.log");
    let (name, position) = if bytes_now(&own).is_some() { (own.as_str(), 0) } else { (only, before) };
    volume.flip_bit(&format!("log/{name}"), position + 70, 1).unwrap();
    if reopened {
        drop(log);
        let files = storage.list().unwrap().into_iter();
        files.filter(|file| file.name.ends_with(".index")).for_each(|file| storage.remove(&file.name).unwrap());
        log = open(&storage, options);
    }
    log
}

/// Records 0, 1, ... have times 0, 1, ... 4, 50, 51, ... 54, 100, ...
#[test]
fn a_time_that_damage_may_hold_leads_to_the_damage() {
    for segment_bytes_max in [1, 1 << 20] {
        for reopened in [false, true] {
            let log = damaged_at(5, segment_bytes_max, reopened);
            check_times(&log, 3, Some(3), Ok(3));
            check_times(&log, 4, Some(4), Ok(4));
            check_times(&log, 5, Some(5), Ok(9));
            check_times(&log, 52, Some(5), Ok(9));
            check_times(&log, 54, Some(5), Ok(9));
            check_times(&log, 100, Some(10), Ok(10));
            check_times(&log, 500, None, Ok(19));
            let log = damaged_at(15, segment_bytes_max, reopened);
            check_times(&log, 104, Some(14), Ok(14));
            check_times(&log, 152, Some(15), Ok(19));
            check_times(&log, 154, Some(15), Ok(19));
            let log = damaged_at(0, segment_bytes_max, reopened);
            check_times(&log, -5, Some(0), Ok(4));
            check_times(&log, 4, Some(0), Ok(4));
            check_times(&log, 50, Some(5), Ok(5));
        }
    }
}
