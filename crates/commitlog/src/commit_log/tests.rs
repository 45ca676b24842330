//! What the log promises its appender and its readers, on memory. Recovery is tested in `recovery/tests.rs`.

mod on_disk;

use std::sync::Arc;
use std::time::Duration;

use liftbridge_types::{Header, LeaderEpoch, Offset, Timestamp};

use super::CommitLog;
use crate::batch::BatchBuilder;
use crate::error::{AppendError, ReadError, Shortage, TimeLookupError};
use crate::options::{LogOptions, RetentionLimits};
use crate::reader::LogView;
use crate::storage::{FaultyVolume, MemoryVolume, Storage, Volume};
use crate::sync_policy::SyncPolicy;

/// Segments and index intervals so small that their edges are everywhere.
fn small() -> LogOptions {
    LogOptions { segment_bytes_max: 600, index_interval_bytes: 150, tail_bytes_max: 0, ..LogOptions::default() }
}

fn open(storage: &Arc<dyn Storage>, options: LogOptions) -> CommitLog {
    CommitLog::open(storage.clone(), options).unwrap().0
}

fn memory() -> Arc<dyn Storage> {
    MemoryVolume::default().directory("log")
}

/// Appends one record per text, as one batch, at `time` nanoseconds.
fn append_at(log: &mut CommitLog, epoch: u64, time: i64, values: &[&str]) {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.push(None, value.as_bytes(), &[]).unwrap();
    }
    log.append(&mut builder, LeaderEpoch::new(epoch), Timestamp::from_nanos(time)).unwrap();
    assert!(builder.is_empty());
}

/// Appends `count` records of `per_batch` each; record `n` says `n`, at time `10 n`.
fn fill(log: &mut CommitLog, count: u64, per_batch: u64) {
    while log.log_end().get() < count {
        let base = log.log_end().get();
        let texts: Vec<String> = (base..(base + per_batch).min(count)).map(|n| n.to_string()).collect();
        let values: Vec<&str> = texts.iter().map(String::as_str).collect();
        append_at(log, 1, i64::try_from(base).unwrap() * 10, &values);
    }
}

/// Everything a forward reader delivers in `start..end`, as (offset, value).
fn read(view: &LogView, start: u64, end: u64, bytes_max: usize) -> Vec<(u64, String)> {
    let mut reader = view.reader(Offset::new(start));
    let mut records = Vec::new();
    loop {
        let batches = reader.read(Offset::new(end), bytes_max).unwrap();
        if batches.is_empty() {
            return records;
        }
        for record in batches.iter().flat_map(|batch| batch.records()) {
            let record = record.unwrap();
            if (start..end).contains(&record.offset.get()) {
                records.push((record.offset.get(), String::from_utf8(record.value.to_vec()).unwrap()));
            }
        }
    }
}

fn read_reverse(view: &LogView, end: u64, bytes_max: usize) -> Vec<u64> {
    let mut reader = view.reverse_reader(Offset::new(end));
    let mut offsets = Vec::new();
    loop {
        let bound = reader.end();
        let batches = reader.read(bytes_max).unwrap();
        if batches.is_empty() {
            return offsets;
        }
        for batch in batches {
            let records: Vec<_> = batch.records().map(|r| r.unwrap().offset).filter(|o| *o < bound).collect();
            offsets.extend(records.into_iter().rev().map(Offset::get));
        }
    }
}

fn numbered(range: std::ops::Range<u64>) -> Vec<(u64, String)> {
    range.map(|n| (n, n.to_string())).collect()
}

#[test]
fn an_empty_log_creates_nothing() {
    let storage = memory();
    let mut log = open(&storage, small());
    assert_eq!((log.log_start(), log.log_end(), log.durable_end()), (Offset::ZERO, Offset::ZERO, Offset::ZERO));
    assert_eq!(log.newest_time(), None);
    log.sync().unwrap();
    log.clean(Timestamp::MAX, Offset::MAX).unwrap();
    log.park(Offset::ZERO).unwrap();
    assert_eq!(read(&log.view(), 0, 10, 100), []);
    assert_eq!(read_reverse(&log.view(), 10, 100), []);
    assert_eq!(storage.list().unwrap(), []);
}

