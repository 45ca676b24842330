//! What a log is after its end was cut off.

use super::*;
use crate::options::RetentionLimits;

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
