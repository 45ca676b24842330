//! The log itself: one appender, any number of readers.
//!
//! Owns the order in which things become true: bytes are written, then readers may see them, then they are durable, then
//! a checkpoint says so. Never knows who may read up to where (that is the high watermark, which the caller keeps), nor
//! what time it is.

mod append;
pub(crate) mod claims;
mod clean;
mod durability;
mod repair;
mod reset;
mod splice;
#[cfg(test)]
mod tests;
mod truncate;

use std::sync::Arc;

use liftbridge_types::{LeaderEpoch, Offset, Timestamp};
use parking_lot::Mutex;

pub use append::Appended;
pub use durability::PendingSync;
pub use repair::Repair;

use crate::error::{AppendError, LogError, OpenError, Shortage};
use crate::file_names;
use crate::leader_epochs::LeaderEpochs;
use crate::options::LogOptions;
use crate::reader::LogView;
use crate::recovery::{RecoveryReport, recover};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::small_file;
use crate::storage::{Storage, StorageFile};

/// The appending side of a log. There is one per directory; readers come from [`CommitLog::view`].
///
/// Invariants:
/// - offsets are given densely from the log end and never twice, whatever was cut, damaged or deleted;
/// - times of records strictly increase;
/// - `log start <= durable end <= log end`;
/// - after a failed write or sync that leaves the medium in doubt, nothing is appended until the log is opened again.
#[derive(Debug)]
pub struct CommitLog {
    shared: Arc<Shared>,
    options: LogOptions,
    epochs: LeaderEpochs,
    epochs_dirty: bool,
    /// The file that is appended to; `None` before the first append and while parked.
    active: Option<Active>,
    newest_time: Option<Timestamp>,
    /// The end of what is known to be committed, at most the log end.
    high_watermark: Offset,
    /// What the checkpoint on disk says: its recovery offset and high watermark.
    checkpointed: Option<(Offset, Offset)>,
    bytes_since_checkpoint: u64,
    /// From where on batches may claim what is not true here, as a file beside the log says.
    void_from: Option<Offset>,
    /// Grows with every truncation, so that a sync that was under way meanwhile is not believed.
    truncation_count: u64,
    /// Memory of a batch that left the tail, for the next builder that hands its memory over.
    spare: Vec<u8>,
    /// Files let go of and not yet unlinked.
    released: Vec<String>,
    /// Whether a crash leaves the files that there are now: what an earlier life created, renamed or removed may not have
    /// been synced, though it shows.
    names_durable: bool,
    /// Whether a crash leaves the end of the newest file where it is now.
    end_durable: bool,
    failed: Option<String>,
}

/// The open file of the segment that is appended to.
#[derive(Clone, Debug)]
struct Active {
    segment: Arc<Segment>,
    file: Arc<dyn StorageFile>,
    /// Bytes of it that are durable.
    durable_bytes: u64,
    /// Whether a sync of it failed; held while one runs.
    sync_failed: Arc<Mutex<bool>>,
}

impl CommitLog {
    /// Opens the log in `storage`, recovering it if its last user did not park it. A directory without a log is an empty
    /// log; nothing is created before the first append. See [`crate::recovery`] for what is done about what is found.
    ///
    /// # Errors
    /// When the storage fails, or the log was written by a newer version. Damaged contents are no error.
    pub fn open(storage: Arc<dyn Storage>, options: LogOptions) -> Result<(Self, RecoveryReport), OpenError> {
        let recovered = recover(&*storage, &options)?;
        let shared = Shared::new(storage, recovered.segments, recovered.log_start, recovered.log_end);
        let log = Self {
            shared: Arc::new(shared),
            options,
            epochs: recovered.epochs,
            epochs_dirty: !recovered.report.clean,
            active: None,
            newest_time: recovered.newest_time,
            high_watermark: recovered.high_watermark,
            checkpointed: None,
            bytes_since_checkpoint: 0,
            void_from: None,
            truncation_count: 0,
            spare: Vec::new(),
            released: Vec::new(),
            names_durable: false,
            // An opening that scans syncs what it keeps.
            end_durable: !recovered.report.clean,
            failed: None,
        };
        Ok((log, recovered.report))
    }

