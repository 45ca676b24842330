//! Opening a log whatever its last user left behind.
//!
//! Owns the table below. Never panics on bytes from disk, never deletes what was durable, never refuses to open because
//! of what can be derived.
//!
//! | case | what is found | what is done |
//! |---|---|---|
//! | `F1` | files being written or already let go of (`.tmp`, `.deleted`) | removed |
//! | `F2` | an index without its log file | removed |
//! | `F3` | segments before the checkpoint's log start | removed: retention let go of them |
//! | `C1` | no checkpoint beside log files | the newest segment is scanned from its beginning |
//! | `C2` | a garbled checkpoint | as `C1`, reported as rebuilt |
//! | `C3` | a checkpoint beyond the end of what is there | durable data is gone: reported as damaged, its offsets are never given again |
//! | `S1` | a sealed segment whose index file fits | believed without reading the log file |
//! | `S2` | a sealed segment with a missing, short or garbled index file | scanned, the index rebuilt |
//! | `S3` | offsets missing between two segments | reported as damaged |
//! | `S4` | the oldest segments missing, though the checkpoint has the log begin with them | reported as damaged |
//! | `A1` | the newest segment ends where checkpoint or index say | nothing to do |
//! | `A2` | good batches after that | kept and synced |
//! | `A3` | a torn tail: invalid, never durable | cut |
//! | `A4` | a zeroed tail | as `A3` |
//! | `A5` | rot: invalid, once durable | kept in place, reported as damaged, served around |
//! | `A6` | invalid, vouched for by nothing, but written whole | as `A5` |
//! | `E1` | a missing or garbled table of leader epochs | rebuilt from the batch headers |

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use liftbridge_types::{Offset, Timestamp};

use crate::checkpoint::Checkpoint;
use crate::commit_log::claims::void_from;
use crate::error::{LogError, OpenError};
use crate::file_names;
use crate::leader_epochs::LeaderEpochs;
use crate::options::LogOptions;
use crate::release::{release, remove_found};
use crate::segment::Segment;
use crate::segment_index::{SegmentIndex, Summary};
use crate::segment_walk::{WalkPlan, Walked, walk};
use crate::small_file::{self, TEMPORARY_SUFFIX};
use crate::storage::Storage;

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Whether the last stop was clean, so that nothing had to be scanned.
    pub clean: bool,
    /// Bytes cut from the tail: an append that was never acknowledged as durable.
    pub bytes_cut: u64,
    /// Ranges of offsets whose bytes are damaged; kept, reported, served around.
    pub damaged: Vec<Range<Offset>>,
    /// Derived files (indexes, epochs, checkpoint) that were missing or wrong and were made anew.
    pub rebuilt: Vec<String>,
}

/// A log as recovery leaves it: everything in it is durable.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) newest_time: Option<Timestamp>,
    pub(crate) high_watermark: Offset,
    pub(crate) report: RecoveryReport,
}

/// A log file as the directory lists it.
#[derive(Clone, Copy, Debug)]
struct LogFile {
    base: Offset,
    bytes: u64,
}

/// Recovers the log in `storage`.
pub(crate) fn recover(storage: &dyn Storage, options: &LogOptions) -> Result<Recovered, OpenError> {
    let mut recovery = Recovery {
        storage,
        options,
        report: RecoveryReport::default(),
        epochs: LeaderEpochs::default(),
        high_watermark: Offset::ZERO,
        void_from: None,
    };
    let files = recovery.take_inventory()?;
    let checkpoint = recovery.load_checkpoint(files.is_empty())?;
    let files = recovery.drop_released(files, checkpoint.as_ref())?;
    let epochs_found = recovery.load_epochs(files.is_empty())?;

    let mut segments = Vec::with_capacity(files.len());
    for pair in files.windows(2) {
        if let [file, next] = pair {
            segments.push(recovery.open_sealed(*file, next.base, epochs_found)?);
        }
    }
    if let Some(newest) = files.last() {
        segments.push(recovery.open_newest(*newest, checkpoint.as_ref(), epochs_found)?);
    }
    recovery.finish(segments, checkpoint)
}

