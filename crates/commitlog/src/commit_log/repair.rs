//! Putting good bytes in the place of damaged ones. Owns the order of steps that makes it safe at every instruction; never where
//! the good ones come from.
//!
//! The segment is written anew with the good batches in the place of the damaged stretch, and takes the old file's place by a
//! rename. What its index and the checkpoint claim about the old file goes first, durably. A crash in between leaves the
//! segment as damaged as it was, or repaired.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use liftbridge_types::Offset;

use super::CommitLog;
use crate::batch::Batch;
use crate::batch_scanner::{BatchScanner, Scanned};
use crate::checkpoint::Checkpoint;
use crate::error::AppendError;
use crate::file_names;
use crate::segment::Segment;
use crate::segment_walk::{WalkPlan, walk};
use crate::shared::segment_for;
use crate::small_file;

/// What [`CommitLog::repair`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// These offsets are whole now; none when no batch fits.
    Whole(Range<Offset>),
    /// Nothing has changed: more is damaged than was known, and it has to be filled from its beginning.
    Wider(Range<Offset>),
}

/// Bytes of a segment that hold nothing good.
struct Gap {
    bytes: Range<u64>,
    /// The offset good batches end at before it.
    start: Offset,
    /// The offset good batches go on at behind it.
    resume: Offset,
}

impl CommitLog {
    /// Puts `batches`, which another log holds for the offsets from `damaged.start` on, in the place of what cannot be read here.
    /// They need not reach to the end of what is damaged, and the first may begin before its start: whoever reads from within a
    /// batch finds only what it asked for damaged. Damage that begins even before that is told as [`Repair::Wider`].
    ///
    /// # Errors
    /// When the batches do not verify or do not begin where the damage does; then nothing has changed. When the storage fails;
    /// then the log is read-only until it is opened again.
    pub fn repair(&mut self, damaged: Range<Offset>, batches: &[Bytes]) -> Result<Repair, AppendError> {
        self.check_usable()?;
        let good = fitting(&damaged, batches)?;
        let (Some(first), Some(last)) = (good.first(), good.last()) else {
            return Ok(Repair::Whole(damaged.start..damaged.start));
        };
        let (start, end) = (first.header().base_offset, last.header().end_offset());
        self.sync()?;
        let segments = self.shared.segments();
        let index = segment_for(&segments, start).filter(|_| damaged.start >= self.log_start());
        let Some((index, segment)) = index.and_then(|index| segments.get(index).map(|segment| (index, segment))) else {
            return Err(AppendError::NotContiguous { base: damaged.start, end: self.log_start() });
        };
        let Some(gap) = self.find_gap(segment, start)? else {
            // That batch is whole already.
            return Ok(Repair::Whole(start..first.header().end_offset()));
        };
        if gap.start < start {
            return Ok(Repair::Wider(gap.start..damaged.end));
        }
        // Behind what only begins to fill the gap, the damage stays where it is.
        let rest_from = if end >= gap.resume { gap.bytes.end } else { gap.bytes.start };
        let result = self.fill(index, &gap, &good, rest_from);
        result.map(|()| Repair::Whole(start..end)).map_err(|error| match error {
            AppendError::Storage(error) => self.fail(error),
            other => other,
        })
    }

    /// Finds the damaged stretch that `start` is in; `None` where a good batch is.
    fn find_gap(&self, segment: &Segment, start: Offset) -> Result<Option<Gap>, AppendError> {
        let file = segment.open_file(self.storage())?;
        let delta = start.since(segment.base());
        let block = segment.look_up(self.storage(), &mut None, |index| index.block_before(delta, 0));
        let limit = segment.log_bytes();
        let mut end = segment.base().plus(block.offset_delta);
        let mut scanner = BatchScanner::new(&*file, segment.log_name(), block.from, limit, end);
        while let Some(scanned) = scanner.step()? {
            match scanned {
                Scanned::Batch { batch, .. } if batch.header().end_offset() <= start => {
                    end = batch.header().end_offset();
                }
                Scanned::Batch { file_position, batch } if batch.header().base_offset > start => {
                    let (bytes, resume) = (file_position..file_position, batch.header().base_offset);
                    return Ok(Some(Gap { bytes, start: end, resume }));
                }
                Scanned::Batch { .. } => return Ok(None),
                Scanned::Damaged { file_position, resume, .. } => {
                    let (position, resume) = resume.unwrap_or((limit, segment.end()));
                    if resume > start {
                        return Ok(Some(Gap { bytes: file_position..position, start: end, resume }));
                    }
                    end = resume;
                }
            }
        }
        Ok(Some(Gap { bytes: limit..limit, start: end, resume: segment.end() }))
    }

