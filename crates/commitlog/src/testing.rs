//! What tests of the log on a damaged or failing volume share: small segments, records that say their offset, and a survey
//! of what both readers find.

use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

use crate::batch::{Batch, BatchBuilder};
use crate::commit_log::CommitLog;
use crate::error::ReadError;
use crate::options::LogOptions;

pub(crate) fn options() -> LogOptions {
    LogOptions { segment_bytes_max: 1000, index_interval_bytes: 200, tail_bytes_max: 0, ..LogOptions::default() }
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
