//! Where a log's bytes live: the port between the log and a disk. Owns the contract every storage keeps; never a format.

#[cfg(test)]
mod conformance;
mod disk;
mod faulty;
mod memory;
mod overlay;
mod path;

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

pub use disk::DiskVolume;
pub use faulty::FaultyVolume;
pub use memory::MemoryVolume;
pub(crate) use overlay::OverlayDirectory;

/// A file as a directory lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name, without the directory.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A tree of directories on one medium. Cheap to share; all its methods may be called from any thread.
pub trait Volume: Send + Sync + fmt::Debug {
    /// The directory at `path` (relative, `/`-separated). Nothing is created before the first file in it is.
    fn directory(&self, path: &str) -> Arc<dyn Storage>;

    /// The names of the directories right below `path`; empty when it does not exist.
    ///
    /// # Errors
    /// When the medium cannot be read.
    fn list_directories(&self, path: &str) -> io::Result<Vec<String>>;

    /// Renames a directory (`from` and `to` relative like in [`Volume::directory`]) and makes that durable. Does nothing when
    /// `from` does not exist.
    ///
    /// # Errors
    /// When the medium refuses.
    fn rename_directory(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the directory at `path` and everything in it, durably. Removing what does not exist is no error.
    ///
    /// # Errors
    /// When the medium refuses.
    fn remove_directory(&self, path: &str) -> io::Result<()>;

    /// Bytes that can still be written, where the medium can tell.
    fn free_bytes(&self) -> Option<u64>;
}

/// One directory of files.
///
/// # Durability
/// What [`StorageFile::append`] wrote survives a crash of the machine after [`StorageFile::sync`] returned. A file's name
/// survives after [`Storage::sync_directory`] returned: after create, rename and remove.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Creates an empty file, and the directory with its parents if need be (durably).
    ///
    /// # Errors
    /// `AlreadyExists` when there is one of that name; else what the medium says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens an existing file for reading and appending.
    ///
    /// # Errors
    /// `NotFound` when there is none; else what the medium says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// The files of the directory, in no particular order; none when the directory does not exist.
    ///
    /// # Errors
    /// When the medium cannot be read.
    fn list(&self) -> io::Result<Vec<FileEntry>>;

    /// Renames a file, replacing the target. Durable after [`Storage::sync_directory`].
    ///
    /// # Errors
    /// `NotFound` when `from` does not exist; else what the medium says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; open handles go on reading it. Durable after [`Storage::sync_directory`].
    ///
    /// # Errors
    /// `NotFound` when it does not exist; else what the medium says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals in this directory durable.
    ///
    /// # Errors
    /// When the medium refuses.
    fn sync_directory(&self) -> io::Result<()>;
}

/// One file. Readers and the one appender may use it at the same time.
pub trait StorageFile: Send + Sync + fmt::Debug {
    /// Appends all of `buffers` at `position`, which must be the file's end as the single appender knows it.
    ///
    /// # Errors
    /// What the medium says; then the bytes from `position` on are undefined and the caller has to truncate to it.
    fn append(&self, position: u64, buffers: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Reads at most `buffer.len()` bytes from `position`; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the medium says.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Makes everything appended so far durable. After an error nothing is known about what was appended since the last
    /// success, and trying again proves nothing (the kernel may have dropped the pages).
    ///
    /// # Errors
    /// What the medium says.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `bytes`. Durable after [`StorageFile::sync`].
    ///
    /// # Errors
    /// What the medium says.
    fn truncate(&self, bytes: u64) -> io::Result<()>;

    /// Makes later reads see what the medium has, but for bytes that are still waiting to be written: after a failed sync,
    /// the operating system may go on showing bytes that will never reach the medium. Best effort.
    ///
    /// # Errors
    /// What the medium says.
    fn drop_cache(&self) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// What the medium says.
    fn bytes(&self) -> io::Result<u64>;
}
