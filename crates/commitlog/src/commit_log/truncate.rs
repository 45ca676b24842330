//! Cutting the end of a log off. Owns the order of steps that makes it safe at every instruction; never why it is cut.
//!
//! A checkpoint claims that what it covers is durable, and recovery would take its absence for damage. So the claims
//! are lowered first, durably, then files go from the newest to the oldest, then the last one is cut. Where the new end
//! lies inside a batch, the segment is written anew with the first part of that batch and takes the old one's place by a
//! rename, so that what stays is never absent. A crash in between leaves a log that ends somewhere between the old end and
//! the new one.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use liftbridge_types::Offset;

use super::CommitLog;
use crate::batch::{Batch, BatchBuilder, Standing};
use crate::batch_scanner::{BatchScanner, Scanned};
use crate::checkpoint::Checkpoint;
use crate::error::{AppendError, LogError};
use crate::file_names;
use crate::segment::Segment;
use crate::segment_walk::{WalkPlan, walk};
use crate::small_file;

/// Where a segment is to be cut.
struct Cut {
    file_position: u64,
    /// The offset that the bytes before that reach to, damaged ones included.
    end: Offset,
    /// The batch that the new log end lies inside of: its records before it stay, in a batch of their own.
    straddling: Option<Batch>,
}

impl CommitLog {
    /// Removes every record at or after `end`, durably. Records before it stay, in batches of their own where a batch straddled
    /// `end`.
    ///
    /// # Errors
    /// When the storage fails; then the log is read-only until it is opened again.
    pub fn truncate(&mut self, end: Offset) -> Result<(), AppendError> {
        self.check_usable()?;
        if end >= self.log_end() {
            return Ok(());
        }
        // The claims written below are about everything before the new end.
        self.sync()?;
        let result = self.cut_to(end);
        result.map_err(|error| match error {
            AppendError::Storage(error) => self.fail(error),
            other => other,
        })
    }

    fn cut_to(&mut self, end: Offset) -> Result<(), AppendError> {
        let segments = self.shared.segments();
        let kept = segments.partition_point(|segment| segment.base() < end);
        let (staying, going) = segments.split_at(kept);
        let cut = staying.last().map(|newest| self.find_cut(newest, end)).transpose()?;

        self.lower_claims(staying.last(), cut.as_ref(), end)?;
        self.active = None;
        self.truncation_count += 1;
        self.high_watermark = self.high_watermark.min(end);
        self.shared.tail.write().clear();
        self.shared.set_log_end(end);
        self.shared.set_durable_end(end);
        self.shared.replace_segments(staying.to_vec());
        for segment in going.iter().rev() {
            small_file::remove(self.storage(), &file_names::index(segment.base()))?;
            small_file::remove(self.storage(), &file_names::log(segment.base()))?;
            // Each removal is durable before the next, or a crash could leave a gap before a segment that should be gone.
            self.sync_directory()?;
        }
        match (staying.last(), &cut) {
            (Some(newest), Some(cut)) => {
                // A segment of its own, so that no reader goes on in the file that was.
                let shorter = self.cut_file(newest, cut, end)?;
                let mut segments = staying.to_vec();
                segments.pop();
                let reached = shorter.end();
                if reached < end {
                    shorter.update_extent(|extent| extent.damaged.push(reached..end));
                }
                let ends_damaged = shorter.ends_damaged();
                segments.push(Arc::new(shorter));
                self.shared.replace_segments(segments);
                if ends_damaged {
                    // What is damaged may be lost with its bytes; only the name of a segment of its own keeps in mind where it ends.
                    self.begin_segment()?;
                }
            }
            _ => self.shared.set_log_start(end),
        }
        self.epochs_dirty |= self.epochs.truncate(end);
        let segments = self.shared.segments();
        self.newest_time = segments.iter().rev().find_map(|s| s.extent().times).map(|(_, newest)| newest);
        self.store_epochs()
    }

