//! A volume in memory, for tests and for logs that need not outlive the process. Nothing in it fails or is ever lost.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::storage::path::{check_name, check_path, check_path_below_root, child_of, renamed};
use crate::storage::{FileEntry, Storage, StorageFile, Volume};

type Files = BTreeMap<String, Arc<MemoryFile>>;

/// A volume in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryVolume {
    /// By path. A directory is here once a file was created in it or below it.
    directories: Arc<Mutex<BTreeMap<String, Files>>>,
}

impl MemoryVolume {
    /// An empty volume.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Volume for MemoryVolume {
    fn directory(&self, path: &str) -> Arc<dyn Storage> {
        Arc::new(MemoryDirectory { volume: self.clone(), path: path.to_owned() })
    }

    fn list_directories(&self, path: &str) -> io::Result<Vec<String>> {
        check_path(path)?;
        let directories = self.directories.lock();
        let names: BTreeSet<_> = directories.keys().filter_map(|key| child_of(path, key)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn rename_directory(&self, from: &str, to: &str) -> io::Result<()> {
        check_path_below_root(from)?;
        check_path_below_root(to)?;
        let mut directories = self.directories.lock();
        let is_target = |key: &String| renamed(key, to, "").is_some();
        let moves: Vec<_> = directories.keys().filter_map(|key| Some((key.clone(), renamed(key, from, to)?))).collect();
        if from == to || moves.is_empty() {
            return Ok(());
        }
        if directories.keys().any(is_target) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        for (source, target) in moves {
            if let Some(files) = directories.remove(&source) {
                directories.insert(target, files);
            }
        }
        Ok(())
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        check_path_below_root(path)?;
        self.directories.lock().retain(|key, _| renamed(key, path, "").is_none());
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }
}

#[derive(Debug)]
struct MemoryDirectory {
    volume: MemoryVolume,
    path: String,
}

impl MemoryDirectory {
    fn with_files<T>(&self, work: impl FnOnce(&mut Files) -> io::Result<T>) -> io::Result<T> {
        check_path(&self.path)?;
        match self.volume.directories.lock().get_mut(&self.path) {
            Some(files) => work(files),
            None => work(&mut Files::new()),
        }
    }
}

impl Storage for MemoryDirectory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_path(&self.path)?;
        check_name(name)?;
        let mut directories = self.volume.directories.lock();
        let files = directories.entry(self.path.clone()).or_default();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(MemoryFile::default());
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_name(name)?;
        self.with_files(|files| {
            let file = files.get(name).ok_or(io::ErrorKind::NotFound)?;
            Ok(Arc::clone(file) as Arc<dyn StorageFile>)
        })
    }

    fn list(&self) -> io::Result<Vec<FileEntry>> {
        self.with_files(|files| {
            let entry =
                |(name, file): (&String, &Arc<MemoryFile>)| Ok(FileEntry { name: name.clone(), bytes: file.bytes()? });
            files.iter().map(entry).collect()
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.with_files(|files| {
            let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            files.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.with_files(|files| files.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn sync_directory(&self) -> io::Result<()> {
        check_path(&self.path)
    }
}

#[derive(Debug, Default)]
struct MemoryFile {
    bytes: RwLock<Vec<u8>>,
}

impl StorageFile for MemoryFile {
    fn append(&self, position: u64, buffers: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut position = file_position(position)?;
        let mut bytes = self.bytes.write();
        for buffer in buffers.iter() {
            write_at(&mut bytes, position, buffer);
            position += buffer.len();
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        Ok(copy_at(&self.bytes.read(), buffer, position))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.bytes.write().resize(file_position(bytes)?, 0);
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.bytes.read().len() as u64)
    }
}

/// A position as memory counts it.
pub(super) fn file_position(position: u64) -> io::Result<usize> {
    usize::try_from(position).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// Writes `source` over `bytes` at `position`; a gap before it reads as zeros.
pub(super) fn write_at(bytes: &mut Vec<u8>, position: usize, source: &[u8]) {
    let end = position.saturating_add(source.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(target) = bytes.get_mut(position..end) {
        target.copy_from_slice(source);
    }
}

/// Copies what `bytes` has from `position` on into `buffer` and returns how much that was.
pub(super) fn copy_at(bytes: &[u8], buffer: &mut [u8], position: u64) -> usize {
    let available = usize::try_from(position).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
    let count = available.len().min(buffer.len());
    if let (Some(target), Some(source)) = (buffer.get_mut(..count), available.get(..count)) {
        target.copy_from_slice(source);
    }
    count
}
