//! What a cut keeps when bytes before it are damaged, and when it fails half-way.

use std::io;

use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

use crate::batch::BatchBuilder;
use crate::commit_log::CommitLog;
use crate::file_names;
use crate::options::LogOptions;
use crate::storage::{FaultyVolume, Volume};
use crate::testing::{append, append_synced, options, survey};

/// Records in each batch of [`check_cut`].
const PER_BATCH: u64 = 3;
const BATCHES: u64 = 8;

fn append_batch(log: &mut CommitLog) {
    let mut builder = BatchBuilder::new();
    let base = log.log_end().get();
    for offset in base..base + PER_BATCH {
        builder.push(None, format!("value {offset:020}").as_bytes(), &[]).unwrap();
    }
    log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).unwrap();
    log.sync().unwrap();
}

/// Flips a bit of some batches of a log of one segment and cuts it at `end`: every other record before that stays, and
/// what is appended from there on is found, now and after a crash.
#[track_caller]
fn check_cut(rotten: &[u64], end: u64) {
    // In the header, so that the next batch has to be searched for, and in the records.
    for (byte, index_interval_bytes) in [(12, 1 << 20), (12, 200), (100, 1 << 20), (100, 200)] {
        let volume = FaultyVolume::new(end);
        let options = LogOptions { segment_bytes_max: 1 << 20, index_interval_bytes, ..options() };
        let mut log = CommitLog::open(volume.directory("log"), options).unwrap().0;
        (0..BATCHES).for_each(|_| append_batch(&mut log));
        let batch_bytes = log.size_bytes() / BATCHES;
        for batch in rotten {
            let path = format!("log/{}", file_names::log(Offset::ZERO));
            volume.flip_bit(&path, batch * batch_bytes + byte, 0).unwrap();
        }
        log.truncate(Offset::new(end)).unwrap();
        let given = append_and_count(&mut log);
        assert_eq!(given, end..end + 2);
        let bad: Vec<u64> = (0..end).filter(|offset| rotten.contains(&(offset / PER_BATCH))).collect();
        let good: Vec<u64> = (0..given.end).filter(|offset| !bad.contains(offset)).collect();
        let case = format!("batches {rotten:?}, byte {byte}, index every {index_interval_bytes}, cut at {end}");
        assert_eq!(survey(&log), (good.clone(), bad.clone()), "{case}");
        drop(log);
        volume.crash();
        let log = CommitLog::open(volume.directory("log"), options).unwrap().0;
        assert_eq!(survey(&log), (good, bad), "opened again: {case}");
    }
}

fn append_and_count(log: &mut CommitLog) -> std::ops::Range<u64> {
    let base = log.log_end().get();
    append_synced(log, 2);
    base..log.log_end().get()
}

#[test]
fn what_is_good_behind_damage_is_not_cut_with_it() {
    for end in 15..=24 {
        check_cut(&[2], end);
        check_cut(&[0, 3], end);
    }
}

#[test]
fn damage_that_the_end_lies_in_or_beside_stays_damage() {
    for end in 5..=10 {
        check_cut(&[2], end);
        check_cut(&[2, 3], end);
    }
    check_cut(&[7], 22);
    check_cut(&[7], 24);
}

/// A failed sync leaves removals that show and that a crash undoes; what is appended after the next open must not end
/// up below segments that come back.
#[test]
fn segments_that_a_failed_cut_removed_do_not_come_back_over_newer_records() {
    for (seed, after) in (0..8).flat_map(|seed| (0..30).map(move |after| (seed, after))) {
        let volume = FaultyVolume::new(seed);
        let open = |options| CommitLog::open(volume.directory("log"), options).unwrap().0;
        let mut log = open(options());
        append_synced(&mut log, 40);
        log.park(Offset::ZERO).unwrap();
        volume.fail_operation(after, io::ErrorKind::Other);
        let failed = log.truncate(Offset::new(5)).is_err();
        drop(log);
        if failed {
            // Larger segments, so that a sealed one that became the newest is appended to.
            let options = LogOptions { segment_bytes_max: 1 << 20, ..options() };
            let mut log = open(options);
            append(&mut log, 2);
            log.sync().unwrap();
            let (end, epochs) = (log.log_end(), log.leader_epochs());
            drop(log);
            volume.crash();
            let log = open(options);
            assert_eq!((log.log_end(), log.leader_epochs()), (end, epochs), "seed {seed}, operation {after}");
            assert_eq!(survey(&log), ((0..end.get()).collect(), vec![]), "seed {seed}, operation {after}");
        }
    }
}