struct Recovery<'a> {
    storage: &'a dyn Storage,
    options: &'a LogOptions,
    report: RecoveryReport,
    epochs: LeaderEpochs,
    /// The largest high watermark that a walked batch speaks of.
    high_watermark: Offset,
    /// From where on batches may claim what is not true here.
    void_from: Option<Offset>,
}

impl Recovery<'_> {
    /// Lists the log files, ascending, and clears away what counts for nothing (`F1`, `F2`).
    fn take_inventory(&mut self) -> Result<Vec<LogFile>, LogError> {
        let entries = self.storage.list().map_err(|e| LogError::new("list", ".", e))?;
        let mut files: Vec<LogFile> = entries
            .iter()
            .filter_map(|entry| file_names::parse_log(&entry.name).map(|base| LogFile { base, bytes: entry.bytes }))
            .collect();
        files.sort_by_key(|file| file.base);
        let has_void_claims = entries.iter().any(|entry| entry.name == file_names::VOID_CLAIMS);
        let counts_for_nothing = |name: &String| {
            let leftover = name.ends_with(TEMPORARY_SUFFIX) || name.ends_with(file_names::RELEASED_SUFFIX);
            let orphan = file_names::parse_index(name)
                .is_some_and(|base| files.binary_search_by_key(&base, |file| file.base).is_err());
            leftover || orphan
        };
        let names: Vec<String> = entries.into_iter().map(|entry| entry.name).filter(counts_for_nothing).collect();
        remove_found(self.storage, &names)?;
        if has_void_claims {
            self.void_from = void_from(self.storage)?;
        }
        Ok(files)
    }

    /// Removes segments that retention let go of before a crash undid the renaming of their files (`F3`).
    fn drop_released(
        &self,
        mut files: Vec<LogFile>,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Vec<LogFile>, LogError> {
        let log_start = checkpoint.map_or(Offset::ZERO, |c| c.log_start);
        let released = files.windows(2).take_while(|pair| matches!(pair, [_, next] if next.base <= log_start)).count();
        if released == 0 {
            return Ok(files);
        }
        // The checkpoint that says so may not be durable yet, and without it a crash would bring back some of them.
        small_file::sync_directory(self.storage)?;
        let mut names = Vec::new();
        for file in files.drain(..released) {
            for name in [file_names::log(file.base), file_names::index(file.base)] {
                names.extend(release(self.storage, &name)?);
            }
        }
        remove_found(self.storage, &names)?;
        Ok(files)
    }

    /// The checkpoint, unless there is none (`C1`) or it is garbled (`C2`).
    fn load_checkpoint(&mut self, log_is_empty: bool) -> Result<Option<Checkpoint>, LogError> {
        let found = Checkpoint::load(self.storage)?;
        if matches!(found, Some(None)) || (found.is_none() && !log_is_empty) {
            self.report.rebuilt.push(file_names::CHECKPOINT.to_owned());
        }
        Ok(found.flatten())
    }

    /// Loads the table of epochs; false when it has to be rebuilt from all batch headers (`E1`).
    fn load_epochs(&mut self, log_is_empty: bool) -> Result<bool, LogError> {
        let content = small_file::read(self.storage, file_names::LEADER_EPOCHS, EPOCHS_BYTES_MAX)?;
        let found = content.as_deref().and_then(LeaderEpochs::decode);
        let missing = found.is_none() && (content.is_some() || !log_is_empty);
        if missing {
            self.report.rebuilt.push(file_names::LEADER_EPOCHS.to_owned());
        }
        self.epochs = found.unwrap_or_default();
        Ok(!missing)
    }

    /// Opens a segment that was sealed, and so durable as a whole, before the one at `next` was begun.
    fn open_sealed(&mut self, file: LogFile, next: Offset, epochs_found: bool) -> Result<Arc<Segment>, OpenError> {
        // Bytes behind a segment that reaches the next one are none of its own.
        let fits = |s: &Summary| match s.log_bytes.cmp(&file.bytes) {
            Ordering::Less => s.end == next,
            Ordering::Equal => s.end <= next,
            Ordering::Greater => false,
        };
        let summary = self.believable_summary(file)?.filter(fits);
        let segment = match summary {
            Some(summary) if epochs_found => Segment::from_summary(&summary), // S1
            _ => {
                let plan = WalkPlan {
                    file_name: &file_names::log(file.base),
                    known: Summary::empty(file.base),
                    file_bytes: file.bytes,
                    durable_bytes: u64::MAX,
                    durable_offset: Some(next),
                    limit: Some(next),
                    void_from: self.void_from,
                    index_interval_bytes: self.options.index_interval_bytes,
                };
                let walked = self.walk(&plan)?;
                self.note_walked(&walked);
                let segment = Segment::walked(file.base, walked.extent, walked.index);
                if summary.is_none() {
                    self.report.rebuilt.push(file_names::index(file.base)); // S2
                }
                segment.snapshot_index(self.storage)?;
                segment.release_index();
                segment
            }
        };
        let end = segment.end();
        if end < next {
            segment.update_extent(|extent| extent.damaged.push(end..next)); // S3
        }
        self.report.damaged.extend(segment.extent().damaged);
        Ok(Arc::new(segment))
    }

    /// Opens the segment that was appended to last.
    fn open_newest(
        &mut self,
        file: LogFile,
        checkpoint: Option<&Checkpoint>,
        epochs_found: bool,
    ) -> Result<Arc<Segment>, OpenError> {
        let file = self.without_cache(file)?;
        let summary = self.believable_summary(file)?.filter(|s| s.log_bytes <= file.bytes);
        let vouched = match checkpoint {
            Some(c) if c.segment == file.base => (c.file_position, Some(c.recovery_offset)),
            // A later segment was begun once, so this one was sealed.
            Some(c) if c.segment > file.base => (u64::MAX, Some(c.segment)),
            _ => (0, None),
        };
        let summary_vouches = summary.map_or((0, None), |s| (s.log_bytes, Some(s.end)));
        let (durable_bytes, durable_offset) = vouched.max(summary_vouches);
        let known = summary.filter(|_| epochs_found).unwrap_or(Summary::empty(file.base));
        if known.log_bytes == file.bytes && file.bytes >= durable_bytes && summary.is_some() {
            self.report.clean = true;
            return Ok(Arc::new(Segment::from_summary(&known))); // A1
        }
        let name = file_names::log(file.base);
        let plan = WalkPlan {
            file_name: &name,
            known,
            file_bytes: file.bytes,
            durable_bytes,
            durable_offset,
            limit: None,
            void_from: self.void_from,
            index_interval_bytes: self.options.index_interval_bytes,
        };
        let mut walked = self.walk(&plan)?;
        self.note_walked(&walked);
        self.settle_tail(&name, file.bytes, walked.cut)?;
        self.report.damaged.append(&mut walked.extent.damaged.clone());
        let mut index =
            if known.log_bytes > 0 { self.load_index(file.base).unwrap_or_default() } else { SegmentIndex::default() };
        index.append(std::mem::take(&mut walked.index));
        walked.index = index;
        Ok(Arc::new(Segment::walked(file.base, walked.extent, walked.index)))
    }

    /// The newest segment as the medium has it. Had a sync of it failed, the cache would show bytes that will never be
    /// durable, and the next sync would call them durable.
    fn without_cache(&self, log_file: LogFile) -> Result<LogFile, LogError> {
        let name = file_names::log(log_file.base);
        let file = self.storage.open(&name).map_err(|e| LogError::new("open", &name, e))?;
        file.drop_cache().map_err(|e| LogError::new("read", &name, e))?;
        Ok(LogFile { bytes: file.bytes().map_err(|e| LogError::new("measure", &name, e))?, ..log_file })
    }

    /// Cuts a torn tail (`A3`, `A4`) and makes what is kept durable (`A2`).
    fn settle_tail(&mut self, name: &str, file_bytes: u64, cut: Option<u64>) -> Result<(), LogError> {
        let file = self.storage.open(name).map_err(|e| LogError::new("open", name, e))?;
        if let Some(position) = cut {
            self.report.bytes_cut += file_bytes - position;
            file.truncate(position).map_err(|e| LogError::new("truncate", name, e))?;
        }
        file.sync().map_err(|e| LogError::new("sync", name, e))?;
        // Its name too: an earlier life may have failed to, and what is appended from now on must not go with it.
        small_file::sync_directory(self.storage)
    }

    fn walk(&self, plan: &WalkPlan<'_>) -> Result<Walked, OpenError> {
        let file = self.storage.open(plan.file_name).map_err(|e| LogError::new("open", plan.file_name, e))?;
        let walked = walk(&*file, plan)?;
        match walked.newer_version {
            Some(version) => Err(OpenError::NewerFormat {
                file: plan.file_name.to_owned(),
                version,
                supported: crate::batch::FORMAT_VERSION,
            }),
            None => Ok(walked),
        }
    }

    fn note_walked(&mut self, walked: &Walked) {
        self.high_watermark = self.high_watermark.max(walked.high_watermark.unwrap_or_default());
        for (epoch, start) in &walked.epochs {
            self.epochs.note(*epoch, *start);
        }
    }

    fn believable_summary(&self, file: LogFile) -> Result<Option<Summary>, LogError> {
        Segment::load_summary(self.storage, file.base)
    }

    fn load_index(&self, base: Offset) -> Option<SegmentIndex> {
        let content = small_file::read(self.storage, &file_names::index(base), u64::MAX).ok()??;
        SegmentIndex::decode(&content).map(|(index, _)| index)
    }

    /// Puts the parts together, and never lets the log end before what was durable once (`C3`).
    fn finish(
        mut self,
        mut segments: Vec<Arc<Segment>>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Recovered, OpenError> {
        let found_end = segments.last().map_or(Offset::ZERO, |segment| segment.end());
        let durable_once = checkpoint.map_or(Offset::ZERO, |c| c.recovery_offset);
        let log_end = found_end.max(durable_once);
        if found_end < durable_once {
            let lost = found_end.max(checkpoint.map_or(Offset::ZERO, |c| c.log_start))..durable_once;
            if !lost.is_empty() {
                self.report.damaged.push(lost.clone());
                if let Some(newest) = segments.last() {
                    newest.update_extent(|extent| extent.damaged.push(lost));
                }
            }
        }
        // Nothing but the name of a segment of its own keeps in mind what is damaged at the end of the log: the bytes may
        // rot on, and a tear behind them could not be told from them then.
        if found_end < durable_once || segments.last().is_some_and(|newest| newest.ends_damaged()) {
            if self.options.refuse_damaged_end {
                let newest = self.report.damaged.iter().find(|damaged| damaged.end == log_end).cloned();
                let Range { start, end } = newest.unwrap_or(found_end.min(durable_once)..log_end);
                return Err(OpenError::EndDamaged { start, end });
            }
            let begun = Segment::empty(log_end);
            begun.create_file(self.storage)?;
            small_file::sync_directory(self.storage)?;
            segments.push(Arc::new(begun));
        }
        let log_start = segments.first().map_or(log_end, |segment| segment.base());
        if let Some(claimed) =
            checkpoint.map(|c| c.log_start).filter(|claimed| *claimed < log_start && log_start <= found_end)
        {
            self.report.damaged.push(claimed..log_start); // S4
        }
        if self.void_from.is_some() {
            // Everything there is is durable by now.
            small_file::remove(self.storage, file_names::VOID_CLAIMS)?;
        }
        self.epochs.truncate(log_end);
        self.epochs.trim(log_start);
        let newest_time = segments.iter().filter_map(|segment| segment.extent().times).map(|(_, newest)| newest).max();
        let recovered = Recovered {
            log_start,
            log_end,
            newest_time: newest_time.max(checkpoint.and_then(|c| c.newest_time)),
            high_watermark: checkpoint.map_or(Offset::ZERO, |c| c.high_watermark).max(self.high_watermark).min(log_end),
            segments,
            epochs: self.epochs,
            report: self.report,
        };
        Ok(recovered)
    }
}

/// More than the epochs of any log that was led by a new leader every second for a year take.
const EPOCHS_BYTES_MAX: u64 = 1 << 30;