#[test]
fn what_is_appended_is_read_whatever_the_sizes() {
    for per_batch in [1, 3, 50] {
        for tail_bytes_max in [0, 300, 1 << 20] {
            let storage = memory();
            let mut log = open(&storage, LogOptions { tail_bytes_max, ..small() });
            fill(&mut log, 100, per_batch);
            for bytes_max in [1, 200, 1 << 20] {
                assert_eq!(read(&log.view(), 0, 100, bytes_max), numbered(0..100));
                assert_eq!(read(&log.view(), 37, 61, bytes_max), numbered(37..61));
                assert_eq!(read(&log.view(), 99, 200, bytes_max), numbered(99..100));
                assert_eq!(read(&log.view(), 100, 200, bytes_max), []);
                assert_eq!(read_reverse(&log.view(), 100, bytes_max), (0..100).rev().collect::<Vec<_>>());
                assert_eq!(read_reverse(&log.view(), 42, bytes_max), (0..42).rev().collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn keys_headers_and_times_survive() {
    let storage = memory();
    let mut log = open(&storage, small());
    let header = Header { name: "content-type".into(), value: "text".into() };
    let mut builder = BatchBuilder::new();
    builder.push(Some(b""), b"a", std::slice::from_ref(&header)).unwrap();
    builder.push(None, b"", &[]).unwrap();
    let appended = log.append(&mut builder, LeaderEpoch::new(4), Timestamp::from_nanos(77)).unwrap();
    assert_eq!(appended.offsets, Offset::ZERO..Offset::new(2));
    let batches = log.view().reader(Offset::ZERO).read(Offset::MAX, 1000).unwrap();
    let records: Vec<_> = batches[0].records().map(Result::unwrap).collect();
    assert_eq!((records[0].key.as_deref(), &records[0].headers), (Some(&b""[..]), &vec![header]));
    assert_eq!((records[1].key.as_deref(), &*records[1].value), (None, &b""[..]));
    assert_eq!((records[0].time.as_nanos(), records[1].time.as_nanos()), (77, 78));
}

#[test]
fn times_strictly_increase_even_when_the_clock_steps_back() {
    let mut log = open(&memory(), small());
    append_at(&mut log, 1, 1000, &["a", "b"]);
    append_at(&mut log, 1, 5, &["c"]);
    append_at(&mut log, 1, 1001, &["d"]);
    let batches = log.view().reader(Offset::ZERO).read(Offset::MAX, 1000).unwrap();
    let times: Vec<_> = batches.iter().flat_map(|b| b.records()).map(|r| r.unwrap().time.as_nanos()).collect();
    assert_eq!(times, [1000, 1001, 1002, 1003]);
    assert_eq!(log.newest_time(), Some(Timestamp::from_nanos(1003)));
}

#[test]
fn the_tail_serves_only_what_it_holds() {
    let mut log = open(&memory(), LogOptions { tail_bytes_max: 500, ..small() });
    fill(&mut log, 100, 1);
    let view = log.view();
    assert_eq!(view.read_tail(Offset::ZERO, Offset::MAX, 1000), None);
    assert_eq!(view.read_tail(Offset::new(100), Offset::MAX, 1000), None);
    let newest = view.read_tail(Offset::new(99), Offset::MAX, 1000).unwrap();
    assert_eq!(newest.len(), 1);
    assert_eq!(newest[0].header().base_offset, Offset::new(99));
    assert_eq!(view.read_tail(Offset::new(98), Offset::new(99), 1000).unwrap().len(), 1);
    assert_eq!(view.read_tail(Offset::new(97), Offset::MAX, 1).unwrap().len(), 1);
}

#[test]
fn only_synced_records_are_durable() {
    let mut log = open(&memory(), small());
    append_at(&mut log, 1, 0, &["a", "b"]);
    assert_eq!((log.log_end(), log.durable_end()), (Offset::new(2), Offset::ZERO));
    let pending = log.prepare_sync().unwrap().unwrap();
    append_at(&mut log, 1, 0, &["c"]);
    let outcome = pending.run();
    assert_eq!(log.finish_sync(&pending, outcome).unwrap(), Offset::new(2));
    assert_eq!(log.sync().unwrap(), Offset::new(3));
    assert!(log.prepare_sync().unwrap().is_none());
}

#[test]
fn a_batch_says_what_was_durable_before_it() {
    let stable = |sync| {
        let mut log = open(&memory(), LogOptions { sync, ..small() });
        append_at(&mut log, 1, 0, &["a"]);
        log.sync().unwrap();
        append_at(&mut log, 1, 0, &["b"]);
        append_at(&mut log, 1, 0, &["c"]);
        let batches = log.view().reader(Offset::ZERO).read(Offset::MAX, 1000).unwrap();
        batches.iter().map(|batch| batch.header().stable_end.map(Offset::get)).collect::<Vec<_>>()
    };
    assert_eq!(stable(SyncPolicy::Commit), [Some(0), Some(1), Some(1)]);
    assert_eq!(stable(SyncPolicy::Never), [None, None, None]);
}

#[test]
fn a_batch_says_what_was_committed_before_it_and_the_next_life_knows() {
    let volume = FaultyVolume::new(1);
    let storage = volume.directory("log");
    let mut log = open(&storage, small());
    for (committed, value) in [(0, "a"), (1, "b"), (9, "c")] {
        log.note_high_watermark(Offset::new(committed));
        append_at(&mut log, 1, 0, &[value]);
    }
    let batches = log.view().reader(Offset::ZERO).read(Offset::MAX, 1000).unwrap();
    let said: Vec<_> = batches.iter().map(|batch| batch.header().high_watermark.map(Offset::get)).collect();
    assert_eq!(said, [Some(0), Some(1), Some(2)], "nothing beyond the log end is committed");
    log.sync().unwrap();
    log.note_high_watermark(Offset::new(3));
    drop(log);
    volume.crash();
    let mut log = open(&volume.directory("log"), small());
    assert_eq!(log.high_watermark(), Offset::new(2), "as the newest batch says");
    log.truncate(Offset::new(1)).unwrap();
    assert_eq!(log.high_watermark(), Offset::new(1), "what a caller cuts was none");
}

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

#[test]
fn truncation_removes_everything_from_the_end_on() {
    for per_batch in [1, 3, 50] {
        for end in [0, 1, 2, 37, 50, 99, 100, 500] {
            let storage = memory();
            let mut log = open(&storage, small());
            fill(&mut log, 100, per_batch);
            log.truncate(Offset::new(end)).unwrap();
            let kept = end.min(100);
            assert_eq!(log.log_end(), Offset::new(kept), "batches of {per_batch} cut at {end}");
            assert_eq!(read(&log.view(), 0, 200, 1000), numbered(0..kept));
            drop(log);
            let mut log = open(&storage, small());
            assert_eq!(log.log_end(), Offset::new(kept));
            fill(&mut log, 120, per_batch);
            assert_eq!(read(&log.view(), 0, 200, 1000), numbered(0..120));
        }
    }
}

#[test]
fn leader_epochs_follow_appends_truncation_and_retention() {
    let storage = memory();
    let retention = RetentionLimits { messages: Some(2), ..RetentionLimits::default() };
    let mut log = open(&storage, LogOptions { segment_bytes_max: 1, retention, ..small() });
    for (epoch, value) in [(1, "a"), (1, "b"), (3, "c"), (3, "d"), (7, "e")] {
        append_at(&mut log, epoch, 0, &[value]);
    }
    let epochs = |log: &CommitLog| -> Vec<(u64, u64)> {
        log.leader_epochs().iter().map(|(epoch, start)| (epoch.get(), start.get())).collect()
    };
    assert_eq!(epochs(&log), [(1, 0), (3, 2), (7, 4)]);
    log.truncate(Offset::new(4)).unwrap();
    assert_eq!(epochs(&log), [(1, 0), (3, 2)]);
    log.clean(Timestamp::EPOCH, Offset::new(4)).unwrap();
    assert_eq!(epochs(&log), [(3, 2)]);
    drop(log);
    assert_eq!(epochs(&open(&storage, small())), [(3, 2)]);
}

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

#[test]
fn batches_of_another_log_are_taken_unchanged_and_only_in_order() {
    let mut leader = open(&memory(), small());
    fill(&mut leader, 20, 4);
    append_at(&mut leader, 2, 500, &["20"]);
    let batches = leader.view().reader(Offset::ZERO).read(Offset::MAX, 1 << 20).unwrap();
    let bytes: Vec<u8> = batches.iter().flat_map(|batch| batch.bytes().to_vec()).collect();

    let mut follower = open(&memory(), small());
    follower.append_batches(&bytes.clone().into()).unwrap();
    let copied = follower.log_end().get();
    assert_eq!(read(&follower.view(), 0, 100, 100), read(&leader.view(), 0, copied, 100));
    let again = follower.append_batches(&bytes.clone().into()).unwrap_err();
    assert!(matches!(again, AppendError::NotContiguous { .. }), "{again}");

    let mut damaged = bytes;
    damaged[80] ^= 1;
    let refused = open(&memory(), small()).append_batches(&damaged.into()).unwrap_err();
    assert!(matches!(refused, AppendError::Malformed(_)), "{refused}");
}

#[test]
fn a_reader_that_was_ahead_of_a_truncation_sees_what_took_its_place() {
    let mut log = open(&memory(), LogOptions { tail_bytes_max: 0, ..LogOptions::default() });
    append_at(&mut log, 1, 0, &["first"]);
    append_at(&mut log, 1, 0, &["old 1", "old 2", "old 3", "old 4"]);
    let mut reader = log.view().reader(Offset::ZERO);
    reader.read(Offset::new(1), 1).unwrap();
    log.truncate(Offset::new(3)).unwrap();
    append_at(&mut log, 2, 0, &["new 3", "new 4"]);
    let batches = reader.read(Offset::MAX, 1 << 20).unwrap();
    let values: Vec<_> = batches.iter().flat_map(|batch| batch.records()).map(|r| r.unwrap().value).collect();
    assert_eq!(values, ["old 1", "old 2", "new 3", "new 4"]);
}

#[test]
fn a_sync_that_a_truncation_overtook_makes_nothing_durable() {
    let mut log = open(&memory(), small());
    append_at(&mut log, 1, 0, &["a", "b", "c", "d"]);
    let pending = log.prepare_sync().unwrap().unwrap();
    log.truncate(Offset::new(2)).unwrap();
    append_at(&mut log, 2, 0, &["e", "f"]);
    let outcome = pending.run();
    assert_eq!(log.finish_sync(&pending, outcome).unwrap(), Offset::new(2));
    assert!(log.prepare_sync().unwrap().is_some());
}

#[test]
fn retention_makes_room_on_a_full_disk() {
    let volume = FaultyVolume::new(1);
    let storage = volume.directory("log");
    let retention = RetentionLimits { bytes: Some(1000), ..RetentionLimits::default() };
    let mut log = open(&storage, LogOptions { retention, ..small() });
    fill(&mut log, 60, 1);
    log.sync().unwrap();
    volume.limit_free_bytes(Some(0));
    assert!(log.clean(Timestamp::EPOCH, Offset::new(60)).unwrap() > 0);
    log.remove_released().unwrap();
    fill(&mut log, 61, 1);
    let log_start = log.log_start();
    drop(log);
    volume.limit_free_bytes(None);
    assert_eq!(open(&storage, small()).log_start(), log_start);
}

/// Whoever is told of a full disk goes on when there is space again.
#[test]
fn a_log_that_answers_that_the_disk_is_full_can_be_appended_to() {
    let mut full = 0;
    for (operation, kind) in
        (0..12).flat_map(|n| [(n, std::io::ErrorKind::Other), (n, std::io::ErrorKind::StorageFull)])
    {
        let volume = FaultyVolume::new(1);
        let storage = volume.directory("log");
        let mut log = open(&storage, small());
        fill(&mut log, 10, 1);
        volume.limit_free_bytes(Some(100));
        volume.fail_operation(operation, kind);
        let mut builder = BatchBuilder::new();
        builder.push(None, &[b'x'; 200], &[]).unwrap();
        let refused = log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH);
        let synced = refused.and_then(|_| log.sync());
        if matches!(&synced, Err(AppendError::Storage(error)) if error.is_disk_full()) {
            full += 1;
            volume.limit_free_bytes(None);
            // The planned failure is not to strike what follows.
            (0..operation).for_each(|_| drop(storage.list()));
            fill(&mut log, 20, 1);
            assert_eq!(log.sync().unwrap(), Offset::new(20), "operation {operation}: {kind}");
        }
    }
    assert!(full > 0);
}

/// Wherever they run out: at an append, a roll, a cleaning, a checkpoint.
#[test]
fn a_log_goes_on_when_there_are_descriptors_again() {
    let retention = RetentionLimits { messages: Some(8), ..RetentionLimits::default() };
    for (after, is_parked) in (0..100).flat_map(|after| [(after, false), (after, true)]) {
        let volume = FaultyVolume::new(after);
        let mut log = open(&volume.directory("log"), LogOptions { retention, ..small() });
        volume.exhaust_files(Some(after));
        let (mut end, mut refused) = (0, 0);
        let mut note = |done: Result<(), AppendError>| {
            if let Err(error) = &done {
                let is_passing = matches!(error, AppendError::Storage(e) if e.shortage() == Some(Shortage::Files));
                assert!(is_passing, "after {after}: {error}");
                refused += 1;
            }
            done.is_ok()
        };
        for _ in 0..40 {
            let mut builder = BatchBuilder::new();
            builder.push(None, &[b'x'; 200], &[]).unwrap();
            if note(log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).map(drop)) {
                end += 1;
            }
            note(log.sync().map(drop));
            note(log.clean(Timestamp::EPOCH, Offset::new(end)).map(drop));
            note(if is_parked { log.park(Offset::new(end)) } else { log.checkpoint(Offset::new(end)) });
        }
        assert!(refused > 0, "after {after}");
        volume.exhaust_files(None);
        fill(&mut log, end + 20, 1);
        assert_eq!(log.sync().unwrap(), Offset::new(end + 20), "after {after}");
        log.clean(Timestamp::EPOCH, Offset::new(end + 20)).unwrap();
        let start = log.log_start();
        drop(log);
        volume.crash();
        let (log, report) = CommitLog::open(volume.directory("log"), small()).unwrap();
        assert_eq!((log.log_end(), report.damaged), (Offset::new(end + 20), vec![]), "after {after}");
        assert_eq!(read(&log.view(), 0, end + 20, 1).first().map(|(offset, _)| *offset), Some(start.get()));
    }
}

#[test]
fn parking_gives_a_descriptor_back_even_where_it_takes_one() {
    let volume = FaultyVolume::new(1);
    let mut log = open(&volume.directory("log"), small());
    fill(&mut log, 5, 1);
    volume.exhaust_files(Some(0));
    assert!(log.park(Offset::new(5)).is_err());
    assert!(log.is_parked(), "its file is closed");
    assert_eq!(log.durable_end(), Offset::new(5));
    volume.exhaust_files(None);
    fill(&mut log, 50, 1);
    log.park(Offset::new(50)).unwrap();
    drop(log);
    let log = open(&volume.directory("log"), small());
    assert_eq!(read(&log.view(), 0, 50, 100).len(), 50);
}

#[test]
fn after_a_failed_park_the_index_goes_on_growing() {
    let mut failed = 0;
    for operation in 0..30 {
        let volume = FaultyVolume::new(1);
        let storage = volume.directory("log");
        let mut log = open(&storage, LogOptions { segment_bytes_max: 1 << 30, ..small() });
        fill(&mut log, 50, 1);
        log.sync().unwrap();
        volume.fail_operation(operation, std::io::ErrorKind::StorageFull);
        let is_parked = log.park(Offset::new(50)).is_ok();
        let mut builder = BatchBuilder::new();
        builder.push(None, b"50", &[]).unwrap();
        if is_parked || log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).is_err() {
            continue;
        }
        failed += 1;
        fill(&mut log, 500, 1);
        log.checkpoint(Offset::new(500)).unwrap();
        let index = storage.list().unwrap().into_iter().find(|file| file.name.ends_with(".index")).unwrap();
        assert!(index.bytes > 64 + 16 * 100, "{} bytes of index after operation {operation} failed", index.bytes);
    }
    assert!(failed > 0);
}

#[test]
fn searching_past_damage_reads_no_byte_many_times() {
    let volume = FaultyVolume::new(1);
    let storage = volume.directory("log");
    let mut log = open(&storage, LogOptions { segment_bytes_max: 1 << 30, ..small() });
    let lookalikes = "LBB\u{1}".repeat(64 * 1024);
    append_at(&mut log, 1, 0, &[&lookalikes]);
    append_at(&mut log, 1, 0, &["after"]);
    volume.flip_bit("log/00000000000000000000.log", 9, 0).unwrap();
    let before = volume.operation_count();
    let damaged = log.view().reader(Offset::ZERO).read(Offset::MAX, 64 * 1024).unwrap_err();
    assert!(matches!(&damaged, ReadError::Damaged { offsets, .. } if offsets.end == Offset::new(1)), "{damaged}");
    assert!(volume.operation_count() - before < 50, "{} operations", volume.operation_count() - before);
}

#[test]
fn a_parked_log_holds_nothing_and_goes_on() {
    let storage = memory();
    let mut log = open(&storage, LogOptions { tail_bytes_max: 1 << 20, ..small() });
    fill(&mut log, 30, 2);
    log.park(Offset::new(30)).unwrap();
    assert!(log.is_parked());
    assert_eq!(log.view().read_tail(Offset::new(29), Offset::MAX, 100), None);
    assert_eq!(read(&log.view(), 0, 100, 100), numbered(0..30));
    fill(&mut log, 60, 2);
    assert_eq!(read(&log.view(), 0, 100, 100), numbered(0..60));
    log.park(Offset::new(55)).unwrap();
    drop(log);
    let (log, report) = CommitLog::open(storage.clone(), small()).unwrap();
    assert!(report.clean, "{report:?}");
    assert_eq!(log.high_watermark(), Offset::new(55));
    assert_eq!(read(&log.view(), 0, 100, 100), numbered(0..60));
}

#[test]
fn a_checkpoint_comes_due_by_bytes_and_spares_the_next_open_a_scan() {
    let storage = memory();
    let options = LogOptions { checkpoint_interval_bytes: 300, segment_bytes_max: 1 << 20, ..small() };
    let mut log = open(&storage, options);
    fill(&mut log, 2, 1);
    log.maybe_checkpoint(Offset::new(2)).unwrap();
    assert!(storage.open("checkpoint").is_err());
    fill(&mut log, 20, 1);
    log.maybe_checkpoint(Offset::new(20)).unwrap();
    assert!(storage.open("checkpoint").is_ok());
    drop(log);
    let (log, report) = CommitLog::open(storage, options).unwrap();
    assert!(report.clean, "{report:?}");
    assert_eq!(read(&log.view(), 0, 100, 100), numbered(0..20));
}

#[test]
fn a_deleted_log_tells_its_readers() {
    let mut log = open(&memory(), small());
    fill(&mut log, 10, 1);
    let mut reader = log.view().reader(Offset::ZERO);
    log.mark_deleted();
    assert!(matches!(reader.read(Offset::MAX, 100), Err(ReadError::Deleted)));
    assert!(matches!(log.view().reverse_reader(Offset::MAX).read(100), Err(ReadError::Deleted)));
    let mut builder = BatchBuilder::new();
    builder.push(None, b"x", &[]).unwrap();
    assert!(log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).is_err());
}
