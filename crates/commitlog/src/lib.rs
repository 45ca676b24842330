//! One durable, ordered, append-only log in a directory.

mod batch;
mod commit_log;
mod error;
mod reader;
mod record;
mod reverse_reader;
mod storage;
mod sync_policy;

pub use batch::{Batch, BatchBuilder, BatchError, BatchHeader, HEADER_BYTES};
pub use commit_log::{Appended, CommitLog, LogOptions, RecoveryReport, RetentionLimits};
pub use error::{AppendError, LogError, OpenError, ReadError, TimeLookupError};
pub use reader::{ForwardReader, LogView};
pub use record::{Record, RecordTooLarge};
pub use reverse_reader::ReverseReader;
pub use storage::{DiskVolume, FaultyVolume, FileEntry, MemoryVolume, Storage, StorageFile, Volume};
pub use sync_policy::SyncPolicy;
