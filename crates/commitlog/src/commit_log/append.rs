//! Appending. Owns the way of a batch into the active segment, and when a new segment is begun.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

use super::{Active, CommitLog};
use crate::batch::{Batch, BatchBuilder, BatchHeader, Standing};
use crate::error::{AppendError, LogError};
use crate::segment::Segment;
use crate::segment_index::IndexEntry;
use crate::small_file;
use crate::sync_policy::SyncPolicy;

/// A position in a segment's index is 32 bits wide, so a segment ends before that.
const SEGMENT_BYTES_LIMIT: u64 = u32::MAX as u64;

/// Where an append went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offsets it got.
    pub offsets: Range<Offset>,
    /// The time of its first record; record `n` of the batch has `n` nanoseconds more.
    pub time: Timestamp,
}

impl CommitLog {
    /// Appends the builder's records as one batch and empties the builder. Written when this returns, not yet synced. Without
    /// records nothing happens.
    ///
    /// # Errors
    /// When the storage fails; then nothing was appended and the builder still holds its records.
    pub fn append(
        &mut self,
        builder: &mut BatchBuilder,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let base = self.log_end();
        let time = self.newest_time.map_or(now, |newest| now.max(newest.plus(Duration::from_nanos(1))));
        if builder.is_empty() {
            return Ok(Appended { offsets: base..base, time });
        }
        self.check_usable()?;
        let end = base.plus(u64::from(builder.record_count()));
        self.prepare_active(time, builder.bytes() as u64, end)?;
        let stable_end = (self.options.sync == SyncPolicy::Commit).then(|| self.durable_end());
        let standing = Standing { stable_end, high_watermark: Some(self.high_watermark) };
        let (header, bytes) = builder.seal(base, epoch, time, standing);
        let position = self.write(&mut [IoSlice::new(bytes)])?;
        let kept =
            if bytes.len() <= self.options.tail_bytes_max { Some(builder.take_sealed(&mut self.spare)) } else { None };
        self.publish(position, header, kept);
        builder.clear();
        Ok(Appended { offsets: base..end, time })
    }

