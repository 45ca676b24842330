//! A volume that fails on purpose: it loses what was not synced, tears writes, flips bits, fills up and returns errors, all
//! from one seed. For tests of everything that stands on a [`Volume`]; simulations build on it too.
//!
//! It is as adversarial as the contracts of [`Storage`] and [`StorageFile`] allow, and no more:
//! - a crash keeps any subset of the truncations and directory changes that no sync covered; a rename happens whole or not
//!   at all; what was synced is all there;
//! - of what was written since, each aligned sector of 512 bytes is as it was at some moment, whatever became of the others, and so
//!   is the file's length, which may be one amid the last write; where nothing arrived there are zeros. No sector is torn, and nothing comes to stand in a file that
//!   was not written there: media correct or refuse what they read, and file systems give out only blocks that read as zeros;
//! - a failed sync leaves the same and makes later syncs pass over the rest;
//! - a failed append leaves the beginning of its bytes, up to anywhere;
//! - creating a directory, and renaming or removing one, is durable as soon as it returns.

mod content;
mod faults;
mod names;
mod random;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::storage::faulty::content::Content;
use crate::storage::faulty::faults::Faults;
use crate::storage::faulty::names::{Inode, Names};
use crate::storage::faulty::random::Random;
use crate::storage::memory::{copy_at, file_position};
use crate::storage::path::{check_name, check_path, check_path_below_root, child_of, renamed};
use crate::storage::{FileEntry, Storage, StorageFile, Volume};

/// A volume in memory with faults. Clones share it. Used from one thread, the same seed and the same calls have the same
/// outcome.
#[derive(Clone, Debug)]
pub struct FaultyVolume {
    medium: Arc<Mutex<Medium>>,
}

#[derive(Debug)]
struct Medium {
    directories: BTreeMap<String, Names>,
    faults: Faults,
    random: Random,
    inode_count: u64,
    /// Grows with every crash; handles of an earlier life are dead.
    life: u64,
}

impl FaultyVolume {
    /// An empty volume without faults so far.
    pub fn new(seed: u64) -> Self {
        let (directories, faults, random) = (BTreeMap::new(), Faults::default(), Random::new(seed));
        Self { medium: Arc::new(Mutex::new(Medium { directories, faults, random, inode_count: 0, life: 0 })) }
    }

    /// Cuts the power. Afterwards every directory and file handle from before answers errors, and new ones see what survived.
    /// Planned faults stay planned.
    pub fn crash(&self) {
        let Medium { directories, random, life, faults, .. } = &mut *self.medium.lock();
        *life += 1;
        faults.plan_power_cut(None);
        let mut survivors = BTreeMap::new();
        for names in directories.values_mut() {
            names.crash(random);
            survivors.extend(names.iter().map(|(_, inode)| (inode.number, Arc::clone(inode))));
        }
        for inode in survivors.values() {
            inode.content.lock().crash(random);
        }
    }

    /// How many operations there were so far, of all kinds. With [`FaultyVolume::fail_operation`] a test visits each.
    pub fn operation_count(&self) -> u64 {
        self.medium.lock().faults.operation_count()
    }

    /// Makes one operation fail: the next one for `after` = 0, else the one after so many others.
    pub fn fail_operation(&self, after: u64, kind: io::ErrorKind) {
        self.medium.lock().faults.plan_operation(after, kind);
    }

    /// Lets so many more operations happen; from then on none does, and all answer errors, until [`FaultyVolume::crash`] ends
    /// it. So a test visits every instruction that a power cut can fall on. `None` = the power stays on.
    pub fn cut_power(&self, after: Option<u64>) {
        self.medium.lock().faults.plan_power_cut(after);
    }

    /// Makes all syncs of files and directories fail, or none any more.
    pub fn fail_syncs(&self, kind: Option<io::ErrorKind>) {
        self.medium.lock().faults.plan_syncs(kind);
    }

    /// Leaves room for so many more bytes, after which appends fail with `StorageFull`; `None` = no limit any more. Truncating
    /// and removing files makes room.
    pub fn limit_free_bytes(&self, bytes: Option<u64>) {
        self.medium.lock().faults.limit_free_bytes(bytes);
    }

