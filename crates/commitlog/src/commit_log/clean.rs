//! Letting go of old segments in two phases. Owns the order of the steps; [`crate::retention`] decides which go.

use liftbridge_types::{Offset, Timestamp};

use super::CommitLog;
use crate::error::{AppendError, LogError};
use crate::file_names;
use crate::release::release;
use crate::retention::{SegmentFacts, releasable};
use crate::segment::Segment;
use crate::shared::Segments;
use crate::small_file;

impl CommitLog {
    /// Rolls the active segment if it is due by age, then lets go of whole sealed segments beyond the retention limits, none
    /// of them with a record at or above `high_watermark`. Returns how many segments were let go.
    ///
    /// The new log start is durable before their files are renamed; the files are unlinked by
    /// [`CommitLog::remove_released`] or by the next open. Readers that have one open finish it. On a full disk, where the
    /// new log start cannot be written, the segments go one by one, each durably before the next: retention is what makes
    /// room again.
    ///
    /// # Errors
    /// When the storage fails; segments renamed before stay let go, and the rest goes with the next call or open.
    pub fn clean(&mut self, now: Timestamp, high_watermark: Offset) -> Result<usize, AppendError> {
        self.check_usable()?;
        let segments = self.shared.segments();
        if segments.last().is_some_and(|newest| self.is_due_by_age(newest, now)) {
            tolerate_full_disk(self.roll())?;
        }
        let segments = self.shared.segments();
        let facts: Vec<SegmentFacts> = segments.iter().map(|segment| facts(segment)).collect();
        let count = releasable(&facts, &self.options.retention, now, high_watermark);
        if count == 0 {
            return Ok(0);
        }
        // A crash may undo any of the renames, not only the last ones; the log start on disk decides then.
        let log_start = segments.get(count).map_or(self.log_end(), |segment| segment.base());
        let announced = tolerate_full_disk(self.write_checkpoint(log_start, high_watermark))?.is_some();
        if announced || !self.names_durable {
            self.sync_directory()?;
        }
        for (released, segment) in segments.iter().take(count).enumerate() {
            // Readers look for files only of segments in the list, so the list goes first.
            self.drop_oldest(&segments, released + 1);
            for name in [file_names::log(segment.base()), file_names::index(segment.base())] {
                self.released.extend(release(self.storage(), &name)?);
            }
            if !announced {
                self.sync_directory()?;
            }
        }
        self.sync_directory()?;
        if !announced {
            self.remove_released()?;
            tolerate_full_disk(self.write_checkpoint(log_start, high_watermark))?;
        }
        Ok(count)
    }

    fn drop_oldest(&mut self, segments: &Segments, count: usize) {
        let staying = segments.get(count..).unwrap_or_default();
        self.shared.replace_segments(staying.to_vec());
        let log_start = staying.first().map_or(self.log_end(), |segment| segment.base());
        self.shared.set_log_start(log_start);
        self.epochs_dirty |= self.epochs.trim(log_start);
    }

    /// Unlinks the files of segments that [`CommitLog::clean`] let go of. Returns how many files went.
    ///
    /// # Errors
    /// When the storage fails; what is left is tried again by the next call.
    pub fn remove_released(&mut self) -> Result<usize, LogError> {
        let mut removed = 0;
        while let Some(name) = self.released.last() {
            small_file::remove(self.storage(), name)?;
            removed += 1;
            self.released.pop();
        }
        Ok(removed)
    }
}

/// `None` where the disk had no room; other failures stay failures.
fn tolerate_full_disk<T>(result: Result<T, AppendError>) -> Result<Option<T>, AppendError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(AppendError::Storage(error)) if error.is_disk_full() => Ok(None),
        Err(error) => Err(error),
    }
}

fn facts(segment: &Segment) -> SegmentFacts {
    let extent = segment.extent();
    SegmentFacts {
        end: extent.end,
        bytes: extent.log_bytes,
        record_count: extent.record_count,
        newest_time: extent.times.map(|(_, newest)| newest),
    }
}
