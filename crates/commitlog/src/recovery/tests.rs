//! Every case of the recovery table, by its label, and seeded crashes against a model.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;

use liftbridge_types::{LeaderEpoch, Offset, Timestamp};
use proptest::prelude::*;

use crate::batch::{Batch, BatchBuilder};
use crate::commit_log::CommitLog;
use crate::error::{OpenError, ReadError};
use crate::file_names;
use crate::options::LogOptions;
use crate::recovery::RecoveryReport;
use crate::storage::{FaultyVolume, MemoryVolume, Storage, Volume};

pub(crate) fn options() -> LogOptions {
    LogOptions { segment_bytes_max: 1000, index_interval_bytes: 200, tail_bytes_max: 0, ..LogOptions::default() }
}

/// A log of 40 synced records, one batch and one sync each, about 9 to a segment; never parked.
fn crashed() -> Arc<dyn Storage> {
    let storage = MemoryVolume::default().directory("log");
    let (mut log, _) = CommitLog::open(storage.clone(), options()).unwrap();
    append_synced(&mut log, 40);
    storage
}

pub(crate) fn append_synced(log: &mut CommitLog, count: u64) {
    for _ in 0..count {
        append(log, 1);
        log.sync().unwrap();
    }
}

pub(crate) fn append(log: &mut CommitLog, epoch: u64) {
    let value = format!("value {:020}", log.log_end());
    let mut builder = BatchBuilder::new();
    builder.push(None, value.as_bytes(), &[]).unwrap();
    let _ = log.append(&mut builder, LeaderEpoch::new(epoch), Timestamp::EPOCH);
}

fn open(storage: &Arc<dyn Storage>) -> (CommitLog, RecoveryReport) {
    CommitLog::open(storage.clone(), options()).unwrap()
}

