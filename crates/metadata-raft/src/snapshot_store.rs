//! Snapshot files, framed. Owns their names and how many are kept; never what is in one.
//!
//! `00000000000000008192.snapshot` holds the state after the entry at that index: a `MetadataSnapshot` of `liftbridge.v1`.

use std::io;
use std::sync::Arc;

use liftbridge_commitlog::{LogError, Storage};

use crate::framed_file::{FramedReadError, failed, read_framed, write_framed};
use crate::log_index::LogIndex;

const MAGIC: [u8; 4] = *b"LBMS";
const SUFFIX: &str = ".snapshot";
const UNFINISHED_SUFFIX: &str = ".snapshot.unfinished";

/// The directory of snapshot files.
#[derive(Debug)]
pub(crate) struct SnapshotStore {
    storage: Arc<dyn Storage>,
    retain: usize,
    /// Ascending.
    kept: Vec<LogIndex>,
}

impl SnapshotStore {
    /// Opens the directory; files that were never finished are removed. `retain` counts at least 1.
    pub(crate) fn open(storage: Arc<dyn Storage>, retain: usize) -> Result<Self, LogError> {
        let mut kept = Vec::new();
        for entry in storage.list().map_err(failed("list", "raft/snapshots"))? {
            if entry.name.ends_with(UNFINISHED_SUFFIX) {
                storage.remove(&entry.name).map_err(failed("remove", &entry.name))?;
            } else if let Some(index) = index_of(&entry.name) {
                kept.push(index);
            }
        }
        kept.sort_unstable();
        Ok(Self { storage, retain: retain.max(1), kept })
    }

    /// The indexes of the snapshots there are, ascending.
    pub(crate) fn kept(&self) -> &[LogIndex] {
        &self.kept
    }

    /// The body of the snapshot at `index`.
    pub(crate) fn read(&self, index: LogIndex) -> Result<Vec<u8>, FramedReadError> {
        read_framed(&*self.storage, MAGIC, &file_name(index))
    }

    /// Writes a snapshot, durably.
    pub(crate) fn write(&mut self, index: LogIndex, body: &[u8]) -> Result<(), LogError> {
        let (name, unfinished) = (file_name(index), format!("{:020}{UNFINISHED_SUFFIX}", index.get()));
        let written = write_framed(&*self.storage, MAGIC, &unfinished, &name, body);
        if written.is_err() {
            // The next start removes it when this does not; there is nothing else to be done about it here.
            let _ = self.storage.remove(&unfinished);
        }
        written?;
        if let Err(position) = self.kept.binary_search(&index) {
            self.kept.insert(position, index);
        }
        Ok(())
    }

    /// Removes the oldest snapshots beyond the number to keep, and returns the oldest that is left.
    pub(crate) fn prune(&mut self) -> Result<Option<LogIndex>, LogError> {
        let surplus = self.kept.len().saturating_sub(self.retain);
        for index in self.kept.drain(..surplus).collect::<Vec<_>>() {
            let name = file_name(index);
            match self.storage.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &name)(error)),
                _ => {}
            }
        }
        Ok(self.kept.first().copied())
    }
}

fn file_name(index: LogIndex) -> String {
    format!("{:020}{SUFFIX}", index.get())
}

fn index_of(name: &str) -> Option<LogIndex> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok()?;
    (digits.len() == 20).then_some(LogIndex::new(number))
}

#[cfg(test)]
mod tests;
