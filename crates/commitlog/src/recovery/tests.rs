//! Every case of the recovery table, by its label.

mod crash_histories;
mod rot;
mod written_whole;

use std::io::IoSlice;
use std::sync::Arc;

use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

use crate::batch::{BatchBuilder, HEADER_BYTES, LEADER_PART_BYTES};
use crate::commit_log::CommitLog;
use crate::error::OpenError;
use crate::file_names;
use crate::options::LogOptions;
use crate::recovery::RecoveryReport;
use crate::storage::{FaultyVolume, MemoryVolume, Storage, Volume};
use crate::testing::{append, append_synced, options, survey};

/// A log of 40 synced records, one batch and one sync each, about 9 to a segment; never parked.
fn crashed() -> Arc<dyn Storage> {
    let storage = MemoryVolume::default().directory("log");
    let (mut log, _) = CommitLog::open(storage.clone(), options()).unwrap();
    append_synced(&mut log, 40);
    storage
}

fn open(storage: &Arc<dyn Storage>) -> (CommitLog, RecoveryReport) {
    CommitLog::open(storage.clone(), options()).unwrap()
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

/// Appends a record of this value, which is not durable then.
fn append_value(log: &mut CommitLog, value: &[u8]) {
    let mut builder = BatchBuilder::new();
    builder.push(None, value, &[]).unwrap();
    log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).unwrap();
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
        let tests = include_str!("tests.rs").lines().chain(include_str!("tests/rot.rs").lines());
        let tests = tests.chain(include_str!("tests/written_whole.rs").lines());
        let mut tests = tests.filter(|line| line.starts_with("fn "));
        assert!(tests.any(|test| test.contains(&format!("{label}_"))), "no test of `{label}`");
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
    let storage = MemoryVolume::default().directory("log");
    let options = LogOptions { segment_bytes_max: 1 << 20, ..options() };
    let (mut log, _) = CommitLog::open(storage.clone(), options).unwrap();
    append_synced(&mut log, 1);
    append_value(&mut log, &[b'x'; 1500]);
    append(&mut log, 1);
    drop(log);
    change(&storage, &file_names::log(Offset::ZERO), |bytes| bytes[512..1024].fill(0));
    let (log, report) = open(&storage);
    assert!(report.damaged.is_empty() && report.bytes_cut > 1500, "{report:?}");
    assert_eq!(survey(&log), (vec![0], vec![]));
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
    append_value(&mut log, &value);
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
        let covered: Vec<u8> = bytes[0..4].iter().chain(&bytes[8..LEADER_PART_BYTES]).copied().collect();
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