    /// Finds the batch that `end` lies in or before. Damage that begins before `end` stays as it is, whatever it reaches to:
    /// good batches lie behind it, and the bytes themselves are what tells its offsets from lost ones.
    fn find_cut(&self, segment: &Segment, end: Offset) -> Result<Cut, LogError> {
        let file = segment.open_file(self.storage())?;
        let delta = end.since(segment.base());
        let block = segment.look_up(self.storage(), &mut None, |index| index.block_before(delta, 0));
        let first = segment.base().plus(block.offset_delta);
        let limit = segment.log_bytes();
        let mut scanner = BatchScanner::new(&*file, segment.log_name(), block.from, limit, first);
        let mut cut = Cut { file_position: block.from, end: first, straddling: None };
        while let Some(scanned) = scanner.step()? {
            match scanned {
                Scanned::Batch { file_position, batch } if batch.header().end_offset() > end => {
                    let base = batch.header().base_offset;
                    let straddling = (base < end).then_some(batch);
                    return Ok(Cut { file_position, end: base.min(end), straddling });
                }
                Scanned::Batch { batch, .. } => cut.end = batch.header().end_offset(),
                Scanned::Damaged { .. } if cut.end >= end => break,
                Scanned::Damaged { resume, .. } => cut.end = resume.map_or(end, |(_, base)| base.min(end)),
            }
            cut.file_position = scanner.file_position();
        }
        Ok(cut)
    }

    fn lower_claims(
        &mut self,
        newest: Option<&Arc<Segment>>,
        cut: Option<&Cut>,
        end: Offset,
    ) -> Result<(), AppendError> {
        if let Some(newest) = newest {
            newest.hold_index(self.storage())?;
            small_file::remove(self.storage(), &file_names::index(newest.base()))?;
        }
        let recovery_offset = cut.map_or(end, |cut| cut.end);
        let checkpoint = Checkpoint {
            segment: newest.map_or(end, |segment| segment.base()),
            file_position: cut.map_or(0, |cut| cut.file_position),
            recovery_offset,
            log_start: self.log_start().min(recovery_offset),
            high_watermark: self.high_watermark.min(recovery_offset),
            newest_time: self.newest_time,
        };
        checkpoint.write(self.storage())?;
        self.checkpointed = None;
        self.sync_directory()
    }

    fn cut_file(&mut self, segment: &Segment, cut: &Cut, end: Offset) -> Result<Segment, AppendError> {
        let name = segment.log_name();
        let file = segment.open_file(self.storage())?;
        let file_bytes = match &cut.straddling {
            Some(batch) => {
                let kept = first_part(batch, end)?;
                self.splice(segment, &*file, cut.file_position, &[&kept], 0..0)?
            }
            None => {
                file.truncate(cut.file_position).map_err(|e| LogError::new("truncate", name, e))?;
                file.sync().map_err(|e| LogError::new("sync", name, e))?;
                cut.file_position
            }
        };
        drop(file);
        let shorter = Segment::empty(segment.base());
        let reached = if cut.straddling.is_some() { end } else { cut.end };
        let plan = WalkPlan::whole(name, segment.base(), file_bytes, reached);
        let walked = walk(&*shorter.open_file(self.storage())?, &plan)?;
        Ok(Segment::walked(segment.base(), walked.extent, walked.index))
    }
}

/// The records of `batch` before `end`, as a batch.
fn first_part(batch: &Batch, end: Offset) -> Result<Vec<u8>, AppendError> {
    let mut builder = BatchBuilder::new();
    for record in batch.records() {
        let record = record.map_err(AppendError::Malformed)?;
        if record.offset >= end {
            break;
        }
        let pushed = builder.push(record.key.as_deref(), &record.value, &record.headers);
        pushed.expect("a record that came out of a batch fits into one with fewer records");
    }
    let header = batch.header();
    let standing = Standing { stable_end: header.stable_end, high_watermark: header.high_watermark };
    let (_, bytes) = builder.seal(header.base_offset, header.leader_epoch, header.append_time, standing);
    Ok(bytes.to_vec())
}
