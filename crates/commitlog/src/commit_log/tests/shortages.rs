//! A full disk and no more descriptors: what goes on meanwhile, and what afterwards.

use super::*;
use crate::error::Shortage;
use crate::options::RetentionLimits;

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
