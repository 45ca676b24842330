//! What the log promises its appender and its readers, on memory. Recovery is tested in `recovery/tests.rs`.

mod on_disk;
mod parking;
mod retention;
mod shortages;
mod times;
mod truncation;

use std::sync::Arc;
use std::time::Duration;

use liftbridge_types::{Header, LeaderEpoch, Offset, Timestamp};

use super::CommitLog;
use crate::batch::BatchBuilder;
use crate::error::{AppendError, ReadError};
use crate::options::LogOptions;
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
