//! One durable, ordered, append-only log in a directory, for programs that must not lose what they were told is stored.
//!
//! ```
//! use liftbridge_commitlog::{BatchBuilder, CommitLog, DiskVolume, LogOptions, Volume};
//! use liftbridge_types::{LeaderEpoch, Offset, Timestamp};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let volume = DiskVolume::new(directory.path());
//! let (mut log, _recovered) = CommitLog::open(volume.directory("orders"), LogOptions::default())?;
//! let mut batch = BatchBuilder::new();
//! batch.push(Some(b"customer-7"), b"two apples", &[])?;
//! let appended = log.append(&mut batch, LeaderEpoch::new(1), Timestamp::from_nanos(1_700_000_000_000_000_000))?;
//! log.sync()?; // From here on it survives a power cut.
//! let batches = log.view().reader(Offset::ZERO).read(appended.offsets.end, 64 * 1024)?;
//! for record in batches.iter().flat_map(|batch| batch.records()) {
//!     assert_eq!(record?.value, "two apples");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Owns batches, segments, indexes, leader epochs, recovery and retention of one log. It never knows replicas, leaders,
//! stream names, networks or what time it is; it starts no thread and needs no async runtime. Many threads that each wait
//! for durability share syncs through [`GroupCommitLog`]. The formats on disk are drawn in `docs/log-format.md`, what
//! opening does about every kind of damage is the table in [`recovery`].

mod batch;
mod batch_scanner;
mod checkpoint;
mod checksum;
mod codec;
mod commit_log;
mod damage;
mod directory_lock;
mod error;
mod file_names;
mod group_commit;
mod leader_epochs;
mod options;
mod parked_log;
mod reader;
mod record;
pub mod recovery;
mod rehearsal;
mod release;
mod retention;
mod reverse_reader;
pub mod scan;
mod segment;
mod segment_index;
mod segment_walk;
mod shared;
mod small_file;
mod storage;
mod sync_policy;
mod tail;
mod tear;
#[cfg(test)]
mod testing;
mod time_lookup;

pub use batch::{
    BATCH_BYTES_MAX, Batch, BatchBuilder, BatchError, BatchHeader, FORMAT_VERSION, HEADER_BYTES, LEADER_PART_BYTES,
    LeaderPart, ProducerStamp, Records,
};
pub use commit_log::{Appended, CommitLog, PendingSync, Repair};
pub use damage::Damage;
pub use directory_lock::{DirectoryLock, DirectoryLockError};
pub use error::{AppendError, LogError, OpenError, ReadError, Shortage, TimeLookupError};
pub use group_commit::GroupCommitLog;
pub use options::{LogOptions, RetentionLimits};
pub use parked_log::LogEnds;
pub use reader::{ForwardReader, LogView};
pub use record::{RECORD_HEADERS_MAX, Record, RecordFault, RecordTooLarge};
pub use recovery::RecoveryReport;
pub use rehearsal::Rehearsal;
pub use reverse_reader::ReverseReader;
pub use storage::{DiskVolume, FaultyVolume, FileEntry, MemoryVolume, Storage, StorageFile, Volume};
pub use sync_policy::SyncPolicy;
