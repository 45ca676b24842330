//! A volume in memory that counts what is done to it and can hold syncs up.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use liftbridge_commitlog::{FileEntry, MemoryVolume, Storage, StorageFile, Volume};
use parking_lot::{Condvar, Mutex};

/// A volume in memory that counts what is done to it and can hold syncs up. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct GatedVolume {
    inner: MemoryVolume,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open_files: AtomicUsize,
    created_files: AtomicUsize,
    log_syncs: AtomicUsize,
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    waiting: usize,
}

impl GatedVolume {
    /// Files open now.
    pub(crate) fn open_files(&self) -> usize {
        self.counts.open_files.load(Ordering::SeqCst)
    }

    /// Files created so far.
    pub(crate) fn created_files(&self) -> usize {
        self.counts.created_files.load(Ordering::SeqCst)
    }

    /// Syncs of segment files so far.
    pub(crate) fn log_syncs(&self) -> usize {
        self.counts.log_syncs.load(Ordering::SeqCst)
    }

    /// Holds up every sync of a segment file from now on.
    pub(crate) fn close_gate(&self) {
        self.counts.gate.lock().closed = true;
    }

    /// Lets them go on.
    pub(crate) fn open_gate(&self) {
        self.counts.gate.lock().closed = false;
        self.counts.changed.notify_all();
    }

    /// Blocks until a sync is held up.
    pub(crate) fn wait_for_sync(&self) {
        let mut gate = self.counts.gate.lock();
        while gate.waiting == 0 {
            self.counts.changed.wait(&mut gate);
        }
    }
}

impl Counts {
    fn pass_gate(&self) {
        let mut gate = self.gate.lock();
        gate.waiting += 1;
        self.changed.notify_all();
        while gate.closed {
            self.changed.wait(&mut gate);
        }
        gate.waiting -= 1;
    }
}

impl Volume for GatedVolume {
    fn directory(&self, path: &str) -> Arc<dyn Storage> {
        Arc::new(GatedStorage { inner: self.inner.directory(path), counts: Arc::clone(&self.counts) })
    }

    fn list_directories(&self, path: &str) -> io::Result<Vec<String>> {
        self.inner.list_directories(path)
    }

    fn rename_directory(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename_directory(from, to)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.inner.remove_directory(path)
    }

    fn free_bytes(&self) -> Option<u64> {
        self.inner.free_bytes()
    }
}

#[derive(Debug)]
struct GatedStorage {
    inner: Arc<dyn Storage>,
    counts: Arc<Counts>,
}

impl GatedStorage {
    fn wrap(&self, name: &str, inner: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        self.counts.open_files.fetch_add(1, Ordering::SeqCst);
        Arc::new(GatedFile { inner, counts: Arc::clone(&self.counts), is_log: name.ends_with(".log") })
    }
}

impl Storage for GatedStorage {
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.counts.created_files.fetch_add(1, Ordering::SeqCst);
        self.inner.create(name).map(|file| self.wrap(name, file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.inner.open(name).map(|file| self.wrap(name, file))
    }

    fn list(&self) -> io::Result<Vec<FileEntry>> {
        self.inner.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }
}

#[derive(Debug)]
struct GatedFile {
    inner: Arc<dyn StorageFile>,
    counts: Arc<Counts>,
    is_log: bool,
}

impl Drop for GatedFile {
    fn drop(&mut self) {
        self.counts.open_files.fetch_sub(1, Ordering::SeqCst);
    }
}

impl StorageFile for GatedFile {
    fn append(&self, position: u64, buffers: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.inner.append(position, buffers)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, position)
    }

    fn sync(&self) -> io::Result<()> {
        if self.is_log {
            self.counts.log_syncs.fetch_add(1, Ordering::SeqCst);
            self.counts.pass_gate();
        }
        self.inner.sync()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.inner.truncate(bytes)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.inner.bytes()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.inner.drop_cache()
    }
}
