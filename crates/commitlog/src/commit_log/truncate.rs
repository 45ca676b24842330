//! Cutting the end of a log off. Owns the order of steps that makes it safe at every instruction; never why it is cut.
//!
//! A checkpoint claims that what it covers is durable, and recovery would take its absence for damage. So the claims
//! are lowered first, durably, then files go from the newest to the oldest, then the last one is cut. A crash in between
//! leaves a log that ends somewhere between the old end and the new one.

use std::io;
use std::sync::Arc;

use liftbridge_types::Offset;

use super::CommitLog;
use crate::batch::{Batch, BatchBuilder};
use crate::batch_scanner::{BatchScanner, Scanned};
use crate::checkpoint::Checkpoint;
use crate::error::{AppendError, LogError};
use crate::file_names;
use crate::segment::{Extent, Segment};
use crate::segment_index::Summary;
use crate::segment_walk::{WalkPlan, walk};

/// Where a segment is to be cut.
struct Cut {
    file_position: u64,
    end: Offset,
    /// The batch that the new log end lies inside of: its records before it are appended again.
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
        self.shared.tail.write().clear();
        self.shared.set_log_end(cut.as_ref().map_or(end, |cut| cut.end));
        self.shared.set_durable_end(self.durable_end().min(self.log_end()));
        self.shared.replace_segments(staying.to_vec());
        for segment in going.iter().rev() {
            self.remove_file(&file_names::index(segment.base()))?;
            self.remove_file(&file_names::log(segment.base()))?;
        }
        self.sync_directory()?;
        match (staying.last(), &cut) {
            (Some(newest), Some(cut)) => self.cut_file(newest, cut)?,
            _ => self.shared.set_log_start(end),
        }
        self.epochs_dirty |= self.epochs.truncate(end);
        self.newest_time = staying.iter().rev().find_map(|s| s.extent().times).map(|(_, newest)| newest);
        self.store_epochs()?;
        match cut.and_then(|cut| cut.straddling) {
            Some(batch) => self.append_records_before(&batch, end),
            None => Ok(()),
        }
    }

    /// Finds the batch that `end` lies in or before.
    fn find_cut(&self, segment: &Segment, end: Offset) -> Result<Cut, LogError> {
        let file = segment.open_file(self.storage())?;
        let delta = end.since(segment.base());
        let from = segment.look_up(self.storage(), &mut None, |index| index.position_of_offset(delta));
        let limit = segment.log_bytes();
        let mut scanner = BatchScanner::new(&*file, segment.log_name(), from, limit, segment.base());
        let mut cut = Cut { file_position: from, end: segment.base(), straddling: None };
        while let Some(Scanned::Batch { file_position, batch }) = scanner.step()? {
            let header = *batch.header();
            if header.end_offset() > end {
                let straddles = header.base_offset < end;
                let before = header.base_offset.min(end);
                return Ok(Cut { file_position, end: before, straddling: straddles.then_some(batch) });
            }
            cut = Cut { file_position: scanner.file_position(), end: header.end_offset(), straddling: None };
        }
        // Only damage is left before `end`: the good batches before it are kept, and the log goes on at `end`.
        Ok(Cut { end, ..cut })
    }

    fn lower_claims(&mut self, newest: Option<&Arc<Segment>>, cut: Option<&Cut>, end: Offset) -> Result<(), AppendError> {
        if let Some(newest) = newest {
            newest.hold_index(self.storage());
            self.remove_file(&file_names::index(newest.base()))?;
        }
        let recovery_offset = cut.map_or(end, |cut| cut.end);
        let checkpoint = Checkpoint {
            segment: newest.map_or(end, |segment| segment.base()),
            file_position: cut.map_or(0, |cut| cut.file_position),
            recovery_offset,
            log_start: self.log_start().min(recovery_offset),
            high_watermark: self.high_watermark_found.min(recovery_offset),
            newest_time: self.newest_time,
        };
        checkpoint.write(self.storage())?;
        self.checkpointed = None;
        self.sync_directory()
    }

    fn cut_file(&mut self, segment: &Segment, cut: &Cut) -> Result<(), AppendError> {
        let name = segment.log_name();
        let file = segment.open_file(self.storage())?;
        file.truncate(cut.file_position).map_err(|e| LogError::new("truncate", name, e))?;
        file.sync().map_err(|e| LogError::new("sync", name, e))?;
        let base = segment.base();
        let plan = WalkPlan {
            file_name: name,
            known: Summary { base, log_bytes: 0, end: base, record_count: 0, times: None },
            file_bytes: cut.file_position,
            durable_bytes: u64::MAX,
            durable_offset: Some(cut.end),
            index_interval_bytes: self.options.index_interval_bytes,
        };
        let walked = walk(&*file, &plan)?;
        let extent = Extent { end: cut.end, log_bytes: cut.file_position, ..walked.extent };
        segment.update_extent(|slot| *slot = extent);
        segment.replace_index(walked.index);
        Ok(())
    }

    fn append_records_before(&mut self, batch: &Batch, end: Offset) -> Result<(), AppendError> {
        let mut builder = BatchBuilder::new();
        for record in batch.records() {
            let record = record.map_err(AppendError::Malformed)?;
            if record.offset >= end {
                break;
            }
            // It came out of a batch with more records in it, so it fits into one with fewer.
            builder
                .push(record.key.as_deref(), &record.value, &record.headers)
                .expect("the record was in a batch before");
        }
        let header = batch.header();
        self.append(&mut builder, header.leader_epoch, header.append_time)?;
        self.sync().map(drop)
    }

    fn remove_file(&self, name: &str) -> Result<(), LogError> {
        match self.storage().remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LogError::new("remove", name, error)),
            _ => Ok(()),
        }
    }
}
