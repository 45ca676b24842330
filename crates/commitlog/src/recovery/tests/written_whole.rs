//! Case `A6` and its border with `A3`: what was written whole is kept though nothing vouches for it, and what was torn is
//! cut, wherever the sectors lie.

use super::*;

const SECTOR_BYTES: usize = 512;

fn no_limit() -> LogOptions {
    LogOptions { segment_bytes_max: 1 << 20, ..options() }
}

fn log_name() -> String {
    file_names::log(Offset::ZERO)
}

/// Bytes of a log file with batches of values of these lengths, and where each begins, and the end. Records are `per_batch` a batch.
fn file_of(lengths: &[usize], per_batch: u64) -> (Vec<u8>, Vec<usize>) {
    let storage = MemoryVolume::default().directory("log");
    let mut log = CommitLog::open(storage.clone(), no_limit()).unwrap().0;
    let mut begins = vec![0];
    for length in lengths {
        let mut builder = BatchBuilder::new();
        (0..per_batch).for_each(|_| builder.push(None, &vec![b'v'; *length], &[]).unwrap());
        log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).unwrap();
        begins.push(usize::try_from(log.size_bytes()).unwrap());
    }
    (bytes_of(&storage, &log_name()), begins)
}

/// Opens a log of this one file, of which nothing else is known.
fn open_bytes(bytes: &[u8]) -> (Arc<dyn Storage>, CommitLog, RecoveryReport) {
    let storage = MemoryVolume::default().directory("log");
    overwrite(&storage, &log_name(), bytes);
    let (log, report) = CommitLog::open(storage.clone(), no_limit()).unwrap();
    (storage, log, report)
}