    /// Appends batches that another log's appender made, unchanged, after verifying every one of them.
    ///
    /// # Errors
    /// When any of them does not verify or does not continue this log, or the storage fails; then nothing was appended.
    pub fn append_batches(&mut self, bytes: &Bytes) -> Result<Appended, AppendError> {
        let base = self.log_end();
        let (batches, end) = self.parse_continuation(bytes)?;
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Ok(Appended { offsets: base..base, time: self.newest_time.unwrap_or_default() });
        };
        let (time, newest) = (first.header().append_time, last.header().append_time);
        self.check_usable()?;
        self.prepare_active(newest, bytes.len() as u64, end)?;
        let mut position = self.write(&mut [IoSlice::new(bytes)])?;
        for batch in &batches {
            // A copy, since the batch shares the memory of all that came with it.
            let bytes = batch.bytes();
            let kept = (bytes.len() <= self.options.tail_bytes_max).then(|| Bytes::copy_from_slice(bytes));
            self.publish(position, *batch.header(), kept);
            position += batch.bytes().len() as u64;
        }
        Ok(Appended { offsets: base..end, time })
    }

    fn parse_continuation(&self, bytes: &Bytes) -> Result<(Vec<Batch>, Offset), AppendError> {
        let mut batches = Vec::new();
        let mut rest = bytes.clone();
        let mut end = self.log_end();
        let mut newest = self.epochs.newest().unwrap_or_default();
        while !rest.is_empty() {
            let batch = Batch::parse(&rest).map_err(AppendError::Malformed)?;
            let header = *batch.header();
            if header.base_offset != end {
                return Err(AppendError::NotContiguous { base: header.base_offset, end });
            }
            if header.leader_epoch < newest {
                return Err(AppendError::StaleEpoch { epoch: header.leader_epoch, newest });
            }
            newest = header.leader_epoch;
            end = header.end_offset();
            rest = rest.slice(batch.bytes().len()..);
            batches.push(batch);
        }
        Ok((batches, end))
    }

    /// Writes at the end of the active segment and returns where. Bytes of a failed write are taken back; where that fails
    /// too, or the medium reports anything but being full, the log is read-only until it is opened again.
    fn write(&mut self, buffers: &mut [IoSlice<'_>]) -> Result<u64, AppendError> {
        let active = self.active.as_ref().expect("`prepare_active` opened it");
        let position = active.segment.log_bytes();
        let Err(error) = active.file.append(position, buffers) else { return Ok(position) };
        let error = LogError::new("write", active.segment.log_name(), error);
        // Synced at once, since a segment may be sealed without another sync: a crash must not bring these bytes back then.
        let taken_back = active.file.truncate(position).and_then(|()| active.file.sync());
        let name = active.segment.log_name();
        match taken_back.map_err(|e| LogError::new("take back what was written to", name, e)) {
            Ok(()) if error.is_disk_full() => Err(error.into()),
            Ok(()) => Err(self.fail(error)),
            Err(doubt) => Err(self.fail(doubt)),
        }
    }

    /// Lets readers see a batch that was written at `position`; near the end from memory, if its bytes are to be `kept`.
    fn publish(&mut self, position: u64, header: BatchHeader, kept: Option<Bytes>) {
        let active = self.active.as_ref().expect("the batch was written to it");
        let segment = &active.segment;
        let entry = IndexEntry::new(segment.base(), header.base_offset, position, header.append_time);
        if let Some(entry) = entry {
            segment.maybe_index(entry, self.options.index_interval_bytes);
        }
        segment.update_extent(|extent| {
            extent.log_bytes = position + u64::from(header.bytes);
            extent.end = header.end_offset();
            extent.record_count += u64::from(header.record_count);
            let first = extent.times.map_or(header.append_time, |(first, _)| first);
            extent.times = Some((first, header.latest_time()));
        });
        self.epochs_dirty |= self.epochs.note(header.leader_epoch, header.base_offset);
        self.newest_time = Some(header.latest_time());
        self.bytes_since_checkpoint += u64::from(header.bytes);
        if let Some(bytes) = kept {
            let batch = Batch::from_sealed(header, bytes);
            let reusable = self.shared.tail.write().push(batch, self.options.tail_bytes_max);
            if let Some(memory) = reusable {
                self.spare = memory;
            }
        } else {
            self.shared.tail.write().clear();
        }
        self.shared.set_log_end(header.end_offset());
    }

    /// Makes sure that there is an open segment with room for `bytes` more up to offset `end`.
    fn prepare_active(&mut self, now: Timestamp, bytes: u64, end: Offset) -> Result<(), AppendError> {
        let segments = self.shared.segments();
        let Some(newest) = segments.last() else { return self.begin_segment() };
        let log_bytes = newest.log_bytes();
        let unaddressable = log_bytes + bytes > SEGMENT_BYTES_LIMIT || end.since(newest.base()) > u64::from(u32::MAX);
        let full = log_bytes >= self.options.segment_bytes_max || unaddressable;
        if log_bytes > 0 && (full || self.is_due_by_age(newest, now)) {
            return self.roll();
        }
        if !self.names_durable {
            self.sync_directory()?;
        }
        if self.active.is_none() {
            self.active = Some(self.open_active(newest.clone())?);
        }
        self.ensure_end_durable()
    }

    /// Makes it durable that the file to append to ends where it shows. An earlier life may have cut it and not come to that; did a
    /// crash bring back what was cut, below what came next, then neither could be told from rot.
    fn ensure_end_durable(&mut self) -> Result<(), AppendError> {
        let Some(active) = self.active.as_ref().filter(|_| !self.end_durable) else { return Ok(()) };
        match active.file.sync() {
            Ok(()) => self.end_durable = true,
            Err(error) => {
                let error = LogError::new("sync", active.segment.log_name(), error);
                return Err(self.fail(error));
            }
        }
        Ok(())
    }

    /// Whether a segment's first record is old enough for a new segment to be begun.
    pub(super) fn is_due_by_age(&self, segment: &Segment, now: Timestamp) -> bool {
        match (self.options.segment_age_max, segment.extent().times) {
            (Some(age), Some((first, _))) => now.since(first) >= age,
            _ => false,
        }
    }

    /// Seals the active segment and begins another one at the log end. What is sealed is durable, index and epochs included,
    /// before the new file's name is: so recovery may believe every segment but the newest.
    pub(super) fn roll(&mut self) -> Result<(), AppendError> {
        self.sync()?;
        self.store_epochs()?;
        if let Some(newest) = self.shared.segments().last() {
            newest.snapshot_index(self.storage())?;
            newest.release_index();
        }
        self.begin_segment()
    }

    pub(super) fn begin_segment(&mut self) -> Result<(), AppendError> {
        let segment = Arc::new(Segment::empty(self.log_end()));
        let file = segment.create_file(self.storage())?;
        if let Err(error) = self.sync_directory() {
            // Another attempt creates it anew.
            small_file::remove(self.storage(), segment.log_name()).map_err(|doubt| self.fail(doubt))?;
            return Err(error);
        }
        let mut segments = self.shared.segments().to_vec();
        segments.push(segment.clone());
        self.shared.replace_segments(segments);
        self.active = Some(Active { segment, file, durable_bytes: 0, sync_failed: Arc::default() });
        Ok(())
    }

    fn open_active(&self, segment: Arc<Segment>) -> Result<Active, AppendError> {
        let file = segment.open_file(self.storage())?;
        segment.hold_index(self.storage())?;
        let durable_bytes = segment.log_bytes();
        Ok(Active { segment, file, durable_bytes, sync_failed: Arc::default() })
    }
}
