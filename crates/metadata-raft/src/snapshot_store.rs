//! Snapshot files: written whole, checked whole. Owns their names, their frame and how many are kept; never what is in one.
//!
//! ```text
//! 00000000000000008192.snapshot          the last index it contains
//! +---------+---------+----------+------------+--------------+
//! | "LBMS"  | version | reserved | length     | CRC-32C      |  body: `MetadataSnapshot` of `liftbridge.v1`
//! | 4 bytes | u8 = 1  | 3 zeros  | u64 LE     | u32 LE       |  `length` bytes
//! +---------+---------+----------+------------+--------------+
//! ```
//!
//! The checksum covers the length and the body. A file is written under another name, synced, renamed and its directory
//! synced, so under its own name it is complete or damaged, never half written.

use std::io::{self, IoSlice};
use std::sync::Arc;

use liftbridge_commitlog::{LogError, Storage};
use thiserror::Error;

use crate::log_index::LogIndex;

const MAGIC: [u8; 4] = *b"LBMS";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 20;
const SUFFIX: &str = ".snapshot";
const UNFINISHED_SUFFIX: &str = ".snapshot.unfinished";

/// A snapshot file could not be read.
#[derive(Debug, Error)]
pub enum SnapshotReadError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] LogError),
    /// The file is not what was written.
    #[error("`{file}` is damaged")]
    Damaged {
        /// Which file.
        file: String,
    },
    /// The file was written by a newer version of this software.
    #[error("`{file}` has format version {version}, this server reads up to {VERSION}: upgrade it before starting")]
    NewerFormat {
        /// Which file.
        file: String,
        /// Its version.
        version: u8,
    },
}

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
    pub(crate) fn read(&self, index: LogIndex) -> Result<Vec<u8>, SnapshotReadError> {
        let name = file_name(index);
        let file = self.storage.open(&name).map_err(failed("open", &name))?;
        let bytes = file.bytes().map_err(failed("read", &name))?;
        let Ok(length) = usize::try_from(bytes) else { return Err(SnapshotReadError::Damaged { file: name }) };
        let mut contents = vec![0; length];
        let read = file.read_at(&mut contents, 0).map_err(failed("read", &name))?;
        contents.truncate(read);
        unframe(contents, name)
    }

    /// Writes a snapshot, durably.
    pub(crate) fn write(&mut self, index: LogIndex, body: &[u8]) -> Result<(), LogError> {
        let (name, unfinished) = (file_name(index), format!("{:020}{UNFINISHED_SUFFIX}", index.get()));
        let written = self.write_as(&unfinished, &name, body);
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

    fn write_as(&self, unfinished: &str, name: &str, body: &[u8]) -> Result<(), LogError> {
        // What an earlier try left behind is in the way of creating the file anew.
        match self.storage.remove(unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", unfinished)(error)),
            _ => {}
        }
        let file = self.storage.create(unfinished).map_err(failed("create", unfinished))?;
        let header = frame_header(body);
        file.append(0, &mut [IoSlice::new(&header), IoSlice::new(body)]).map_err(failed("write", unfinished))?;
        file.sync().map_err(failed("sync", unfinished))?;
        self.storage.rename(unfinished, name).map_err(failed("rename", unfinished))?;
        self.storage.sync_directory().map_err(failed("sync the directory of", name))
    }
}

/// Puts a storage's complaint into the words of a [`LogError`].
pub(crate) fn failed(operation: &'static str, file: &str) -> impl FnOnce(io::Error) -> LogError {
    let file = file.to_owned();
    move |source| LogError { operation, file, source }
}

fn file_name(index: LogIndex) -> String {
    format!("{:020}{SUFFIX}", index.get())
}

fn index_of(name: &str) -> Option<LogIndex> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok()?;
    (digits.len() == 20).then_some(LogIndex::new(number))
}

fn frame_header(body: &[u8]) -> [u8; HEADER_BYTES] {
    let length = (body.len() as u64).to_le_bytes();
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = VERSION;
    header[8..16].copy_from_slice(&length);
    header[16..].copy_from_slice(&checksum(&length, body).to_le_bytes());
    header
}

fn unframe(mut contents: Vec<u8>, file: String) -> Result<Vec<u8>, SnapshotReadError> {
    let Some((header, body)) = contents.split_first_chunk::<HEADER_BYTES>() else {
        return Err(SnapshotReadError::Damaged { file });
    };
    let [m0, m1, m2, m3, version, _, _, _, l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3] = *header;
    let length = [l0, l1, l2, l3, l4, l5, l6, l7];
    if [m0, m1, m2, m3] == MAGIC && version > VERSION {
        return Err(SnapshotReadError::NewerFormat { file, version });
    }
    let whole = [m0, m1, m2, m3] == MAGIC
        && version == VERSION
        && u64::from_le_bytes(length) == body.len() as u64
        && u32::from_le_bytes([c0, c1, c2, c3]) == checksum(&length, body);
    if !whole {
        return Err(SnapshotReadError::Damaged { file });
    }
    contents.drain(..HEADER_BYTES);
    Ok(contents)
}

fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(length);
    digest.update(body);
    u32::try_from(digest.finalize()).expect("a 32-bit checksum fits 32 bits")
}

#[cfg(test)]
mod tests;
