//! Making what was appended durable, and saying so on disk. Owns sync, checkpoint and parking; never when they are due.

use std::io;
use std::sync::Arc;

use liftbridge_types::Offset;
use parking_lot::Mutex;

use super::CommitLog;
use crate::checkpoint::Checkpoint;
use crate::error::{AppendError, LogError, Shortage};
use crate::file_names;
use crate::small_file;
use crate::storage::StorageFile;
use crate::sync_policy::SyncPolicy;

/// A sync that is due: taken from the log, run without holding it, handed back. While it runs, more can be appended, and
/// shares the next one.
///
/// Syncs of one file run one at a time, and none succeeds after one failed: the medium reports a failure once, and may
/// have dropped the bytes by then.
#[derive(Debug)]
#[must_use = "nothing is durable before it ran and was handed back to `CommitLog::finish_sync`"]
pub struct PendingSync {
    file: Arc<dyn StorageFile>,
    failed: Arc<Mutex<bool>>,
    log_bytes: u64,
    end: Offset,
    truncation_count: u64,
}

impl PendingSync {
    /// Forces the bytes to the medium. Blocks.
    ///
    /// # Errors
    /// What the medium says, now or at an earlier sync of the same file.
    pub fn run(&self) -> io::Result<()> {
        let mut failed = self.failed.lock();
        if *failed {
            return Err(io::Error::other("an earlier sync of this file failed"));
        }
        let outcome = self.file.sync();
        *failed = outcome.is_err();
        outcome
    }
}

impl CommitLog {
    /// Forces what was appended to the medium and returns the new durable end.
    ///
    /// # Errors
    /// When the medium refuses. Then the log is read-only until it is opened again, and what had not been durable is cut
    /// away if it can be: the kernel may have dropped it while reporting it as clean, so nobody may ever count on it.
    pub fn sync(&mut self) -> Result<Offset, AppendError> {
        let Some(pending) = self.prepare_sync()? else { return Ok(self.durable_end()) };
        let outcome = pending.run();
        self.finish_sync(&pending, outcome)
    }

    /// The sync that is due; `None` when everything is durable.
    ///
    /// # Errors
    /// When an earlier failure made the log read-only.
    pub fn prepare_sync(&self) -> Result<Option<PendingSync>, AppendError> {
        self.check_usable()?;
        let end = self.log_end();
        let due = self.active.as_ref().filter(|_| self.durable_end() < end);
        Ok(due.map(|active| PendingSync {
            file: Arc::clone(&active.file),
            failed: Arc::clone(&active.sync_failed),
            log_bytes: active.segment.log_bytes(),
            end,
            truncation_count: self.truncation_count,
        }))
    }

    /// Takes note of what became of a sync.
    ///
    /// # Errors
    /// As [`CommitLog::sync`].
    pub fn finish_sync(&mut self, pending: &PendingSync, outcome: io::Result<()>) -> Result<Offset, AppendError> {
        // A roll in the meantime synced the file itself, and another one is active now.
        let active = self.active.as_mut().filter(|active| Arc::ptr_eq(&active.file, &pending.file));
        match outcome {
            // What it made durable may be cut off by now, and other records in its place.
            Ok(()) if pending.truncation_count != self.truncation_count => Ok(self.durable_end()),
            Ok(()) => {
                if let Some(active) = active {
                    active.durable_bytes = active.durable_bytes.max(pending.log_bytes);
                }
                let durable_end = self.durable_end().max(pending.end);
                self.shared.set_durable_end(durable_end);
                Ok(durable_end)
            }
            Err(error) => {
                let name = active.as_ref().map_or(".", |active| active.segment.log_name());
                let error = LogError::new("sync", name, error);
                if let Some(active) = active.filter(|_| self.options.sync == SyncPolicy::Commit) {
                    // Best effort: a medium that fails to sync may fail to truncate, and the next open judges anew.
                    drop(active.file.truncate(active.durable_bytes));
                }
                Err(self.fail(error))
            }
        }
    }

    /// Syncs, then records how far the log is known to be good and its `high_watermark`, so that the next open scans less and
    /// tells rot from torn writes. Writes nothing when nothing changed.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn checkpoint(&mut self, high_watermark: Offset) -> Result<(), AppendError> {
        self.sync()?;
        self.note_high_watermark(high_watermark);
        if self.checkpointed == Some((self.log_end(), high_watermark)) {
            return Ok(());
        }
        self.write_checkpoint(self.log_start(), high_watermark)
    }

    /// Does what [`CommitLog::checkpoint`] does once enough was appended since the last one.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn maybe_checkpoint(&mut self, high_watermark: Offset) -> Result<(), AppendError> {
        if self.bytes_since_checkpoint < self.options.checkpoint_interval_bytes {
            return Ok(());
        }
        self.checkpoint(high_watermark)
    }

    /// Syncs and writes a checkpoint, of a log that is to begin at `log_start`.
    pub(super) fn write_checkpoint(&mut self, log_start: Offset, high_watermark: Offset) -> Result<(), AppendError> {
        self.sync()?;
        let Some(newest) = self.shared.segments().last().cloned() else { return Ok(()) };
        self.store_epochs()?;
        newest.snapshot_index(self.storage())?;
        let checkpoint = Checkpoint {
            segment: newest.base(),
            file_position: newest.log_bytes(),
            recovery_offset: self.log_end(),
            log_start,
            high_watermark,
            newest_time: self.newest_time,
        };
        checkpoint.write(self.storage())?;
        self.restore_claims();
        self.checkpointed = Some((self.log_end(), high_watermark));
        self.bytes_since_checkpoint = 0;
        Ok(())
    }

    /// Syncs, checkpoints, and closes every file and cache, so that the next open scans nothing. The log stays usable: the
    /// next append or read opens what it needs.
    ///
    /// # Errors
    /// When the storage fails; then the log is as usable as it was before. For want of descriptors it gives back its own even so.
    pub fn park(&mut self, high_watermark: Offset) -> Result<(), AppendError> {
        let written_since_open = self.active.is_some();
        match self.checkpoint(high_watermark) {
            // Everything is synced by then. If all wait for a descriptor to give theirs back with, nobody ever gets one.
            Err(AppendError::Storage(error)) if error.shortage() == Some(Shortage::Files) => {
                self.active = None;
                self.checkpoint(high_watermark)?;
            }
            written => written?,
        }
        if written_since_open {
            self.sync_directory()?;
        }
        // Last, so that after any failure above the index goes on growing where it is.
        if let Some(newest) = self.shared.segments().last() {
            newest.release_index();
        }
        self.active = None;
        self.clear_tail();
        Ok(())
    }

    /// Writes the table of leader epochs if it changed. Always before an index is stored: a segment whose index is believed
    /// is not scanned for its epochs.
    pub(super) fn store_epochs(&mut self) -> Result<(), AppendError> {
        if self.epochs_dirty {
            small_file::replace(self.storage(), file_names::LEADER_EPOCHS, &self.epochs.encode())?;
            // A crash must not keep the index and lose the epochs it vouches for.
            self.sync_directory()?;
            self.epochs_dirty = false;
        }
        Ok(())
    }
}