    fn fill(&mut self, index: usize, gap: &Gap, good: &[Batch], rest_from: u64) -> Result<(), AppendError> {
        let segments = self.shared.segments();
        let Some(segment) = segments.get(index) else { return Ok(()) };
        let is_newest = index + 1 == segments.len();
        self.drop_claims(segment, is_newest, gap.bytes.start)?;
        let file = segment.open_file(self.storage())?;
        let middle: Vec<&[u8]> = good.iter().map(|batch| &batch.bytes()[..]).collect();
        let file_bytes = self.splice(segment, &*file, gap.bytes.start, &middle, rest_from..segment.log_bytes())?;
        drop(file);
        for header in good.iter().map(Batch::header) {
            self.epochs_dirty |= self.epochs.note_repaired(header.leader_epoch, header.base_offset);
        }
        self.store_epochs()?;
        let mut extent_end = segment.end();
        if let Some(last) = good.last() {
            extent_end = extent_end.max(last.header().end_offset());
        }
        let name = segment.log_name();
        let whole = Segment::empty(segment.base());
        let plan = WalkPlan::whole(name, segment.base(), file_bytes, extent_end);
        let walked = walk(&*whole.open_file(self.storage())?, &plan)?;
        let whole = Segment::walked(segment.base(), walked.extent, walked.index);
        let reached = whole.end();
        if reached < extent_end {
            whole.update_extent(|extent| {
                extent.damaged.push(reached..extent_end);
                extent.end = extent_end;
            });
        }
        if is_newest {
            self.active = None;
        } else {
            whole.snapshot_index(self.storage())?;
            whole.release_index();
        }
        let mut replaced = segments.to_vec();
        replaced[index] = Arc::new(whole);
        self.shared.replace_segments(replaced);
        Ok(())
    }

    /// Takes back what is said on disk about a segment that is going to change at `file_position`.
    fn drop_claims(&mut self, segment: &Segment, is_newest: bool, file_position: u64) -> Result<(), AppendError> {
        segment.hold_index(self.storage())?;
        small_file::remove(self.storage(), &file_names::index(segment.base()))?;
        if is_newest {
            let checkpoint = Checkpoint {
                segment: segment.base(),
                file_position,
                recovery_offset: segment.base(),
                log_start: self.log_start(),
                high_watermark: self.high_watermark.min(self.log_end()),
                newest_time: self.newest_time,
            };
            checkpoint.write(self.storage())?;
            self.checkpointed = None;
            self.bytes_since_checkpoint = self.options.checkpoint_interval_bytes;
        }
        self.sync_directory()
    }
}

/// Those of the batches that fill the damaged offsets, one after the other from the one that holds the first of them.
fn fitting(damaged: &Range<Offset>, batches: &[Bytes]) -> Result<Vec<Batch>, AppendError> {
    let mut fitting: Vec<Batch> = Vec::new();
    for bytes in batches {
        let batch = Batch::parse(bytes).map_err(AppendError::Malformed)?;
        let header = batch.header();
        if header.end_offset() <= damaged.start {
            continue;
        }
        if header.base_offset >= damaged.end {
            break;
        }
        let begins = fitting.last().map_or(header.base_offset.min(damaged.start), |last| last.header().end_offset());
        if header.base_offset != begins || header.end_offset() > damaged.end {
            return Err(AppendError::NotContiguous { base: header.base_offset, end: begins });
        }
        fitting.push(batch);
    }
    Ok(fitting)
}

