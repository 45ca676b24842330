//! Learns a segment anew from its log file: extent, index and epochs, telling rot from torn writes.
//!
//! Owns the judgement of one file. Never touches the file; [`crate::recovery`] carries the judgement out.
//!
//! An invalid stretch is *rot* when its bytes are known to have been durable: it lies before the file position a
//! checkpoint or index vouches for, or a good batch after it says (by its stable end) that everything before some later
//! offset was on stable storage when it was appended. It is rot, too, when it was written whole, by what stands in the file:
//! see [`crate::tear`]. Anything else invalid was never durable, and neither was what follows it: a *torn* tail. Example:
//! appends A, B, sync, C, D, power cut. If A does not verify, C's stable end lies after A, so A is rot and stays in its
//! place. If C does not verify and a sector of it is zeros, D proves nothing about C, so C and D are cut; both were never
//! acknowledged as durable.
//!
//! Where the header of a batch is all zeros, its page was never written: that is a tear by itself, and nothing behind it
//! is asked for proof. So what a publisher put into a torn batch cannot pass for batches that prove it.

use liftbridge_types::{LeaderEpoch, Offset};

use crate::batch::{Batch, BatchError, BatchHeader};
use crate::batch_scanner::{BatchScanner, Scanned};
use crate::error::LogError;
use crate::options::LogOptions;
use crate::segment::Extent;
use crate::segment_index::{IndexEntry, SegmentIndex, Summary};
use crate::storage::StorageFile;
use crate::tear::{Judgement, Stretch, Tear};

/// From where and under which assumptions a file is walked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkPlan<'a> {
    /// The file's name, for errors.
    pub(crate) file_name: &'a str,
    /// What is known of its beginning: the walk starts at its end. A segment of which nothing is known has an empty one.
    pub(crate) known: Summary,
    /// The file's length.
    pub(crate) file_bytes: u64,
    /// Everything in the file before this position was durable once.
    pub(crate) durable_bytes: u64,
    /// The offset up to which the file's batches were durable once, where that is known.
    pub(crate) durable_offset: Option<Offset>,
    /// The offset the next segment begins at, where there is one: what goes beyond it was cut off once, and a crash undid
    /// the cut.
    pub(crate) limit: Option<Offset>,
    /// From where on batches may claim what is not true here.
    pub(crate) void_from: Option<Offset>,
    /// Distance of index entries.
    pub(crate) index_interval_bytes: u32,
}

impl<'a> WalkPlan<'a> {
    /// A walk over all of a segment that is known to reach to `end` and to be durable.
    pub(crate) fn whole(file_name: &'a str, base: Offset, file_bytes: u64, end: Offset) -> Self {
        Self {
            file_name,
            known: Summary::empty(base),
            file_bytes,
            durable_bytes: u64::MAX,
            durable_offset: Some(end),
            limit: None,
            void_from: None,
            index_interval_bytes: LogOptions::default().index_interval_bytes,
        }
    }
}

impl WalkPlan<'_> {
    /// Up to where the batch proves that the file was durable.
    fn claim(&self, header: &BatchHeader) -> Option<Offset> {
        header.stable_end.filter(|_| self.void_from.is_none_or(|from| header.base_offset < from))
    }
}

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Walked {
    /// How far the segment reaches, damage included.
    pub(crate) extent: Extent,
    /// Index entries for what was walked.
    pub(crate) index: SegmentIndex,
    /// Epochs met and the offsets they were met at, ascending.
    pub(crate) epochs: Vec<(LeaderEpoch, Offset)>,
    /// The largest high watermark that a batch speaks of, of those that stay.
    pub(crate) high_watermark: Option<Offset>,
    /// Where a torn tail begins that has to be cut.
    pub(crate) cut: Option<u64>,
    /// A batch of a newer format was met.
    pub(crate) newer_version: Option<u8>,
}

/// A place where the tail may have to be cut, unless a later batch proves it was durable.
struct Doubt {
    file_position: u64,
    before: Extent,
    high_watermark: Option<Offset>,
}