/// Offsets that can be read, and those reported as damaged, by both readers.
pub(crate) fn survey(log: &CommitLog) -> (Vec<u64>, Vec<u64>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let mut reader = log.view().reader(Offset::ZERO);
    loop {
        match reader.read(Offset::MAX, 300) {
            Ok(batches) if batches.is_empty() => break,
            Ok(batches) => good.extend(batches.iter().flat_map(values)),
            Err(ReadError::Damaged { offsets, .. }) => bad.extend(offsets.start.get()..offsets.end.get()),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(survey_reverse(log), (good.clone(), bad.clone()), "both readers agree");
    (good, bad)
}

fn survey_reverse(log: &CommitLog) -> (Vec<u64>, Vec<u64>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let mut reader = log.view().reverse_reader(Offset::MAX);
    loop {
        match reader.read(300) {
            Ok(batches) if batches.is_empty() => break,
            Ok(batches) => good.extend(batches.iter().flat_map(values)),
            Err(ReadError::Damaged { offsets, .. }) => bad.extend(offsets.start.get()..offsets.end.get()),
            Err(other) => panic!("{other}"),
        }
    }
    good.sort_unstable();
    bad.sort_unstable();
    (good, bad)
}

fn values(batch: &Batch) -> Vec<u64> {
    let offsets = batch.records().map(|record| {
        let record = record.unwrap();
        assert_eq!(record.value, format!("value {:020}", record.offset));
        record.offset.get()
    });
    offsets.collect()
}

fn newest_log(storage: &Arc<dyn Storage>) -> String {
    storage.list().unwrap().into_iter().map(|f| f.name).filter(|n| n.ends_with(".log")).max().unwrap()
}

fn bytes_of(storage: &Arc<dyn Storage>, name: &str) -> Vec<u8> {
    let file = storage.open(name).unwrap();
    let mut bytes = vec![0; usize::try_from(file.bytes().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn overwrite(storage: &Arc<dyn Storage>, name: &str, bytes: &[u8]) {
    let _ = storage.remove(name);
    storage.create(name).unwrap().append(0, &mut [IoSlice::new(bytes)]).unwrap();
}

fn change(storage: &Arc<dyn Storage>, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = bytes_of(storage, name);
    change(&mut bytes);
    overwrite(storage, name, &bytes);
}

/// Opens a log that must come back whole, and checks that it goes on from there.
#[track_caller]
fn check_whole(storage: &Arc<dyn Storage>, rebuilt: &[&str]) {
    let (mut log, report) = open(storage);
    assert_eq!(survey(&log), ((0..40).collect(), vec![]));
    assert_eq!((report.bytes_cut, &report.damaged), (0, &vec![]));
    for name in rebuilt {
        assert!(report.rebuilt.iter().any(|other| other == name), "{name} in {:?}", report.rebuilt);
    }
    append_synced(&mut log, 5);
    assert_eq!(survey(&log), ((0..45).collect(), vec![]));
}

#[test]
fn every_case_has_its_label_in_code_docs_and_tests() {
    let (code, docs) = (include_str!("../recovery.rs"), include_str!("../../../../docs/log-format.md"));
    let rows: Vec<&str> = code.lines().filter_map(|line| line.strip_prefix("//! | `")).collect();
    assert!(rows.len() >= 14, "{rows:?}");
    for row in rows {
        assert!(docs.contains(&format!("| `{row}")), "docs/log-format.md lacks | `{row}");
        let label = row.split('`').next().unwrap().to_lowercase();
        let tests = include_str!("tests.rs").lines().filter(|line| line.starts_with("fn "));
        assert!(tests.clone().any(|test| test.contains(&format!("{label}_"))), "no test of `{label}`");
    }
}

#[test]
fn f1_leftover_files_are_removed() {
    let storage = crashed();
    overwrite(&storage, "checkpoint.tmp", b"half");
    overwrite(&storage, "00000000000000000000.log.deleted", b"gone");
    check_whole(&storage, &[]);
    assert!(storage.list().unwrap().iter().all(|f| !f.name.ends_with(".tmp") && !f.name.ends_with(".deleted")));
}

/// Lets retention fail at every operation in turn and opens the log: where it starts then, it starts after a crash too.
#[track_caller]
fn check_log_start_stays(free_bytes: Option<u64>) {
    let retention = crate::options::RetentionLimits { messages: Some(10), ..Default::default() };
    let options = LogOptions { retention, ..options() };
    for (seed, after) in (0..8).flat_map(|seed| (0..40).map(move |after| (seed, after))) {
        let volume = FaultyVolume::new(seed);
        let open = || CommitLog::open(volume.directory("log"), options).unwrap().0;
        let mut log = open();
        append_synced(&mut log, 40);
        volume.limit_free_bytes(free_bytes);
        volume.fail_operation(after, std::io::ErrorKind::Other);
        let failed = log.clean(Timestamp::EPOCH, Offset::new(40)).is_err();
        drop(log);
        if failed {
            let start = open().log_start();
            volume.crash();
            let log = open();
            assert_eq!(log.log_start(), start, "seed {seed}, operation {after}");
            assert_eq!(survey(&log), ((start.get()..40).collect(), vec![]), "seed {seed}, operation {after}");
        }
    }
}

/// On a full disk the new log start cannot be announced, so the names of the files are all that says it.
#[test]
fn f1_segments_that_were_found_renamed_do_not_come_back() {
    check_log_start_stays(Some(0));
}

#[test]
fn f3_segments_that_were_found_released_do_not_come_back() {
    check_log_start_stays(None);
}

#[test]
fn f2_an_index_without_its_log_is_removed() {
    let storage = crashed();
    overwrite(&storage, &file_names::index(Offset::new(777)), b"orphan");
    check_whole(&storage, &[]);
    assert!(storage.open(&file_names::index(Offset::new(777))).is_err());
}

#[test]
fn f3_segments_before_the_log_start_stay_gone_when_a_crash_undoes_their_renaming() {
    let storage = crashed();
    let first = bytes_of(&storage, &file_names::log(Offset::ZERO));
    let retention = crate::options::RetentionLimits { messages: Some(15), ..Default::default() };
    let (mut log, _) = CommitLog::open(storage.clone(), LogOptions { retention, ..options() }).unwrap();
    log.clean(Timestamp::EPOCH, Offset::new(40)).unwrap();
    let log_start = log.log_start();
    assert!(log_start > Offset::ZERO);
    drop(log);
    overwrite(&storage, &file_names::log(Offset::ZERO), &first);
    let (log, report) = open(&storage);
    assert_eq!((log.log_start(), report.damaged), (log_start, vec![]));
    assert!(storage.open(&file_names::log(Offset::ZERO)).is_err());
}

#[test]
fn c1_without_a_checkpoint_the_newest_segment_is_scanned() {
    check_whole(&crashed(), &[file_names::CHECKPOINT]);
}

#[test]
fn c2_a_garbled_checkpoint_is_no_checkpoint() {
    for garbage in [&b""[..], b"x", &[0; 64], &[0xff; 64], &[7; 1000]] {
        let storage = crashed();
        overwrite(&storage, file_names::CHECKPOINT, garbage);
        check_whole(&storage, &[file_names::CHECKPOINT]);
    }
}

#[test]
fn c3_offsets_of_durable_records_that_vanished_are_never_given_again() {
    let storage = crashed();
    open(&storage).0.checkpoint(Offset::new(40)).unwrap();
    let newest = newest_log(&storage);
    change(&storage, &newest, |bytes| bytes.truncate(200));
    let (mut log, report) = open(&storage);
    assert_eq!(log.log_end(), Offset::new(40));
    assert_eq!(report.damaged.iter().map(|r| r.end.get()).max(), Some(40));
    append_synced(&mut log, 3);
    let (good, bad) = survey(&log);
    assert_eq!(good.len() + bad.len(), 43);
    assert_eq!(good.iter().rev().take(3).copied().collect::<Vec<_>>(), [42, 41, 40]);
    assert!(!bad.is_empty());
}

#[test]
fn s1_a1_after_parking_nothing_is_scanned() {
    let storage = crashed();
    let (mut log, _) = open(&storage);
    append_synced(&mut log, 1);
    log.park(Offset::new(41)).unwrap();
    drop(log);
    let (log, report) = open(&storage);
    assert_eq!(report, RecoveryReport { clean: true, ..RecoveryReport::default() });
    assert_eq!(survey(&log), ((0..41).collect(), vec![]));
}

#[test]
fn s2_an_index_that_is_wrong_in_any_way_is_rebuilt() {
    let first = file_names::index(Offset::ZERO);
    let whole = bytes_of(&crashed(), &first);
    let mut flipped = whole.clone();
    flipped[30] ^= 4;
    for index in [None, Some(vec![]), Some(vec![0; whole.len()]), Some(whole[..20].to_vec()), Some(flipped)] {
        let storage = crashed();
        match index {
            None => storage.remove(&first).unwrap(),
            Some(bytes) => overwrite(&storage, &first, &bytes),
        }
        check_whole(&storage, &[&first]);
        assert_eq!(bytes_of(&storage, &first), whole);
    }
}

#[test]
fn s2_an_index_with_damaged_entries_costs_speed_only() {
    let storage = crashed();
    change(&storage, &file_names::index(Offset::ZERO), |bytes| bytes.truncate(70));
    check_whole(&storage, &[]);
}

/// A failed sync cuts the file back, but nothing made that cut durable before the segment was sealed and the offsets were
/// given to other records.
#[test]
fn s2_what_a_crash_brings_back_behind_a_sealed_segment_is_not_served() {
    let storage = crashed();
    let first = file_names::log(Offset::ZERO);
    let next = open(&storage).0.view().reader(Offset::ZERO).read(Offset::MAX, 1 << 20).unwrap().len();
    let base =
        storage.list().unwrap().iter().filter_map(|f| file_names::parse_log(&f.name)).filter(|b| b.get() > 0).min();
    assert_eq!(base.map(Offset::get), Some(next as u64), "one batch to a record");
    let ghost = {
        let (log, _) = open(&storage);
        log.view().reader(Offset::new(next as u64)).read(Offset::MAX, 1).unwrap()[0].bytes().to_vec()
    };
    change(&storage, &first, |bytes| bytes.extend(ghost));
    for without_index in [false, true] {
        if without_index {
            storage.remove(&file_names::index(Offset::ZERO)).unwrap();
        }
        assert_eq!(survey(&open(&storage).0), ((0..40).collect(), vec![]), "index removed: {without_index}");
    }
}

#[test]
fn s3_a_segment_that_vanished_is_reported_as_damaged() {
    let storage = crashed();
    let bases: Vec<_> = storage.list().unwrap().iter().filter_map(|f| file_names::parse_log(&f.name)).collect();
    let (second, third) = {
        let mut bases = bases;
        bases.sort();
        (bases[1], bases[2])
    };
    storage.remove(&file_names::log(second)).unwrap();
    let (log, report) = open(&storage);
    assert_eq!(report.damaged, [second..third]);
    let (good, bad) = survey(&log);
    assert_eq!(bad, (second.get()..third.get()).collect::<Vec<_>>());
    assert_eq!(good.len() + bad.len(), 40);
}

#[test]
fn s4_oldest_segments_that_vanished_are_reported_as_damaged() {
    let storage = crashed();
    open(&storage).0.checkpoint(Offset::new(40)).unwrap();
    storage.remove(&file_names::log(Offset::ZERO)).unwrap();
    let (log, report) = open(&storage);
    assert_eq!(report.damaged, [Offset::ZERO..log.log_start()]);
    assert!(log.log_start() > Offset::ZERO);
}

#[test]
fn a2_good_batches_after_the_checkpoint_are_kept() {
    let storage = crashed();
    let (mut log, _) = open(&storage);
    log.checkpoint(Offset::new(40)).unwrap();
    append_synced(&mut log, 2);
    drop(log);
    let (log, report) = open(&storage);
    assert!(!report.clean);
    assert_eq!(survey(&log), ((0..42).collect(), vec![]));
}

#[test]
fn a3_a_torn_tail_is_cut_wherever_it_is_torn() {
    let whole = crashed();
    let newest = newest_log(&whole);
    let (log, _) = open(&whole);
    let last = log.view().reverse_reader(Offset::MAX).read(1).unwrap()[0].bytes().len();
    for torn in 1..last {
        let storage = crashed();
        change(&storage, &newest, |bytes| bytes.truncate(bytes.len() - torn));
        let (mut log, report) = open(&storage);
        assert_eq!(report.bytes_cut, (last - torn) as u64);
        assert_eq!(survey(&log), ((0..39).collect(), vec![]));
        append_synced(&mut log, 2);
        drop(log);
        assert_eq!(survey(&open(&storage).0), ((0..41).collect(), vec![]));
    }
}

#[test]
fn a3_what_follows_a_torn_batch_without_proof_is_cut_too() {
    let storage = crashed();
    let (mut log, _) = open(&storage);
    for _ in 0..3 {
        append(&mut log, 1);
    }
    drop(log);
    let newest = newest_log(&storage);
    let batch = bytes_of(&storage, &newest).len() / 3;
    change(&storage, &newest, |bytes| {
        let at = bytes.len() - 2 * batch.min(100) - 10;
        bytes[at] ^= 0x10;
    });
    let (log, report) = open(&storage);
    assert!(report.damaged.is_empty(), "{report:?}");
    assert!(report.bytes_cut > 0);
    let (good, bad) = survey(&log);
    assert!(bad.is_empty() && good.len() >= 40, "synced records stay: {}", good.len());
}

/// A page that was never written reads as zeros. Batches that a publisher put into the torn message's value must not be
/// taken for batches of the log, nor for proof that the page was written once.
#[test]
fn a3_nothing_in_a_batch_whose_header_was_never_written_is_believed() {
    let donor = crashed();
    let (inner, _) = open(&donor);
    let chain = inner.view().reader(Offset::new(5)).read(Offset::new(9), 1 << 20).unwrap();
    let mut value = vec![b'x'; 8192];
    chain.iter().for_each(|batch| value.extend_from_slice(batch.bytes()));
    let storage = MemoryVolume::default().directory("log");
    let (mut log, _) = open(&storage);
    append_synced(&mut log, 1);
    let acked_bytes = usize::try_from(log.size_bytes()).unwrap();
    let mut builder = BatchBuilder::new();
    builder.push(None, &value, &[]).unwrap();
    log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).unwrap();
    drop(log);
    change(&storage, &file_names::log(Offset::ZERO), |bytes| bytes[acked_bytes..acked_bytes + 4096].fill(0));
    let (log, report) = open(&storage);
    assert_eq!((log.log_end(), report.damaged), (Offset::new(1), vec![]));
}

#[test]
fn a4_a_zeroed_tail_is_cut() {
    let storage = crashed();
    let newest = newest_log(&storage);
    change(&storage, &newest, |bytes| bytes.extend([0; 5000]));
    let (log, report) = open(&storage);
    assert_eq!(report.bytes_cut, 5000);
    assert_eq!(survey(&log), ((0..40).collect(), vec![]));
}

/// Flips every bit of one batch in turn, in a sealed and in the newest segment: only that batch is lost, it stays in
/// place, and everything else serves.
#[test]
fn a5_rot_is_kept_reported_and_served_around() {
    for name in [file_names::log(Offset::ZERO), newest_log(&crashed())] {
        let base = file_names::parse_log(&name).unwrap().get();
        let clean = crashed();
        let batch = {
            let (log, _) = open(&clean);
            log.view().reader(Offset::new(base)).read(Offset::MAX, 1).unwrap()[0].bytes().len()
        };
        for bit in (0..batch * 8).step_by(3) {
            let storage = crashed();
            change(&storage, &name, |bytes| bytes[batch + bit / 8] ^= 1 << (bit % 8));
            let before = bytes_of(&storage, &name);
            let (log, _) = open(&storage);
            let (good, bad) = survey(&log);
            assert_eq!(bad, [base + 1], "bit {bit} of the second batch of {name}");
            assert_eq!(good.len(), 39);
            assert_eq!(bytes_of(&storage, &name), before, "nothing is deleted");
        }
    }
}

#[test]
fn a5_rot_of_the_last_batch_is_told_from_a_torn_write_by_the_checkpoint() {
    let storage = crashed();
    open(&storage).0.checkpoint(Offset::new(40)).unwrap();
    let newest = newest_log(&storage);
    change(&storage, &newest, |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    });
    let (mut log, report) = open(&storage);
    assert_eq!(report.bytes_cut, 0);
    append_synced(&mut log, 2);
    assert_eq!(survey(&log), ((0..39).chain(40..42).collect(), vec![39]));
}

/// The good batch between the rot and the tear is all the proof there is that what rotted was durable.
#[test]
fn a5_rot_two_batches_before_a_torn_tail_is_not_cut_with_it() {
    let storage = MemoryVolume::default().directory("log");
    let (mut log, _) =
        CommitLog::open(storage.clone(), LogOptions { segment_bytes_max: 1 << 20, ..options() }).unwrap();
    append_synced(&mut log, 10);
    let synced_bytes = usize::try_from(log.size_bytes()).unwrap();
    append(&mut log, 1);
    drop(log);
    let batch = synced_bytes / 10;
    change(&storage, &file_names::log(Offset::ZERO), |bytes| {
        bytes[synced_bytes - 2 * batch + 12] ^= 1;
        let torn = bytes.len() - 5;
        bytes.truncate(torn);
    });
    let (log, _) = open(&storage);
    assert_eq!(survey(&log), ((0..8).chain(9..10).collect(), vec![8]));
}

/// Where the next batch begins is known though the damaged header does not verify, and that the batch is followed by
/// nothing good does not matter then.
#[test]
fn a5_a_good_batch_between_rot_and_a_tear_is_served() {
    let storage = MemoryVolume::default().directory("log");
    let (mut log, _) =
        CommitLog::open(storage.clone(), LogOptions { segment_bytes_max: 1 << 20, ..options() }).unwrap();
    append_synced(&mut log, 10);
    let synced_bytes = usize::try_from(log.size_bytes()).unwrap();
    append(&mut log, 1);
    append(&mut log, 1);
    drop(log);
    change(&storage, &file_names::log(Offset::ZERO), |bytes| {
        bytes[synced_bytes - 2 * (synced_bytes / 10) + 12] ^= 1;
        bytes[synced_bytes + 12] ^= 1;
    });
    let (log, _) = open(&storage);
    assert_eq!(survey(&log), ((0..8).chain(9..10).collect(), vec![8]));
}

/// The checkpoint tells where what had been durable ends, so the rot before it does not make rot of the tear behind it.
#[test]
fn a5_a_tear_right_behind_rot_is_cut_though_a_good_batch_follows() {
    let storage = MemoryVolume::default().directory("log");
    let (mut log, _) =
        CommitLog::open(storage.clone(), LogOptions { segment_bytes_max: 1 << 20, ..options() }).unwrap();
    append_synced(&mut log, 10);
    log.checkpoint(Offset::new(10)).unwrap();
    let synced_bytes = usize::try_from(log.size_bytes()).unwrap();
    append(&mut log, 1);
    append(&mut log, 1);
    drop(log);
    change(&storage, &file_names::log(Offset::ZERO), |bytes| {
        bytes[synced_bytes - 1] ^= 1;
        bytes[synced_bytes + 10] ^= 1;
    });
    storage.remove(&file_names::index(Offset::ZERO)).unwrap();
    let (mut log, report) = open(&storage);
    assert!(report.bytes_cut > 0, "{report:?}");
    append_synced(&mut log, 2);
    assert_eq!(survey(&log), ((0..9).chain(10..12).collect(), vec![9]));
    assert_eq!(survey(&open(&storage).0), ((0..9).chain(10..12).collect(), vec![9]));
}

/// A value that is itself the bytes of a later batch must not be taken for one when the batch around it is damaged.
#[test]
fn a5_a_batch_inside_a_value_is_not_mistaken_for_the_next_one() {
    let donor = crashed();
    let inner = open(&donor).0.view().reader(Offset::new(5)).read(Offset::MAX, 1).unwrap()[0].bytes().clone();
    let storage = MemoryVolume::default().directory("log");
    let (mut log, _) =
        CommitLog::open(storage.clone(), LogOptions { segment_bytes_max: 1 << 20, ..options() }).unwrap();
    append_synced(&mut log, 2);
    let mut builder = BatchBuilder::new();
    builder.push(None, &inner, &[]).unwrap();
    log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).unwrap();
    log.sync().unwrap();
    append_synced(&mut log, 4);
    let view = log.view();
    let outer = view.reader(Offset::new(2)).read(Offset::new(3), 1).unwrap()[0].bytes().len();
    let before: usize =
        view.reader(Offset::ZERO).read(Offset::new(2), 1 << 20).unwrap().iter().map(|b| b.bytes().len()).sum();
    assert!(outer > inner.len());
    drop(log);
    // Its header does not verify, so the next batch has to be searched for.
    change(&storage, &file_names::log(Offset::ZERO), |bytes| bytes[before + 10] ^= 1);
    let (log, _) = open(&storage);
    assert_eq!(survey(&log), (vec![0, 1, 3, 4, 5, 6], vec![2]));
}

#[test]
fn e1_the_table_of_epochs_is_rebuilt_from_the_batches() {
    let storage = MemoryVolume::default().directory("log");
    let (mut log, _) = CommitLog::open(storage.clone(), options()).unwrap();
    for epoch in [1, 1, 4, 4, 4, 9] {
        for _ in 0..6 {
            append(&mut log, epoch);
        }
    }
    log.park(Offset::new(36)).unwrap();
    let expected = log.leader_epochs();
    assert_eq!(expected.len(), 3);
    drop(log);
    for garbage in [None, Some(&b""[..]), Some(&[1; 40])] {
        match garbage {
            None => storage.remove(file_names::LEADER_EPOCHS).unwrap(),
            Some(bytes) => overwrite(&storage, file_names::LEADER_EPOCHS, bytes),
        }
        assert_eq!(open(&storage).0.leader_epochs(), expected);
        open(&storage).0.checkpoint(Offset::new(36)).unwrap();
    }
}

#[test]
fn a_log_of_a_newer_format_is_refused_and_left_alone() {
    let storage = crashed();
    let newest = newest_log(&storage);
    change(&storage, &newest, |bytes| {
        bytes[3] = 2;
        let covered: Vec<u8> = bytes[0..4].iter().chain(&bytes[8..40]).copied().collect();
        let crc = crate::checksum::crc32c(&covered);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    });
    let before = bytes_of(&storage, &newest);
    let refused = CommitLog::open(storage.clone(), options()).unwrap_err();
    assert!(matches!(refused, OpenError::NewerFormat { version: 2, .. }), "{refused}");
    assert_eq!(bytes_of(&storage, &newest), before);
}

/// KIP-101 stands on this table: an index that is believed must not hide an epoch.
#[test]
fn e1_no_crash_loses_an_epoch_of_what_was_checkpointed() {
    for seed in 0..100 {
        let volume = FaultyVolume::new(seed);
        let (mut log, _) = CommitLog::open(volume.directory("log"), options()).unwrap();
        append(&mut log, 1);
        log.park(Offset::new(1)).unwrap();
        append(&mut log, 2);
        log.checkpoint(Offset::new(2)).unwrap();
        drop(log);
        volume.crash();
        let (log, _) = CommitLog::open(volume.directory("log"), options()).unwrap();
        assert_eq!((log.log_end(), log.leader_epochs().len()), (Offset::new(2), 2), "seed {seed}");
    }
}

/// What a log must still hold after a crash: every record by offset, and how far it was durable.
#[derive(Default)]
struct Model {
    records: BTreeMap<u64, Vec<u8>>,
    /// What failed appends may have left behind all the same: nobody was told that it is there.
    maybe: Vec<(u64, Vec<u8>)>,
    durable_end: u64,
    log_start: u64,
}

/// Runs `steps` operations against a log on a volume that crashes and fails, checking it against a model.
fn run(seed: u64, steps: &[(u8, u8)]) {
    let volume = FaultyVolume::new(seed);
    let mut model = Model::default();
    let mut log = reopen(&volume);
    for (serial, (action, amount)) in steps.iter().enumerate() {
        match action % 16 {
            0..=6 => append_modelled(&mut log, &mut model, serial, *amount),
            7..=9 => {
                if let Ok(end) = log.sync() {
                    model.durable_end = end.get();
                }
            }
            10 => {
                let _ = log.checkpoint(Offset::new(model.durable_end));
            }
            11 => {
                let _ = log.park(Offset::new(model.durable_end));
            }
            12 => truncate_modelled(&mut log, &mut model, *amount),
            13 => clean_modelled(&mut log, &mut model),
            14 => volume.fail_operation(u64::from(*amount % 12), std::io::ErrorKind::Other),
            _ => {
                drop(log);
                volume.crash();
                log = reopen(&volume);
                check_against(&log, &mut model);
            }
        }
    }
    drop(log);
    volume.crash();
    check_against(&reopen(&volume), &mut model);
}

fn reopen(volume: &FaultyVolume) -> CommitLog {
    let retention = crate::options::RetentionLimits { messages: Some(30), ..Default::default() };
    let options = LogOptions { segment_bytes_max: 700, retention, ..options() };
    loop {
        // A planned fault may hit the opening itself; the next try finds the medium as that left it.
        if let Ok((log, report)) = CommitLog::open(volume.directory("log"), options) {
            assert_eq!(report.damaged, [], "nothing durable is ever lost");
            return log;
        }
    }
}

fn append_modelled(log: &mut CommitLog, model: &mut Model, serial: usize, amount: u8) {
    let mut builder = BatchBuilder::new();
    let values: Vec<Vec<u8>> =
        (0..=amount % 4).map(|n| format!("{serial}-{n}").repeat(1 + usize::from(amount) / 8).into()).collect();
    for value in &values {
        builder.push(None, value, &[]).unwrap();
    }
    let base = log.log_end().get();
    if log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).is_err() {
        model.maybe.extend((base..).zip(values));
    } else {
        model.records.retain(|offset, _| *offset < base);
        model.records.extend((base..).zip(values));
        // Rolling synced what was before it.
        model.durable_end = model.durable_end.max(log.durable_end().get());
    }
}

fn truncate_modelled(log: &mut CommitLog, model: &mut Model, amount: u8) {
    let end = log.log_end().get().saturating_sub(u64::from(amount % 6)).max(log.log_start().get());
    let intact = log.truncate(Offset::new(end)).is_ok();
    model.durable_end = model.durable_end.min(end);
    if intact {
        model.records.retain(|offset, _| *offset < end);
        model.durable_end = model.durable_end.max(log.durable_end().get());
    }
}

fn clean_modelled(log: &mut CommitLog, model: &mut Model) {
    if log.clean(Timestamp::EPOCH, Offset::new(model.durable_end)).is_err() {
        // What it had announced before it failed goes with the next open.
        model.log_start = model.durable_end;
    }
    model.log_start = model.log_start.max(log.log_start().get());
    let _ = log.remove_released();
    model.durable_end = model.durable_end.max(log.durable_end().get());
}

/// Everything durable is there, in place, once and unchanged; what else is there is what was appended.
fn check_against(log: &CommitLog, model: &mut Model) {
    assert!(
        log.log_end().get() >= model.durable_end,
        "log ends at {}, {} was durable",
        log.log_end(),
        model.durable_end
    );
    assert!(log.log_start().get() <= model.log_start);
    let mut reader = log.view().reader(Offset::ZERO);
    let mut expected = log.log_start().get();
    loop {
        let batches = match reader.read(Offset::MAX, 500) {
            // A planned fault hit this read; a reader that is asked again goes on where it was.
            Err(ReadError::Storage(_)) => continue,
            other => other.unwrap(),
        };
        if batches.is_empty() {
            break;
        }
        for record in batches.iter().flat_map(|batch| batch.records()) {
            let record = record.unwrap();
            assert_eq!(record.offset.get(), expected, "offsets are dense");
            let value = record.value.to_vec();
            if model.maybe.contains(&(expected, value.clone())) && expected >= model.durable_end {
                model.records.insert(expected, value.clone());
            }
            assert_eq!(Some(&value), model.records.get(&expected), "offset {expected}");
            expected += 1;
        }
    }
    assert_eq!(expected, log.log_end().get());
    model.records.retain(|offset, _| *offset < expected);
    model.maybe.clear();
    model.durable_end = expected;
    model.log_start = log.log_start().get();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_crash_loses_what_was_durable(seed in any::<u64>(), steps in prop::collection::vec(any::<(u8, u8)>(), 1..120)) {
        run(seed, &steps);
    }
}
