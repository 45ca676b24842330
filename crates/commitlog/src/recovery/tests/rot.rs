//! Case `A5`: what was durable and does not verify any more is kept, reported and served around.

use super::*;

/// A log of so many synced records, one batch and one sync each, in one segment.
fn one_segment(synced: u64) -> (Arc<dyn Storage>, CommitLog) {
    let storage = MemoryVolume::default().directory("log");
    let options = LogOptions { segment_bytes_max: 1 << 20, ..options() };
    let (mut log, _) = CommitLog::open(storage.clone(), options).unwrap();
    append_synced(&mut log, synced);
    (storage, log)
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

/// Batches of another log, where each was synced before the next, and which were not synced here.
#[test]
fn a3_a_tear_is_no_rot_because_a_copied_batch_claims_so() {
    let (_, mut source) = one_segment(0);
    for _ in 0..10 {
        let mut builder = BatchBuilder::new();
        builder.push(None, &[7; 2000], &[]).unwrap();
        source.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).unwrap();
        source.sync().unwrap();
    }
    let copied = source.view().reader(Offset::ZERO).read(Offset::MAX, 1 << 20).unwrap();
    let torn_and_opened = |voided: bool, restored: bool| {
        let storage = MemoryVolume::default().directory("log");
        let options = LogOptions { segment_bytes_max: 1 << 20, ..options() };
        let (mut log, _) = CommitLog::open(storage.clone(), options).unwrap();
        if voided {
            log.void_claims().unwrap();
        }
        assert_eq!(log.claims_hold(), !voided);
        let mut begins = Vec::new();
        for batch in &copied {
            begins.push(usize::try_from(log.size_bytes()).unwrap());
            log.append_batches(batch.bytes()).unwrap();
        }
        if restored {
            log.restore_claims();
            assert!(!log.claims_hold(), "not everything is durable");
            log.sync().unwrap();
            log.restore_claims();
            assert!(log.claims_hold());
        }
        drop(log);
        let lost_sector = begins[4].next_multiple_of(512) + 512;
        change(&storage, &file_names::log(Offset::ZERO), |bytes| bytes[lost_sector..lost_sector + 512].fill(0));
        let (log, report) = CommitLog::open(storage.clone(), options).unwrap();
        assert!(storage.open(file_names::VOID_CLAIMS).is_err(), "everything is durable");
        (log.log_end().get(), report.damaged)
    };
    assert_eq!(torn_and_opened(true, false), (4, vec![]));
    let rotten = (10, vec![Offset::new(4)..Offset::new(5)]);
    assert_eq!(torn_and_opened(false, false), rotten);
    assert_eq!(torn_and_opened(true, true), rotten);
}

/// The good batch between the rot and the tear is all the proof there is that what rotted was durable.
#[test]
fn a5_rot_two_batches_before_a_torn_tail_is_not_cut_with_it() {
    let (storage, mut log) = one_segment(10);
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
    let (storage, mut log) = one_segment(10);
    let synced_bytes = usize::try_from(log.size_bytes()).unwrap();
    append(&mut log, 1);
    append(&mut log, 1);
    drop(log);
    change(&storage, &file_names::log(Offset::ZERO), |bytes| {
        bytes[synced_bytes - 2 * (synced_bytes / 10) + 12] ^= 1;
        bytes[synced_bytes..].fill(0);
    });
    let (log, _) = open(&storage);
    assert_eq!(survey(&log), ((0..8).chain(9..10).collect(), vec![8]));
}

/// The checkpoint tells where what had been durable ends, so the rot before it does not make rot of the tear behind it.
#[test]
fn a5_a_tear_right_behind_rot_is_cut_though_a_good_batch_follows() {
    let (storage, mut log) = one_segment(10);
    log.checkpoint(Offset::new(10)).unwrap();
    let synced_bytes = usize::try_from(log.size_bytes()).unwrap();
    append_value(&mut log, &[b'x'; 1500]);
    append(&mut log, 1);
    drop(log);
    change(&storage, &file_names::log(Offset::ZERO), |bytes| {
        bytes[synced_bytes - 1] ^= 1;
        bytes[synced_bytes.next_multiple_of(512)..][..512].fill(0);
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
    let (storage, mut log) = one_segment(2);
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
