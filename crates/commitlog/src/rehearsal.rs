//! What opening a log would find and do, without doing it: for offline tools. Owns that nothing on the medium changes and
//! that it is looked at as of one moment; the judgement is that of [`crate::recovery`].
//!
//! A server may be using the directory. What it appends meanwhile is not seen; the batch it was just writing looks like a torn
//! tail.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use liftbridge_types::Offset;

use crate::error::{LogError, OpenError};
use crate::file_names;
use crate::options::LogOptions;
use crate::recovery::{RecoveryReport, recover};
use crate::scan::{LogFile, ScanItem, log_files, scan_file};
use crate::small_file;
use crate::storage::{OverlayDirectory, Storage};

/// How often a directory is looked at that changes while it is.
const ATTEMPTS_MAX: usize = 10;

/// More than any checkpoint takes. What is larger is none, and is not held in memory.
const CHECKPOINT_BYTES_MAX: u64 = 4096;

/// A log as opening it would leave it, on top of a directory that stays as it is.
#[derive(Debug)]
pub struct Rehearsal {
    storage: OverlayDirectory,
    files: Vec<LogFile>,
    log_start: Offset,
    log_end: Offset,
    report: RecoveryReport,
}

impl Rehearsal {
    /// Opens the log in `storage` as [`CommitLog::open`](crate::CommitLog::open) would, and forgets what that writes and removes.
    ///
    /// # Errors
    /// As [`CommitLog::open`](crate::CommitLog::open).
    pub fn of(storage: &Arc<dyn Storage>) -> Result<Self, OpenError> {
        let mut attempts = 1;
        loop {
            match Self::on(as_of_now(storage)?) {
                // A server lets go of old files at any time.
                Err(OpenError::Storage(error)) if attempts < ATTEMPTS_MAX && is_gone(&error) => attempts += 1,
                rehearsed => return rehearsed,
            }
        }
    }

    fn on(storage: OverlayDirectory) -> Result<Self, OpenError> {
        let found = log_files(&storage)?;
        // Nothing is looked up, so the indexes that are made anew need no entries.
        let options = LogOptions { index_interval_bytes: u32::MAX, ..LogOptions::default() };
        let recovered = recover(&storage, &options)?;
        let mut files = log_files(&storage)?;
        files.retain(|file| found.iter().any(|known| known.base == file.base));
        let (log_start, log_end) = (recovered.log_start, recovered.log_end);
        Ok(Self { storage, files, log_start, log_end, report: recovered.report })
    }

    /// The log files that stay, ascending, as long as they would be: without a torn tail.
    pub fn files(&self) -> &[LogFile] {
        &self.files
    }

    /// The offsets the log would span.
    pub fn offsets(&self) -> Range<Offset> {
        self.log_start..self.log_end
    }

    /// What opening would find and do.
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// Walks one of [`Rehearsal::files`] as it would be, as [`scan_file`] does.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn scan(&self, file: &LogFile, visit: impl FnMut(ScanItem) -> bool) -> Result<(), LogError> {
        scan_file(&self.storage, file, visit)
    }
}

/// The directory as of one moment. A checkpoint that was written between looking at it and looking at the files would speak of
/// other files than those, and they would seem to be damaged.
fn as_of_now(storage: &Arc<dyn Storage>) -> Result<OverlayDirectory, LogError> {
    let checkpoint = || small_file::read(&**storage, file_names::CHECKPOINT, CHECKPOINT_BYTES_MAX);
    let mut attempts = 1;
    loop {
        let before = checkpoint()?;
        let overlay = OverlayDirectory::new(Arc::clone(storage)).map_err(|error| LogError::new("list", ".", error))?;
        if checkpoint()? == before || attempts == ATTEMPTS_MAX {
            if let Some(content) = before {
                small_file::replace(&overlay, file_names::CHECKPOINT, &content)?;
            }
            return Ok(overlay);
        }
        attempts += 1;
    }
}

