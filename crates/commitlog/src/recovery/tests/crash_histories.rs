//! Seeded histories of appends, failures and crashes, each checked against a model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::error::ReadError;

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
            14 if amount % 3 == 0 => copy_modelled(&mut log, &mut model, *amount),
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

/// Appends what another log made and synced one by one, without a sync between.
fn copy_modelled(log: &mut CommitLog, model: &mut Model, amount: u8) {
    let base = log.log_end();
    let (mut source, _) = CommitLog::open(MemoryVolume::default().directory("source"), options()).unwrap();
    source.reset(base).unwrap();
    append_synced(&mut source, 2 + u64::from(amount) % 7);
    let batches = source.view().reader(base).read(Offset::MAX, 1 << 20).unwrap();
    if log.void_claims().is_err() {
        return;
    }
    for batch in batches {
        let offset = batch.header().base_offset.get();
        let value = batch.records().next().unwrap().unwrap().value.to_vec();
        if log.append_batches(batch.bytes()).is_err() {
            return model.maybe.push((offset, value));
        }
        model.records.retain(|known, _| *known < offset);
        model.records.insert(offset, value);
        model.durable_end = model.durable_end.max(log.durable_end().get());
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
