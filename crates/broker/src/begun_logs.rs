//! Which logs were ever begun here: the file `begun-logs`. Owns that a log is noted before its first file is made, so that one
//! whose files are gone is told from one that never had any; never what follows from that.
//!
//! A log has no directory before its first record. Without a note, a server that lost a partition's files would take it for one
//! to which nothing was ever published, and its word that it has everything would count.
//!
//! One line each, `<stream id>/<partition>`, appended. Other lines are passed over: the end of one that a crash tore was never
//! relied on. Lines of streams that are gone are dropped at the next start.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use liftbridge_commitlog::{FileEntry, Storage, StorageFile, Volume};
use liftbridge_types::{PartitionId, StreamId};
use parking_lot::Mutex;

use crate::whole_file;

const FILE: &str = "begun-logs";

/// A partition, in one life of its stream's name.
pub(crate) type LogKey = (StreamId, PartitionId);

/// The logs that were begun here.
#[derive(Debug)]
pub(crate) struct BegunLogs {
    root: Arc<dyn Storage>,
    list: Mutex<List>,
    /// Up to where the file is on the medium. Whoever comes while another one syncs waits here, and then may find its own note
    /// synced with the others'.
    synced: Mutex<u64>,
}

#[derive(Debug, Default)]
struct List {
    logs: BTreeSet<LogKey>,
    /// Up to where the file holds whole lines.
    bytes: u64,
}

impl BegunLogs {
    /// What was noted on this volume.
    pub(crate) fn open(volume: &dyn Volume) -> io::Result<Self> {
        let root = volume.directory("");
        let list = match root.open(FILE) {
            Ok(file) => {
                let bytes = file.bytes()?;
                let (logs, whole_bytes) = parse(&read(&*file, bytes)?);
                if whole_bytes < bytes {
                    file.truncate(whole_bytes)?;
                }
                List { logs, bytes: whole_bytes }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => List::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { root, list: Mutex::new(list), synced: Mutex::new(0) })
    }

    /// Every log that was begun.
    pub(crate) fn all(&self) -> BTreeSet<LogKey> {
        self.list.lock().logs.clone()
    }

    /// Whether this log was begun.
    pub(crate) fn has(&self, log: LogKey) -> bool {
        self.list.lock().logs.contains(&log)
    }

    /// Forgets all logs but those that are `wanted`, if there are enough others to be worth it.
    pub(crate) fn keep(&self, wanted: impl Fn(&LogKey) -> bool) -> io::Result<()> {
        let mut list = self.list.lock();
        let kept: BTreeSet<LogKey> = list.logs.iter().filter(|log| wanted(log)).copied().collect();
        if list.logs.len() < kept.len().saturating_mul(2).saturating_add(64) {
            return Ok(());
        }
        self.replace(&mut list, kept)
    }

    /// Forgets these logs.
    pub(crate) fn forget(&self, logs: &BTreeSet<LogKey>) -> io::Result<()> {
        let mut list = self.list.lock();
        if list.logs.is_disjoint(logs) {
            return Ok(());
        }
        let kept = list.logs.difference(logs).copied().collect();
        self.replace(&mut list, kept)
    }

    /// Called before any log is opened: what is noted meanwhile would not be known to be on the medium.
    fn replace(&self, list: &mut List, kept: BTreeSet<LogKey>) -> io::Result<()> {
        let text = kept.iter().fold(String::new(), |mut text, log| {
            write_line(&mut text, *log);
            text
        });
        whole_file::replace(&*self.root, FILE, text.as_bytes())?;
        *list = List { logs: kept, bytes: text.len() as u64 };
        Ok(())
    }

    /// Notes, durably, that a log begins. Many at once share syncs.
    pub(crate) fn note(&self, log: LogKey) -> io::Result<()> {
        let (file, end) = {
            let mut list = self.list.lock();
            if list.logs.contains(&log) {
                return Ok(());
            }
            let file = self.open_file()?;
            let mut line = String::new();
            write_line(&mut line, log);
            if let Err(error) = file.append(list.bytes, &mut [IoSlice::new(line.as_bytes())]) {
                // What it left is no line, and the next one is written over it.
                let _ = file.truncate(list.bytes);
                return Err(error);
            }
            list.bytes += line.len() as u64;
            (file, list.bytes)
        };
        let mut synced = self.synced.lock();
        if *synced < end {
            let so_far = self.list.lock().bytes;
            file.sync()?;
            *synced = so_far;
        }
        drop(synced);
        self.list.lock().logs.insert(log);
        Ok(())
    }

    /// The file, which is open only while something is noted: that is seldom.
    fn open_file(&self) -> io::Result<Arc<dyn StorageFile>> {
        match self.root.open(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = self.root.create(FILE)?;
                self.root.sync_directory()?;
                Ok(file)
            }
            found => found,
        }
    }