fn is_gone(error: &LogError) -> bool {
    error.source.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit_log::CommitLog;
    use crate::storage::{MemoryVolume, StorageFile, Volume};
    use crate::testing::{append, append_synced, options};

    /// Every file with its content.
    fn content(storage: &dyn Storage) -> Vec<(String, Vec<u8>)> {
        let mut names: Vec<String> = storage.list().unwrap().into_iter().map(|entry| entry.name).collect();
        names.sort();
        let read = |name: String| {
            let content = small_file::read(storage, &name, u64::MAX).unwrap().unwrap();
            (name, content)
        };
        names.into_iter().map(read).collect()
    }

    /// A log of 40 synced records, some 9 to a segment, with a checkpoint.
    fn log() -> Arc<dyn Storage> {
        let storage = MemoryVolume::new().directory("log");
        let (mut log, _) = CommitLog::open(Arc::clone(&storage), options()).unwrap();
        append_synced(&mut log, 40);
        log.checkpoint(Offset::new(40)).unwrap();
        storage
    }

    fn newest(storage: &Arc<dyn Storage>) -> (String, Arc<dyn StorageFile>) {
        let name = log_files(&**storage).unwrap().pop().unwrap().name;
        let file = storage.open(&name).unwrap();
        (name, file)
    }

    /// The rehearsal finds what opening finds, and changes nothing.
    #[track_caller]
    fn check(storage: &Arc<dyn Storage>) -> Rehearsal {
        let before = content(&**storage);
        let rehearsal = Rehearsal::of(storage).unwrap();
        assert_eq!(content(&**storage), before);
        let (log, report) = CommitLog::open(Arc::clone(storage), options()).unwrap();
        assert_eq!(rehearsal.report(), &report);
        assert_eq!(rehearsal.offsets(), log.log_start()..log.log_end());
        rehearsal
    }

    #[test]
    fn it_finds_what_opening_finds_and_changes_nothing() {
        check(&log());

        let torn = log();
        let (mut appended, _) = CommitLog::open(Arc::clone(&torn), options()).unwrap();
        append(&mut appended, 1);
        drop(appended);
        let (_, file) = newest(&torn);
        file.truncate(file.bytes().unwrap() - 1).unwrap();
        let rehearsal = check(&torn);
        assert!(rehearsal.report().bytes_cut > 0 && rehearsal.report().damaged.is_empty());

        let lost = log();
        newest(&lost).1.truncate(1).unwrap();
        assert!(!check(&lost).report().damaged.is_empty());

        let oldest_lost = log();
        oldest_lost.remove(&file_names::log(Offset::ZERO)).unwrap();
        assert!(!check(&oldest_lost).report().damaged.is_empty());

        let bare = log();
        for file in [file_names::CHECKPOINT, file_names::LEADER_EPOCHS, &file_names::index(Offset::ZERO)] {
            bare.remove(file).unwrap();
        }
        assert_eq!(check(&bare).report().rebuilt.len(), 3);
    }

    #[test]
    fn what_it_would_leave_is_scanned_without_the_torn_tail() {
        let storage = log();
        let (name, file) = newest(&storage);
        let whole = file.bytes().unwrap();
        file.append(whole, &mut [io::IoSlice::new(&[0; 500])]).unwrap();
        let rehearsal = check(&storage);
        let last = rehearsal.files().last().unwrap();
        assert_eq!((&last.name, last.bytes), (&name, whole));
        let mut damaged = 0;
        rehearsal
            .scan(last, |item| {
                damaged += usize::from(matches!(item, ScanItem::Damaged { .. }));
                true
            })
            .unwrap();
        assert_eq!(damaged, 0);
    }

    /// Appends, checkpoints and removes old segments whenever the directory is listed or read, like a server in a hurry.
    #[derive(Debug)]
    struct Busy {
        storage: Arc<dyn Storage>,
        log: parking_lot::Mutex<(CommitLog, u32)>,
    }

    impl Busy {
        fn go_on(&self) {
            let (log, rounds_left) = &mut *self.log.lock();
            if *rounds_left > 0 {
                *rounds_left -= 1;
                append_synced(log, 10);
                log.checkpoint(log.log_end()).unwrap();
                log.clean(liftbridge_types::Timestamp::EPOCH, log.log_end()).unwrap();
            }
        }
    }

    impl Storage for Busy {
        fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
            panic!("`{name}` is created")
        }
        fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
            let opened = self.storage.open(name);
            self.go_on();
            opened
        }
        fn list(&self) -> io::Result<Vec<crate::storage::FileEntry>> {
            let listed = self.storage.list();
            self.go_on();
            listed
        }
        fn rename(&self, from: &str, _to: &str) -> io::Result<()> {
            panic!("`{from}` is renamed")
        }
        fn remove(&self, name: &str) -> io::Result<()> {
            panic!("`{name}` is removed")
        }
        fn sync_directory(&self) -> io::Result<()> {
            panic!("the directory is synced")
        }
    }

    #[test]
    fn a_log_in_use_is_judged_as_of_one_moment() {
        for rounds in 0..12 {
            let storage = MemoryVolume::new().directory("log");
            let retention = crate::options::RetentionLimits { messages: Some(20), ..Default::default() };
            let options = LogOptions { retention, ..options() };
            let (mut log, _) = CommitLog::open(Arc::clone(&storage), options).unwrap();
            append_synced(&mut log, 40);
            log.checkpoint(Offset::new(40)).unwrap();
            let busy: Arc<dyn Storage> = Arc::new(Busy { storage, log: (log, rounds).into() });
            let rehearsal = Rehearsal::of(&busy).unwrap();
            assert_eq!((&rehearsal.report().damaged, rehearsal.report().bytes_cut), (&vec![], 0), "{rounds} rounds");
        }
    }
}