#[cfg(test)]
mod tests {
    use liftbridge_types::{LeaderEpoch, Timestamp};

    use super::*;
    use crate::LogOptions;
    use crate::batch::BatchBuilder;
    use crate::error::ReadError;
    use crate::storage::{FaultyVolume, Volume};

    fn open(volume: &FaultyVolume) -> CommitLog {
        let options = LogOptions { segment_bytes_max: 400, tail_bytes_max: 0, ..LogOptions::default() };
        CommitLog::open(volume.directory("log"), options).unwrap().0
    }

    /// A log of twelve batches in several segments.
    fn filled(seed: u64) -> (FaultyVolume, CommitLog) {
        let volume = FaultyVolume::new(seed);
        let mut log = open(&volume);
        for number in 0..12 {
            let mut batch = BatchBuilder::new();
            batch.push(None, format!("value {number}").as_bytes(), &[]).unwrap();
            log.append(&mut batch, LeaderEpoch::new(1), Timestamp::from_nanos(number)).unwrap();
        }
        log.park(Offset::new(12)).unwrap();
        (volume, log)
    }

    fn all(log: &CommitLog) -> Result<Vec<Bytes>, ReadError> {
        let mut reader = log.view().reader(Offset::ZERO);
        let mut batches = Vec::new();
        while reader.next_offset() < log.log_end() {
            batches.extend(reader.read(Offset::MAX, 100)?.iter().map(|batch| batch.bytes().clone()));
        }
        Ok(batches)
    }

    fn damage(log: &CommitLog) -> Range<Offset> {
        match all(log) {
            Err(ReadError::Damaged { offsets, .. }) => offsets,
            other => panic!("not damaged: {other:?}"),
        }
    }

    #[test]
    fn what_is_damaged_in_any_place_is_whole_again_and_stays_so() {
        for number in 0..12_usize {
            let (volume, mut log) = filled(7);
            let good = all(&log).unwrap();
            let segments = log.shared.segments();
            let segment = segment_for(&segments, Offset::new(number as u64)).and_then(|i| segments.get(i)).unwrap();
            let before: usize = (usize::try_from(segment.base().get()).unwrap()..number).map(|i| good[i].len()).sum();
            let path = format!("log/{}", segment.log_name());
            volume.flip_bit(&path, before as u64 + 50, 3).unwrap();
            drop(segments);
            let damaged = damage(&log);
            assert_eq!(damaged, Offset::new(number as u64)..Offset::new(number as u64 + 1));
            assert_eq!(log.repair(damaged.clone(), &good[number..=number]).unwrap(), Repair::Whole(damaged));
            assert_eq!(all(&log).unwrap(), good, "batch {number}");
            log.park(Offset::new(12)).unwrap();
            drop(log);
            assert_eq!(all(&open(&volume)).unwrap(), good, "batch {number}, opened again");
        }
    }

    #[test]
    fn damage_found_from_within_a_batch_is_repaired_by_the_whole_batch() {
        let volume = FaultyVolume::new(3);
        let mut log = open(&volume);
        let mut batch = BatchBuilder::new();
        for value in [b"one", b"two"] {
            batch.push(None, value, &[]).unwrap();
        }
        log.append(&mut batch, LeaderEpoch::new(1), Timestamp::from_nanos(1)).unwrap();
        log.park(Offset::new(2)).unwrap();
        let good = all(&log).unwrap();
        volume.flip_bit(&format!("log/{}", log.shared.segments()[0].log_name()), 50, 3).unwrap();
        let found = log.view().reader(Offset::new(1)).read(Offset::MAX, 100);
        let Err(ReadError::Damaged { offsets, .. }) = found else { panic!("not damaged: {found:?}") };
        assert_eq!(offsets, Offset::new(1)..Offset::new(2));
        let whole = Repair::Whole(Offset::ZERO..Offset::new(2));
        assert_eq!(log.repair(offsets.clone(), &good).unwrap(), whole);
        assert_eq!(all(&log).unwrap(), good);
        assert_eq!(log.repair(offsets, &good).unwrap(), whole, "it is whole already");
    }