/// Offsets that can be read, and those reported as damaged.
fn offsets(log: &CommitLog) -> (Vec<u64>, Vec<u64>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let mut reader = log.view().reader(Offset::ZERO);
    loop {
        match reader.read(Offset::MAX, 1 << 20) {
            Ok(batches) if batches.is_empty() => return (good, bad),
            Ok(batches) => {
                good.extend(
                    batches.iter().flat_map(|batch| batch.records()).map(|record| record.unwrap().offset.get()),
                );
            }
            Err(crate::error::ReadError::Damaged { offsets, .. }) => {
                bad.extend(offsets.start.get()..offsets.end.get());
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// A log of these bytes has `bad` damaged at its end, and stays like that whatever is appended.
#[track_caller]
fn check_kept(bytes: &[u8], bad: std::ops::Range<u64>, case: &str) {
    let (storage, mut log, report) = open_bytes(bytes);
    assert_eq!(report.damaged, [Offset::new(bad.start)..Offset::new(bad.end)], "{case}");
    assert_eq!(bytes_of(&storage, &log_name())[..], bytes[..bytes.len() - usize::try_from(report.bytes_cut).unwrap()]);
    append_value(&mut log, b"next");
    log.sync().unwrap();
    let expected = ((0..bad.start).chain([bad.end]).collect(), bad.collect::<Vec<_>>());
    assert_eq!(offsets(&log), expected, "{case}");
    drop(log);
    let _ = storage.remove(file_names::CHECKPOINT);
    assert_eq!(offsets(&CommitLog::open(storage, no_limit()).unwrap().0), expected, "opened again: {case}");
}

/// A log of these bytes ends at `end`, and all of it is good.
#[track_caller]
fn check_cut(bytes: &[u8], end: u64, case: &str) {
    let (_, log, report) = open_bytes(bytes);
    assert_eq!((report.damaged, log.log_end()), (vec![], Offset::new(end)), "{case}");
    assert_eq!(offsets(&log), ((0..end).collect(), vec![]), "{case}");
}

/// Flips bits of the newest of three batches: all of its headers and some of its records.
#[track_caller]
fn check_flips(before: usize, newest: usize, per_batch: u64) {
    let (bytes, begins) = file_of(&[before, 40, newest], per_batch);
    let step = (newest / 200).max(1) | 1;
    for bit in (0..HEADER_BYTES * 8)
        .chain((HEADER_BYTES * 8..(bytes.len() - begins[2]) * 8).step_by(step))
        .map(|bit| begins[2] * 8 + bit)
    {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let case = format!("bit {bit} of {begins:?}, {per_batch} a batch");
        check_kept(&bytes, 2 * per_batch..3 * per_batch, &case);
    }
}

#[test]
fn a6_any_flipped_bit_of_the_newest_batch_is_damage() {
    for newest in [1, 6, 100, 437, 438, 1000, 4096, 20_000] {
        check_flips(10, newest, 1);
        check_flips(409, newest, 3);
    }
}

/// Wherever the edges of sectors fall: also where the last one holds nothing of the batch but that it has no headers.
#[test]
fn a6_any_flipped_bit_is_damage_wherever_sectors_end() {
    for before in 0..SECTOR_BYTES {
        let (bytes, begins) = file_of(&[before, 40, 300], 1);
        for bit in (begins[2] * 8..bytes.len() * 8).step_by(97) {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (_, log, report) = open_bytes(&bytes);
            assert_eq!((report.damaged.len(), log.log_end()), (1, Offset::new(3)), "bit {bit} of {begins:?}");
        }
    }
}

/// Of which sectors of a write arrived, any subset.
fn lose_sectors(bytes: &[u8], written: std::ops::Range<usize>, unit_bytes: usize) -> Vec<(usize, Vec<u8>)> {
    let units: Vec<usize> = (written.start / unit_bytes..written.end.div_ceil(unit_bytes)).collect();
    let lose = |lost: usize| {
        let mut torn = bytes.to_vec();
        for (number, unit) in units.iter().enumerate().filter(|(number, _)| lost >> number & 1 == 1) {
            let share = written.start.max(unit * unit_bytes)..written.end.min((unit + 1) * unit_bytes);
            assert!(number < units.len());
            torn[share].fill(0);
        }
        (lost, torn)
    };
    (1..1 << units.len()).map(lose).collect()
}

#[test]
fn a3_a_write_that_lost_any_subset_of_its_sectors_is_cut() {
    for (before, newest) in (0..SECTOR_BYTES).step_by(7).flat_map(|before| [(before, 300), (before, 1900)]) {
        let (bytes, begins) = file_of(&[before, 40, newest], 1);
        for (lost, torn) in lose_sectors(&bytes, begins[2]..bytes.len(), SECTOR_BYTES) {
            let end = if torn == bytes { 3 } else { 2 };
            check_cut(&torn, end, &format!("sectors {lost:b} of {begins:?}"));
        }
    }
    let (bytes, begins) = file_of(&[700, 40, 20_000], 1);
    for (lost, torn) in lose_sectors(&bytes, begins[2]..bytes.len(), 4096) {
        check_cut(&torn, 2, &format!("pages {lost:b} of {begins:?}"));
    }
}

#[test]
fn a3_a_write_is_cut_wherever_the_file_ends_amid_it() {
    let (bytes, begins) = file_of(&[100, 40, 900], 3);
    for end in begins[2]..bytes.len() {
        check_cut(&bytes[..end], 6, &format!("{end} of {begins:?}"));
    }
}

/// A failed sync forgets a batch, and what is appended behind it comes into the same sector.
#[test]
fn a3_a_batch_that_was_forgotten_is_cut_with_what_came_into_its_sector() {
    for before in 0..SECTOR_BYTES {
        let (bytes, begins) = file_of(&[before, 40, 60, 60], 1);
        let mut torn = bytes.clone();
        torn[begins[2]..begins[3]].fill(0);
        check_cut(&torn, 2, &format!("all of {begins:?}"));
        let sector = begins[2].next_multiple_of(SECTOR_BYTES);
        if (begins[2] + 1..begins[3]).contains(&sector) {
            let mut torn = bytes.clone();
            torn[sector..begins[3]].fill(0);
            let end = if torn == bytes { 4 } else { 2 };
            check_cut(&torn, end, &format!("the second sector of {begins:?}"));
            let partial = &torn[..begins[3] + 30];
            check_cut(partial, end.min(3), &format!("the second sector of {begins:?}, and the end is torn"));
        }
    }
}

/// The newest durable batch rots, and the one behind it was being written when the power failed.
#[test]
fn a6_rot_right_before_a_tear_is_kept_and_the_tear_is_cut() {
    let (bytes, begins) = file_of(&[100, 40, 500, 1200], 1);
    for (lost, torn) in lose_sectors(&bytes, begins[3]..bytes.len(), SECTOR_BYTES) {
        for bit in (begins[2] * 8..begins[3] * 8).filter(|bit| bit / 8 < begins[2] + HEADER_BYTES || bit % 61 == 0) {
            let mut torn = torn.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            check_kept(&torn, 2..3, &format!("bit {bit} and sectors {lost:b} of {begins:?}"));
        }
    }
    for end in begins[3]..bytes.len() {
        let mut torn = bytes[..end].to_vec();
        torn[begins[2] + 33] ^= 1;
        check_kept(&torn, 2..3, &format!("{end} of {begins:?}"));
    }
}

/// What is good behind what rotted follows nothing that was torn.
#[test]
fn a6_what_is_good_behind_what_was_written_whole_is_kept() {
    let (bytes, begins) = file_of(&[100, 40, 500, 300], 1);
    for byte in [begins[2], begins[2] + 12, begins[2] + 33, begins[2] + 300] {
        let mut bytes = bytes.clone();
        bytes[byte] ^= 1;
        let (_, log, report) = open_bytes(&bytes);
        assert_eq!((offsets(&log), report.bytes_cut), ((vec![0, 1, 3], vec![2]), 0), "byte {byte}");
    }
}

/// A header of which nothing can be told does not say where its batch ends, so a tear behind it takes it along; until its
/// end is kept in mind by a segment's name.
#[test]
fn a6_damage_at_the_end_of_the_log_outlives_what_is_torn_behind_it() {
    let (mut bytes, begins) = file_of(&[100, 40, 500], 2);
    bytes[begins[2] + 4..begins[2] + 40].fill(0xa5);
    let (storage, mut log, report) = open_bytes(&bytes);
    assert_eq!(report.damaged, [Offset::new(4)..Offset::new(6)]);
    append_value(&mut log, &[b'x'; 3000]);
    drop(log);
    let newest = newest_log(&storage);
    change(&storage, &newest, |bytes| bytes[512..1024].fill(0));
    let (log, _) = CommitLog::open(storage, no_limit()).unwrap();
    assert_eq!(offsets(&log), ((0..4).collect(), vec![4, 5]));
}

/// What does not begin as a batch does was never one: bytes that a file system put there are no message that got lost.
#[test]
fn a3_garbage_behind_the_last_batch_is_cut() {
    let (mut bytes, _) = file_of(&[100, 40, 500], 1);
    bytes.extend([0xa5; 1000]);
    let (_, log, report) = open_bytes(&bytes);
    assert_eq!((offsets(&log), report.bytes_cut), (((0..3).collect(), vec![]), 1000));
}

/// A batch that a later version wrote, with a feature that is not known here, is not cut off as if it were torn.
#[test]
fn a6_a_whole_batch_with_an_unknown_feature_is_kept() {
    let (mut bytes, begins) = file_of(&[100, 40, 500], 1);
    let newest = &mut bytes[begins[2]..];
    newest[48] = 1;
    let crc = crate::checksum::crc32c(&newest[48..]);
    newest[44..48].copy_from_slice(&crc.to_le_bytes());
    check_kept(&bytes, 2..3, "compressed");
}

/// What cannot be told: a message of zeros that rots looks as if its sectors had not arrived. Where only the header rots it can.
#[test]
fn a6_a_value_of_zeros_is_told_from_a_tear_while_its_records_are_whole() {
    let storage = MemoryVolume::default().directory("log");
    let mut log = CommitLog::open(storage.clone(), no_limit()).unwrap().0;
    append_value(&mut log, b"first");
    let begin = usize::try_from(log.size_bytes()).unwrap();
    append_value(&mut log, &[0; 3000]);
    drop(log);
    let whole = bytes_of(&storage, &log_name());
    for byte in begin..whole.len() {
        let mut bytes = whole.clone();
        bytes[byte] ^= 4;
        match byte - begin {
            0..LEADER_PART_BYTES => check_kept(&bytes, 1..2, &format!("byte {byte}")),
            _ => check_cut(&bytes, 1, &format!("byte {byte}")),
        }
    }
}

/// A failed sync cuts the file, and nothing makes that cut durable before the log is opened and appended to again. Bytes that a
/// crash brings back must not come to stand between those of what was appended.
#[test]
fn what_shows_as_cut_is_cut_before_anything_is_appended() {
    for seed in 0..2000 {
        let volume = FaultyVolume::new(seed);
        let open = || CommitLog::open(volume.directory("log"), no_limit()).unwrap();
        let mut log = open().0;
        append_value(&mut log, b"kept");
        log.park(Offset::new(1)).unwrap();
        append_value(&mut log, &[b'x'; 1800]);
        volume.fail_syncs(Some(std::io::ErrorKind::Other));
        assert!(log.sync().is_err());
        drop(log);
        volume.fail_syncs(None);
        let (mut log, _) = open();
        let end = log.log_end().get();
        append_value(&mut log, &[b'y'; 1700]);
        drop(log);
        volume.crash();
        let (log, report) = open();
        assert_eq!(report.damaged, [], "seed {seed}");
        assert!(log.log_end().get() >= end, "seed {seed}");
    }
}