/// Walks a file according to `plan`.
///
/// What was durable once is walked by itself: it ends between two batches, so damage at its end is told from what was
/// appended after it.
pub(crate) fn walk(file: &dyn StorageFile, plan: &WalkPlan<'_>) -> Result<Walked, LogError> {
    let known = plan.known;
    let mut walked = Walked {
        extent: Extent {
            log_bytes: known.log_bytes,
            end: known.end,
            record_count: known.record_count,
            times: known.times,
            damaged: Vec::new(),
        },
        index: SegmentIndex::default(),
        epochs: Vec::new(),
        high_watermark: None,
        cut: None,
        newer_version: None,
    };
    let mut doubts: Vec<Doubt> = Vec::new();
    let durable_bytes = plan.durable_bytes.min(plan.file_bytes).max(known.log_bytes);
    let mut scanner = BatchScanner::new(file, plan.file_name, known.log_bytes, durable_bytes, known.end);
    loop {
        let scanned = match scanner.step()? {
            Some(scanned) => scanned,
            None if scanner.extend(plan.file_bytes, walked.extent.end) => continue,
            None => break,
        };
        match scanned {
            Scanned::Batch { batch, .. } if plan.limit.is_some_and(|limit| batch.header().end_offset() > limit) => {
                break;
            }
            Scanned::Batch { file_position, batch } => {
                if let Some(stable_end) = plan.claim(batch.header()) {
                    doubts.retain(|doubt| doubt.before.end >= stable_end);
                }
                walked.add(plan, file_position, &batch);
            }
            Scanned::Damaged { error: BatchError::Version { version }, .. } => {
                walked.newer_version = Some(version);
                return Ok(walked);
            }
            Scanned::Damaged { file_position, resume, .. } => {
                let bytes = file_position..scanner.file_position();
                if file_position >= plan.durable_bytes {
                    let (expected, newest_epoch) = (walked.extent.end, scanner.newest_epoch());
                    let stretch =
                        Stretch { file, file_name: plan.file_name, bytes: bytes.clone(), expected, newest_epoch };
                    let Judgement { rotten_end, tear } = stretch.judge()?;
                    let rotten_to = tear.map_or(bytes.end, |tear| tear.file_position);
                    walked.add_damage(resume.map_or(rotten_end, |(_, base)| base.min(rotten_end)), rotten_to);
                    if let Some(Tear { file_position, zeroed }) = tear {
                        doubts.push(walked.doubt(file_position));
                        if zeroed {
                            break;
                        }
                    }
                }
                walked.add_stretch(plan, resume, bytes.end);
            }
        }
    }
    if let Some(doubt) = doubts.into_iter().next() {
        walked.extent = doubt.before;
        walked.high_watermark = doubt.high_watermark;
        walked.index.truncate(doubt.file_position);
        walked.epochs.retain(|(_, start)| *start < walked.extent.end);
        walked.cut = Some(doubt.file_position);
    }
    Ok(walked)
}

impl Walked {
    /// That what comes next may have to be cut.
    fn doubt(&self, file_position: u64) -> Doubt {
        Doubt { file_position, before: self.extent.clone(), high_watermark: self.high_watermark }
    }

    fn add(&mut self, plan: &WalkPlan<'_>, file_position: u64, batch: &Batch) {
        let header = batch.header();
        let due = self
            .index
            .newest_position()
            .is_none_or(|newest| file_position >= newest + u64::from(plan.index_interval_bytes));
        let entry = IndexEntry::new(plan.known.base, header.base_offset, file_position, header.append_time);
        if let Some(entry) = entry.filter(|_| due) {
            self.index.push(entry);
        }
        if self.epochs.last().is_none_or(|(newest, _)| header.leader_epoch > *newest) {
            self.epochs.push((header.leader_epoch, header.base_offset));
        }
        self.high_watermark = self.high_watermark.max(header.high_watermark);
        self.extent.log_bytes = file_position + u64::from(header.bytes);
        self.extent.end = header.end_offset();
        self.extent.record_count += u64::from(header.record_count);
        let first = self.extent.times.map_or(header.append_time, |(first, _)| first);
        self.extent.times = Some((first, header.latest_time()));
    }

    /// Notes a stretch that does not verify. Without a good batch after it, it goes to `limit`, where the file was durable.
    fn add_stretch(&mut self, plan: &WalkPlan<'_>, resume: Option<(u64, Offset)>, limit: u64) {
        let (position, end) = match resume {
            Some((position, base)) => (position, Some(base)),
            None => (limit, plan.durable_offset),
        };
        let end = end.map(|end| plan.limit.map_or(end, |limit| end.min(limit)));
        self.add_damage(end.unwrap_or(self.extent.end), position);
    }

    /// Notes that what comes next is damaged, up to the offset `end` and the position `to`.
    fn add_damage(&mut self, end: Offset, to: u64) {
        self.extent.log_bytes = to;
        if end <= self.extent.end {
            return;
        }
        match self.extent.damaged.last_mut().filter(|known| known.end == self.extent.end) {
            Some(known) => known.end = end,
            None => self.extent.damaged.push(self.extent.end..end),
        }
        self.extent.end = end;
    }
}
