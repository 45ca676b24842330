//! Why a log says no, one enum per operation.

use std::io;
use std::ops::Range;

use liftbridge_types::{LeaderEpoch, Offset};
use rustix::io::Errno;
use thiserror::Error;

use crate::batch::BatchError;

/// A storage operation failed.
#[derive(Debug, Error)]
#[error("cannot {operation} `{file}`: {source}")]
pub struct LogError {
    /// What was tried.
    pub operation: &'static str,
    /// On which file of the log's directory.
    pub file: String,
    /// What the storage said.
    #[source]
    pub source: io::Error,
}

impl LogError {
    pub(crate) fn new(operation: &'static str, file: &str, source: io::Error) -> Self {
        Self { operation, file: file.to_owned(), source }
    }

    /// Whether the medium had no space left (or a quota was used up): freeing space mends it.
    pub fn is_disk_full(&self) -> bool {
        self.shortage() == Some(Shortage::Space)
    }

    /// What there was too little of, if that is all: then nothing is broken, and the same succeeds when there is more.
    pub fn shortage(&self) -> Option<Shortage> {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Shortage::Space),
            // For want of memory other operations may fail halfway.
            io::ErrorKind::OutOfMemory if matches!(self.operation, "open" | "create") => Some(Shortage::Files),
            // Only opening says so, and nothing was done then.
            _ => {
                let code = self.source.raw_os_error().map(Errno::from_raw_os_error);
                matches!(code, Some(Errno::MFILE | Errno::NFILE)).then_some(Shortage::Files)
            }
        }
    }
}

/// What a storage operation can fail for want of, without anything being broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Space on the medium, or of a quota.
    Space,
    /// Descriptors, in this process or in the system, or memory for one more: no other file can be opened until some are closed.
    Files,
}

/// A log could not be opened. Damaged contents are no reason: they are recovered from or served around.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] LogError),
    /// The files were written by a newer version of this software.
    #[error("`{file}` has format version {version}, this version reads up to {supported}: upgrade before starting")]
    NewerFormat {
        /// Which file.
        file: String,
        /// Its version.
        version: u8,
        /// The newest version known here.
        supported: u8,
    },
    /// What was durable at the end of the log cannot be read, and [`LogOptions::refuse_damaged_end`](crate::LogOptions) is set. The
    /// files are as they were.
    #[error("the newest records are damaged or missing (offsets {start} to {end})")]
    EndDamaged {
        /// The first damaged offset.
        start: Offset,
        /// The offset after the last damaged one.
        end: Offset,
    },
}

/// Nothing was appended.
#[derive(Debug, Error)]
pub enum AppendError {
    /// The storage failed. When for a [`LogError::shortage`], the log stays usable; else it is read-only until reopened.
    #[error(transparent)]
    Storage(#[from] LogError),
    /// An earlier write or sync failed, so what is on the medium is unknown: reopen the log.
    #[error("log is read-only since a storage failure: {reason}")]
    Failed {
        /// The earlier failure.
        reason: String,
    },
    /// A batch from another log does not continue this one.
    #[error("batch starts at offset {base}, the log ends at {end}")]
    NotContiguous {
        /// Where the batch starts.
        base: Offset,
        /// Where the log ends.
        end: Offset,
    },
    /// A batch from another log is of an earlier leadership than the log's newest batch.
    #[error("batch has leader epoch {epoch}, the log has seen {newest}")]
    StaleEpoch {
        /// The batch's epoch.
        epoch: LeaderEpoch,
        /// The newest epoch in the log.
        newest: LeaderEpoch,
    },
    /// Bytes handed in as batches are not.
    #[error(transparent)]
    Malformed(BatchError),
}

/// A range of the log could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] LogError),
    /// The stored bytes are not what was written. Reading can go on at the end of the range.
    #[error("offsets {}..{} are damaged in `{file}` at byte {file_position}", offsets.start, offsets.end)]
    Damaged {
        /// The offsets that cannot be read.
        offsets: Range<Offset>,
        /// Where: the file.
        file: String,
        /// Where: the byte the damage starts at.
        file_position: u64,
    },
    /// The log was deleted.
    #[error("log was deleted")]
    Deleted,
}

/// A time could not be turned into an offset.
#[derive(Debug, Error)]
pub enum TimeLookupError {
    /// The log could not be read there.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Every record is later than the time asked for.
    #[error("timestamp is before the beginning of the log")]
    BeforeBeginning,
    /// There is no record at all.
    #[error("log is empty")]
    Empty,
}
