//! What parking and checkpoints spare the next open, and what they leave to go on with.

use super::*;

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