    /// Lets so many more operations happen; from then on there is no descriptor to open a file or a directory with, as `EMFILE`
    /// says. What is open stays open. `None` = there are descriptors.
    pub fn exhaust_files(&self, after: Option<u64>) {
        self.medium.lock().faults.plan_exhaustion(after);
    }

    /// Makes reads that touch `range` of the file at `path` (`<directory>/<name>`) fail; `None` = none any more.
    pub fn fail_reads(&self, path: &str, range: Option<Range<u64>>) {
        self.medium.lock().faults.plan_unreadable(path, range);
    }

    /// Flips one bit of the file at `path` (`<directory>/<name>`), on the medium and for every reader.
    ///
    /// # Errors
    /// `NotFound` when there is no such file; `UnexpectedEof` when it is not that long.
    pub fn flip_bit(&self, path: &str, position: u64, bit: u8) -> io::Result<()> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut medium = self.medium.lock();
        let inode = medium.names(directory)?.get(name)?;
        let is_there = inode.content.lock().flip_bit(file_position(position)?, bit);
        if is_there { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Starts one operation of a handle from the given life. One that is planned to fail does nothing else.
    fn operate<T>(&self, life: u64, work: impl FnOnce(&mut Medium) -> io::Result<T>) -> io::Result<T> {
        self.operate_partly(life, |medium, fault| {
            fault?;
            work(medium)
        })
    }

    /// Like `operate`, for operations that leave something behind when they fail.
    fn operate_partly<T>(
        &self,
        life: u64,
        work: impl FnOnce(&mut Medium, io::Result<()>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut medium = self.medium.lock();
        if medium.life != life {
            return Err(io::Error::other("this handle is from before a crash"));
        }
        let fault = medium.faults.on_operation();
        if medium.faults.is_power_off() {
            return Err(io::Error::other("the power is off"));
        }
        work(&mut medium, fault)
    }

    fn life(&self) -> u64 {
        self.medium.lock().life
    }
}

impl Medium {
    fn names(&mut self, directory: &str) -> io::Result<&mut Names> {
        self.directories.get_mut(directory).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn append(&mut self, inode: &Inode, position: usize, bytes: &[u8], fault: io::Result<()>) -> io::Result<()> {
        let part = if fault.is_ok() { bytes.len() } else { self.random.up_to(bytes.len()) };
        let mut content = inode.content.lock();
        let growth = position.saturating_add(part).saturating_sub(content.bytes().len());
        let granted = usize::try_from(self.faults.take_room(growth as u64)).unwrap_or(growth);
        let missing = growth.saturating_sub(granted);
        content.write(position, bytes.get(..part.saturating_sub(missing)).unwrap_or_default());
        fault?;
        if missing == 0 { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn sync(&mut self, inode: &Inode, fault: io::Result<()>) -> io::Result<()> {
        let synced = fault.and_then(|()| self.faults.on_sync());
        let mut content = inode.content.lock();
        match &synced {
            Ok(()) => content.sync(),
            Err(_) => content.fail_sync(&mut self.random),
        }
        synced
    }

    fn truncate(&mut self, inode: &Inode, bytes: usize) {
        let mut content = inode.content.lock();
        self.faults.give_room(content.bytes().len().saturating_sub(bytes) as u64);
        content.truncate(bytes);
    }
}

impl Volume for FaultyVolume {
    fn directory(&self, path: &str) -> Arc<dyn Storage> {
        Arc::new(FaultyDirectory { volume: self.clone(), life: self.life(), path: path.to_owned() })
    }

    fn list_directories(&self, path: &str) -> io::Result<Vec<String>> {
        check_path(path)?;
        self.operate(self.life(), |medium| {
            let names: BTreeSet<_> = medium.directories.keys().filter_map(|key| child_of(path, key)).collect();
            Ok(names.into_iter().map(str::to_owned).collect())
        })
    }

    fn rename_directory(&self, from: &str, to: &str) -> io::Result<()> {
        check_path_below_root(from)?;
        check_path_below_root(to)?;
        self.operate(self.life(), |medium| {
            let keys = medium.directories.keys();
            let moves: Vec<_> = keys.filter_map(|key| Some((key.clone(), renamed(key, from, to)?))).collect();
            if from == to || moves.is_empty() {
                return Ok(());
            }
            if medium.directories.keys().any(|key| renamed(key, to, "").is_some()) {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            for (source, target) in moves {
                if let Some(names) = medium.directories.remove(&source) {
                    medium.directories.insert(target, names);
                }
            }
            Ok(())
        })
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        check_path_below_root(path)?;
        self.operate(self.life(), |medium| {
            let Medium { directories, faults, .. } = medium;
            for (_, names) in directories.extract_if(.., |key, _| renamed(key, path, "").is_some()) {
                let bytes = names.iter().map(|(_, inode)| inode.content.lock().bytes().len() as u64);
                faults.give_room(bytes.sum());
            }
            Ok(())
        })
    }

    fn free_bytes(&self) -> Option<u64> {
        self.medium.lock().faults.free_bytes()
    }
}

#[derive(Debug)]
struct FaultyDirectory {
    volume: FaultyVolume,
    life: u64,
    path: String,
}

impl FaultyDirectory {
    fn operate<T>(&self, work: impl FnOnce(&mut Medium) -> io::Result<T>) -> io::Result<T> {
        check_path(&self.path)?;
        self.volume.operate(self.life, work)
    }

    fn handle(&self, name: &str, inode: Arc<Inode>) -> Arc<dyn StorageFile> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        Arc::new(FaultyFile { volume: self.volume.clone(), life: self.life, path, inode })
    }
}

impl Storage for FaultyDirectory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_name(name)?;
        let inode = self.operate(|medium| {
            medium.faults.on_open()?;
            let number = medium.inode_count;
            let inode = Arc::new(Inode { number, content: Mutex::new(Content::default()) });
            medium.directories.entry(self.path.clone()).or_default().create(name, &inode)?;
            medium.inode_count += 1;
            Ok(inode)
        })?;
        Ok(self.handle(name, inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_name(name)?;
        let inode = self.operate(|medium| {
            medium.faults.on_open()?;
            medium.names(&self.path)?.get(name).cloned()
        })?;
        Ok(self.handle(name, inode))
    }

    fn list(&self) -> io::Result<Vec<FileEntry>> {
        let entry = |(name, inode): (&String, &Arc<Inode>)| FileEntry {
            name: name.clone(),
            bytes: inode.content.lock().bytes().len() as u64,
        };
        self.operate(|medium| {
            medium.faults.on_open()?;
            Ok(medium.names(&self.path).map_or(Vec::new(), |names| names.iter().map(entry).collect()))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.operate(|medium| medium.names(&self.path)?.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.operate(|medium| {
            let inode = medium.names(&self.path)?.remove(name)?;
            medium.faults.give_room(inode.content.lock().bytes().len() as u64);
            Ok(())
        })
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.operate(|medium| {
            medium.faults.on_open()?;
            medium.faults.on_sync()?;
            if let Ok(names) = medium.names(&self.path) {
                names.sync();
            }
            Ok(())
        })
    }
}

#[derive(Debug)]
struct FaultyFile {
    volume: FaultyVolume,
    life: u64,
    /// The name it was opened under, by which read faults are planned.
    path: String,
    inode: Arc<Inode>,
}

impl StorageFile for FaultyFile {
    fn append(&self, position: u64, buffers: &mut [IoSlice<'_>]) -> io::Result<()> {
        let bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        let position = file_position(position)?;
        self.volume.operate_partly(self.life, |medium, fault| medium.append(&self.inode, position, &bytes, fault))
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let range = position..position.saturating_add(buffer.len() as u64);
        self.volume.operate(self.life, |medium| {
            medium.faults.on_read(&self.path, &range)?;
            Ok(copy_at(self.inode.content.lock().bytes(), buffer, position))
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.volume.operate_partly(self.life, |medium, fault| medium.sync(&self.inode, fault))
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let bytes = file_position(bytes)?;
        self.volume.operate(self.life, |medium| {
            medium.truncate(&self.inode, bytes);
            Ok(())
        })
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.volume.operate(self.life, |_| {
            self.inode.content.lock().drop_cache();
            Ok(())
        })
    }

    fn bytes(&self) -> io::Result<u64> {
        self.volume.operate(self.life, |_| Ok(self.inode.content.lock().bytes().len() as u64))
    }
}
