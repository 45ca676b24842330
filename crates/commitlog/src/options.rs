//! How a log behaves. Owns sizes, limits and their defaults; never where they were configured.

use std::time::Duration;

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
    /// [`CommitLog::maybe_checkpoint`](crate::CommitLog::maybe_checkpoint) writes a checkpoint once so many bytes were appended
    /// since the last one: about as many are scanned when the log is opened after a crash.
    pub checkpoint_interval_bytes: u64,
    /// Newest batches kept in memory for readers near the end, in bytes; 0 = none.
    pub tail_bytes_max: usize,
    /// Whether a log of which the newest records are damaged is not opened. Else it goes on behind them, and leaves a file that says
    /// so: whoever would rather put a backup in its place must not find that there.
    pub refuse_damaged_end: bool,
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
            checkpoint_interval_bytes: 32 * 1024 * 1024,
            tail_bytes_max: 1024 * 1024,
            refuse_damaged_end: false,
            sync: SyncPolicy::Commit,
            retention: RetentionLimits::default(),
        }
    }
}