    /// A partition's directory, of which is noted that its log was begun before the first file is made.
    pub(crate) fn watched(self: &Arc<Self>, log: LogKey, directory: Arc<dyn Storage>) -> Arc<dyn Storage> {
        Arc::new(Watched { directory, log, is_noted: AtomicBool::new(false), begun: Arc::clone(self) })
    }
}

fn write_line(text: &mut String, (stream, partition): LogKey) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{stream}/{partition}");
}

fn read(file: &dyn StorageFile, bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    let read = file.read_at(&mut content, 0)?;
    content.truncate(read);
    Ok(content)
}

/// The logs these bytes name, and the length of the lines that have an end.
fn parse(content: &[u8]) -> (BTreeSet<LogKey>, u64) {
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = content.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
    (lines.filter_map(parse_line).collect(), whole as u64)
}

fn parse_line(line: &[u8]) -> Option<LogKey> {
    let (stream, partition) = std::str::from_utf8(line).ok()?.split_once('/')?;
    Some((StreamId::new(stream.parse().ok()?), PartitionId::new(partition.parse().ok()?)?))
}

/// See [`BegunLogs::watched`].
#[derive(Debug)]
struct Watched {
    directory: Arc<dyn Storage>,
    log: LogKey,
    is_noted: AtomicBool,
    begun: Arc<BegunLogs>,
}

impl Storage for Watched {
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        if !self.is_noted.load(Ordering::Relaxed) {
            self.begun.note(self.log)?;
            self.is_noted.store(true, Ordering::Relaxed);
        }
        self.directory.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.directory.open(name)
    }

    fn list(&self) -> io::Result<Vec<FileEntry>> {
        self.directory.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.directory.sync_directory()
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_commitlog::{FaultyVolume, MemoryVolume};

    use super::*;

    fn log(stream: u64, partition: u32) -> LogKey {
        (StreamId::new(stream), PartitionId::new(partition).unwrap())
    }

    #[test]
    fn what_was_noted_survives_a_power_cut() {
        let volume = FaultyVolume::new(1);
        let begun = BegunLogs::open(&volume).unwrap();
        assert!(begun.all().is_empty());
        begun.note(log(7, 0)).unwrap();
        begun.note(log(7, 1)).unwrap();
        begun.note(log(7, 0)).unwrap();
        volume.crash();
        let again = BegunLogs::open(&volume).unwrap();
        assert_eq!(again.all(), [log(7, 0), log(7, 1)].into());
        again.note(log(12, 3)).unwrap();
        assert_eq!(BegunLogs::open(&volume).unwrap().all().len(), 3);
    }

    #[test]
    fn a_log_is_noted_before_its_first_file_is_made() {
        let volume = MemoryVolume::new();
        let begun = Arc::new(BegunLogs::open(&volume).unwrap());
        let directory = begun.watched(log(7, 0), volume.directory("streams/7-orders/0"));
        assert!(directory.list().unwrap().is_empty());
        assert!(begun.all().is_empty(), "it was only looked at");
        directory.create("00000000000000000000.log").unwrap();
        assert_eq!(begun.all(), [log(7, 0)].into());
    }

    #[test]
    fn a_log_that_is_forgotten_may_begin_again() {
        let volume = MemoryVolume::new();
        let begun = BegunLogs::open(&volume).unwrap();
        begun.note(log(7, 0)).unwrap();
        begun.note(log(7, 1)).unwrap();
        begun.forget(&[log(7, 1), log(8, 0)].into()).unwrap();
        let begun = BegunLogs::open(&volume).unwrap();
        assert_eq!(begun.all(), [log(7, 0)].into());
        begun.note(log(7, 1)).unwrap();
        assert_eq!(BegunLogs::open(&volume).unwrap().all(), [log(7, 0), log(7, 1)].into());
    }

    #[test]
    fn what_a_crash_tore_and_what_is_no_line_is_passed_over() {
        let (logs, whole) = parse(b"7/0\nnonsense\n\xff\xfe\n7/1\n12/");
        assert_eq!((logs, whole), ([log(7, 0), log(7, 1)].into(), 20));
    }

    #[test]
    fn logs_that_are_gone_for_good_are_forgotten_when_they_are_many() {
        let volume = MemoryVolume::new();
        let begun = BegunLogs::open(&volume).unwrap();
        for stream in 0..100 {
            begun.note(log(stream, 0)).unwrap();
        }
        begun.keep(|(stream, _)| stream.get() < 60).unwrap();
        assert_eq!(begun.all().len(), 100, "not worth it");
        begun.keep(|(stream, _)| stream.get() < 10).unwrap();
        begun.note(log(100, 0)).unwrap();
        assert_eq!(BegunLogs::open(&volume).unwrap().all().len(), 11);
    }
}