    #[test]
    fn damage_that_begins_before_what_was_found_is_told_and_repaired_from_its_beginning() {
        let (volume, mut log) = filled(7);
        let good = all(&log).unwrap();
        let path = format!("log/{}", log.shared.segments()[0].log_name());
        for batch in [0, good[0].len() as u64] {
            volume.flip_bit(&path, batch + 50, 3).unwrap();
        }
        let found = log.view().reader(Offset::new(1)).read(Offset::MAX, 100);
        let Err(ReadError::Damaged { offsets, .. }) = found else { panic!("not damaged: {found:?}") };
        assert_eq!(offsets, Offset::new(1)..Offset::new(2));
        let wider = Offset::ZERO..Offset::new(2);
        assert_eq!(log.repair(offsets, &good[1..2]).unwrap(), Repair::Wider(wider.clone()));
        assert_eq!(log.repair(wider.clone(), &good[..2]).unwrap(), Repair::Whole(wider));
        assert_eq!(all(&log).unwrap(), good);
    }

    #[test]
    fn the_epochs_of_what_was_damaged_are_known_again() {
        let volume = FaultyVolume::new(3);
        let mut log = open(&volume);
        for epoch in [4, 5] {
            let mut batch = BatchBuilder::new();
            batch.push(None, b"value", &[]).unwrap();
            log.append(&mut batch, LeaderEpoch::new(epoch), Timestamp::from_nanos(epoch.cast_signed())).unwrap();
            log.sync().unwrap();
        }
        let (good, epochs) = (all(&log).unwrap(), log.leader_epochs());
        drop(log);
        volume.flip_bit("log/00000000000000000000.log", 50, 3).unwrap();
        let mut log = open(&volume);
        assert_eq!(log.leader_epochs(), epochs[1..], "rot hides the first");
        log.repair(Offset::ZERO..Offset::new(1), &good[..1]).unwrap();
        assert_eq!(log.leader_epochs(), epochs);
        log.park(Offset::new(2)).unwrap();
        drop(log);
        assert_eq!(open(&volume).leader_epochs(), epochs);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let (volume, mut log) = filled(7);
        let good = all(&log).unwrap();
        let path = format!("log/{}", log.shared.segments()[0].log_name());
        volume.flip_bit(&path, 50, 3).unwrap();
        let damaged = damage(&log);
        assert!(
            log.repair(damaged.clone(), &good[1..2])
                .is_ok_and(|done| matches!(done, Repair::Whole(whole) if whole.is_empty())),
            "it is beyond"
        );
        assert!(log.repair(damaged.clone(), &[Bytes::from_static(b"rubbish")]).is_err());
        assert_eq!(damage(&log), damaged);
    }

    #[test]
    fn a_power_cut_at_any_operation_leaves_the_damage_or_the_repaired_log() {
        for after in 0..30 {
            let (volume, mut log) = filled(after);
            let good = all(&log).unwrap();
            let path = format!("log/{}", log.shared.segments()[0].log_name());
            volume.flip_bit(&path, 50, 3).unwrap();
            let damaged = damage(&log);
            volume.cut_power(Some(after));
            let done = log.repair(damaged.clone(), &good[..1]).is_ok();
            drop(log);
            volume.crash();
            let log = open(&volume);
            match all(&log) {
                Ok(batches) => assert_eq!(batches, good),
                Err(ReadError::Damaged { offsets, .. }) => {
                    assert!(!done, "it was repaired durably");
                    assert_eq!(offsets, damaged);
                }
                Err(other) => panic!("{other}"),
            }
            assert_eq!(log.log_end(), Offset::new(12));
        }
    }
}
