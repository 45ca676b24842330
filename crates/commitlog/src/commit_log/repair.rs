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

/// Bytes of a segment that hold nothing good.
struct Gap {
    bytes: Range<u64>,
    /// The offset good batches go on at behind it.
    resume: Offset,
}

impl CommitLog {
    /// Puts `batches`, which another log holds for the offsets from `damaged.start` on, in the place of what cannot be read here.
    /// They need not reach to the end of what is damaged, and the first may begin before its start: whoever reads from within a
    /// batch finds only what it asked for damaged. Returns what is whole now, which is nothing when no batch fits.
    ///
    /// # Errors
    /// When the batches do not verify or do not begin where the damage does; then nothing has changed. When the storage fails;
    /// then the log is read-only until it is opened again.
    pub fn repair(&mut self, damaged: Range<Offset>, batches: &[Bytes]) -> Result<Range<Offset>, AppendError> {
        self.check_usable()?;
        let good = fitting(&damaged, batches)?;
        let (Some(first), Some(last)) = (good.first(), good.last()) else {
            return Ok(damaged.start..damaged.start);
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
            return Ok(start..first.header().end_offset());
        };
        // Behind what only begins to fill the gap, the damage stays where it is.
        let rest_from = if end >= gap.resume { gap.bytes.end } else { gap.bytes.start };
        let result = self.fill(index, &gap, &good, rest_from);
        result.map(|()| start..end).map_err(|error| match error {
            AppendError::Storage(error) => self.fail(error),
            other => other,
        })
    }

    /// Finds the damaged stretch that begins at `start`; `None` where a good batch is.
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
                    return Ok(Some(Gap { bytes: file_position..file_position, resume: batch.header().base_offset }));
                }
                Scanned::Batch { .. } => return Ok(None),
                Scanned::Damaged { file_position, resume, .. } => {
                    let (position, resume) = resume.unwrap_or((limit, segment.end()));
                    if resume > start {
                        return if end == start {
                            Ok(Some(Gap { bytes: file_position..position, resume }))
                        } else {
                            Err(AppendError::NotContiguous { base: start, end })
                        };
                    }
                    end = resume;
                }
            }
        }
        Ok(Some(Gap { bytes: limit..limit, resume: segment.end() }))
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
                high_watermark: self.high_watermark_found.min(self.log_end()),
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
            assert_eq!(log.repair(damaged.clone(), &good[number..=number]).unwrap(), damaged);
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
        assert_eq!(log.repair(offsets.clone(), &good).unwrap(), Offset::ZERO..Offset::new(2));
        assert_eq!(all(&log).unwrap(), good);
        assert_eq!(log.repair(offsets, &good).unwrap(), Offset::ZERO..Offset::new(2), "it is whole already");
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let (volume, mut log) = filled(7);
        let good = all(&log).unwrap();
        let path = format!("log/{}", log.shared.segments()[0].log_name());
        volume.flip_bit(&path, 50, 3).unwrap();
        let damaged = damage(&log);
        assert!(log.repair(damaged.clone(), &good[1..2]).is_ok_and(|whole| whole.is_empty()), "it is beyond");
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
