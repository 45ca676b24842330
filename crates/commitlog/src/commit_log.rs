//! The log itself: one appender.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

use crate::batch::BatchBuilder;
use crate::error::{AppendError, LogError, OpenError};
use crate::reader::LogView;
use crate::storage::Storage;
use crate::sync_policy::SyncPolicy;

/// How much a log keeps. Whole sealed segments go, oldest first; the active one never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionLimits {
    /// Most bytes of batches; `None` = no limit.
    pub bytes: Option<u64>,
    /// Most records; `None` = no limit.
    pub messages: Option<u64>,
    /// Greatest age of a segment's newest record; `None` = no limit.
    pub age: Option<Duration>,
}

/// How a log behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Size at which a segment is rolled, in bytes. A batch is never split, so a segment may be larger by one batch.
    pub segment_bytes_max: u64,
    /// Age of a segment's first record at which it is rolled; `None` = never.
    pub segment_age_max: Option<Duration>,
    /// A sparse index entry is made about every so many bytes.
    pub index_interval_bytes: u32,
    /// Newest batches kept in memory for readers near the end, in bytes; 0 = none.
    pub tail_bytes_max: usize,
    /// When appends are forced to the medium.
    pub sync: SyncPolicy,
    /// How much is kept.
    pub retention: RetentionLimits,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes_max: 256 * 1024 * 1024,
            segment_age_max: None,
            index_interval_bytes: 4096,
            tail_bytes_max: 1024 * 1024,
            sync: SyncPolicy::Commit,
            retention: RetentionLimits::default(),
        }
    }
}

/// Where an append went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offsets it got.
    pub offsets: Range<Offset>,
    /// The time of its first record; record `n` of the batch has `n` nanoseconds more.
    pub time: Timestamp,
}

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

/// The appending side of a log. There is one per directory; readers come from [`CommitLog::view`].
#[derive(Debug)]
pub struct CommitLog {}

impl CommitLog {
    /// Opens the log in `storage`, creating it if there is none, recovering it if its last user did not close it.
    pub fn open(storage: Arc<dyn Storage>, options: LogOptions) -> Result<(Self, RecoveryReport), OpenError> {
        let _ = (storage, options);
        todo!()
    }

    /// Appends the builder's records as one batch and empties the builder. Written, not yet synced.
    pub fn append(
        &mut self,
        builder: &mut BatchBuilder,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let _ = (builder, epoch, now);
        todo!()
    }

    /// Appends batches that another log's appender made, unchanged, after verifying every one of them.
    pub fn append_batches(&mut self, bytes: &Bytes) -> Result<Appended, AppendError> {
        let _ = bytes;
        todo!()
    }

    /// Forces what was appended to the medium; afterwards [`CommitLog::durable_end`] equals the log end.
    pub fn sync(&mut self) -> Result<Offset, AppendError> {
        todo!()
    }

    /// The reading side; cheap to clone and to send to other threads.
    pub fn view(&self) -> LogView {
        todo!()
    }

    /// The first offset kept.
    pub fn log_start(&self) -> Offset {
        todo!()
    }

    /// The offset the next record gets.
    pub fn log_end(&self) -> Offset {
        todo!()
    }

    /// The end of what is on stable storage.
    pub fn durable_end(&self) -> Offset {
        todo!()
    }

    /// Every leader epoch with records in the log and the offset it starts at, ascending.
    pub fn leader_epochs(&self) -> Vec<(LeaderEpoch, Offset)> {
        todo!()
    }

    /// Removes every record at or after `end`, durably.
    pub fn truncate(&mut self, end: Offset) -> Result<(), AppendError> {
        let _ = end;
        todo!()
    }

    /// Changes limits and sizes from now on.
    pub fn set_options(&mut self, options: LogOptions) {
        let _ = options;
    }

    /// Rolls the active segment if it is due by age, then lets go of whole sealed segments beyond the retention limits, none
    /// of them with a record at or above `high_watermark`. Returns how many segments were let go; their files are unlinked
    /// by [`CommitLog::remove_released`].
    pub fn clean(&mut self, now: Timestamp, high_watermark: Offset) -> Result<usize, AppendError> {
        let _ = (now, high_watermark);
        todo!()
    }

    /// Unlinks the files of segments that [`CommitLog::clean`] or [`CommitLog::truncate`] let go of.
    pub fn remove_released(&mut self) -> Result<usize, LogError> {
        todo!()
    }

    /// Records how far the log is known to be good and its `high_watermark`, so that the next open scans less.
    pub fn checkpoint(&mut self, high_watermark: Offset) -> Result<(), AppendError> {
        let _ = high_watermark;
        todo!()
    }

    /// Bytes of batches in the log.
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }

    /// Time of the newest record; `None` when there never was one.
    pub fn newest_time(&self) -> Option<Timestamp> {
        todo!()
    }

    /// The high watermark of the newest checkpoint, never above the log end.
    pub fn checkpointed_high_watermark(&self) -> Offset {
        todo!()
    }

    /// Syncs, checkpoints as clean, and closes every file and cache. The log stays usable: the next append or read opens
    /// what it needs.
    pub fn park(&mut self, high_watermark: Offset) -> Result<(), AppendError> {
        let _ = high_watermark;
        todo!()
    }

    /// Tells every reader that the log is gone. The caller removes the directory.
    pub fn mark_deleted(&mut self) {}
}