    /// Whether there is anything of a log in `storage`: a segment, or a checkpoint that says that there was one. Changes
    /// nothing.
    ///
    /// # Errors
    /// When the medium cannot be read.
    pub fn is_in(storage: &dyn Storage) -> Result<bool, LogError> {
        let files = storage.list().map_err(|error| LogError::new("list", ".", error))?;
        let is_of_log = |name: &str| name == file_names::CHECKPOINT || file_names::parse_log(name).is_some();
        Ok(files.iter().any(|file| is_of_log(&file.name)))
    }

    /// The reading side; cheap to clone and to send to other threads.
    pub fn view(&self) -> LogView {
        LogView::new(self.shared.clone())
    }

    /// The first offset kept.
    pub fn log_start(&self) -> Offset {
        self.shared.log_start()
    }

    /// The offset the next record gets.
    pub fn log_end(&self) -> Offset {
        self.shared.log_end()
    }

    /// The end of what is on stable storage.
    pub fn durable_end(&self) -> Offset {
        self.shared.durable_end()
    }

    /// Every leader epoch with records in the log and the offset it starts at, ascending.
    pub fn leader_epochs(&self) -> Vec<(LeaderEpoch, Offset)> {
        self.epochs.entries().to_vec()
    }

    /// Bytes of batches in the log.
    pub fn size_bytes(&self) -> u64 {
        self.shared.segments().iter().map(|segment| segment.log_bytes()).sum()
    }

    /// Time of the newest record; `None` when there never was one.
    pub fn newest_time(&self) -> Option<Timestamp> {
        self.newest_time
    }

    /// The high watermark as far as this log was told, in this life or an earlier one; never above the log end. What a crash
    /// takes of it is at most what was not told before the newest batch was appended.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Everything before `end` is committed: batches appended from now on say so, and so does the log when it is opened again.
    pub fn note_high_watermark(&mut self, end: Offset) {
        self.high_watermark = self.high_watermark.max(end.min(self.log_end()));
    }

    /// Whether it holds files open or batches in memory, so that parking it would free something.
    pub fn is_parked(&self) -> bool {
        self.active.is_none()
    }

    /// Bytes of batches kept in memory for readers near the end.
    pub fn tail_bytes(&self) -> usize {
        self.shared.tail.read().bytes()
    }

    /// Lets go of the batches kept in memory; readers go on from the files.
    pub fn clear_tail(&mut self) {
        self.spare = Vec::new();
        self.shared.tail.write().clear();
    }

    /// Changes limits and sizes from now on.
    pub fn set_options(&mut self, options: LogOptions) {
        self.options = options;
    }

    /// Tells every reader that the log is gone. The caller removes the directory.
    pub fn mark_deleted(&mut self) {
        self.active = None;
        self.failed = Some("the log was deleted".to_owned());
        self.shared.mark_deleted();
    }

    fn storage(&self) -> &dyn Storage {
        &*self.shared.storage
    }

    fn check_usable(&self) -> Result<(), AppendError> {
        match &self.failed {
            Some(reason) => Err(AppendError::Failed { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses every append from now on and passes the cause on; not as a shortage, which would promise that the log can be
    /// used again when it has passed.
    fn fail(&mut self, error: LogError) -> AppendError {
        let reason = error.to_string();
        self.failed = Some(reason.clone());
        if error.shortage().is_some() { AppendError::Failed { reason } } else { AppendError::Storage(error) }
    }

    fn sync_directory(&mut self) -> Result<(), AppendError> {
        self.names_durable = false;
        match small_file::sync_directory(self.storage()) {
            Ok(()) => {
                self.names_durable = true;
                Ok(())
            }
            // The directory could not be opened: nothing was tried that could not be tried again.
            Err(error) if error.shortage() == Some(Shortage::Files) => Err(error.into()),
            Err(error) => Err(self.fail(error)),
        }
    }
}
