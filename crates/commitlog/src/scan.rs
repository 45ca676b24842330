//! A read-only walk over a log's files for offline tools. Owns the order of what is shown; changes nothing on disk.
//!
//! Unlike opening the log, this judges nothing: a torn tail and rot both show as [`ScanItem::Damaged`].

use std::sync::Arc;

use liftbridge_types::Offset;

use crate::batch::{Batch, BatchError};
use crate::batch_scanner::{BatchScanner, Scanned};
use crate::error::LogError;
use crate::file_names;
use crate::storage::Storage;

/// Something met on a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanItem {
    /// A batch that verifies through and through.
    Batch {
        /// Where it begins in its file.
        file_position: u64,
        /// The batch.
        batch: Batch,
    },
    /// Bytes that do not verify.
    Damaged {
        /// Where they begin.
        file_position: u64,
        /// How many they are.
        bytes: u64,
        /// The first offset that cannot be read.
        first: Offset,
        /// The offset good batches go on at; `None` when none follow in this file.
        resume: Option<Offset>,
        /// What is wrong with them.
        error: BatchError,
    },
}

/// One log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The offset its first record has.
    pub base: Offset,
}

/// The log files in `storage`, ascending.
///
/// # Errors
/// When the directory cannot be read.
pub fn log_files(storage: &dyn Storage) -> Result<Vec<LogFile>, LogError> {
    let entries = storage.list().map_err(|e| LogError::new("list", ".", e))?;
    let mut files: Vec<LogFile> = entries
        .into_iter()
        .filter_map(|entry| {
            let base = file_names::parse_log(&entry.name)?;
            Some(LogFile { name: entry.name, bytes: entry.bytes, base })
        })
        .collect();
    files.sort_by_key(|file| file.base);
    Ok(files)
}

/// Walks one log file from its beginning, handing every item to `visit` until that returns false.
///
/// # Errors
/// When the file cannot be read.
pub fn scan_file(
    storage: &dyn Storage,
    log_file: &LogFile,
    mut visit: impl FnMut(ScanItem) -> bool,
) -> Result<(), LogError> {
    let file: Arc<_> = storage.open(&log_file.name).map_err(|e| LogError::new("open", &log_file.name, e))?;
    let mut scanner = BatchScanner::new(&*file, &log_file.name, 0, log_file.bytes, log_file.base);
    let mut expected = log_file.base;
    while let Some(scanned) = scanner.step()? {
        let item = match scanned {
            Scanned::Batch { file_position, batch } => match Batch::parse(batch.bytes()) {
                Ok(batch) => ScanItem::Batch { file_position, batch },
                Err(error) => {
                    let header = batch.header();
                    let (bytes, resume) = (u64::from(header.bytes), Some(header.end_offset()));
                    ScanItem::Damaged { file_position, bytes, first: header.base_offset, resume, error }
                }
            },
            Scanned::Damaged { file_position, resume, error, .. } => {
                let end = resume.map_or(log_file.bytes, |(position, _)| position);
                let resume = resume.map(|(_, offset)| offset);
                ScanItem::Damaged { file_position, bytes: end - file_position, first: expected, resume, error }
            }
        };
        expected = match &item {
            ScanItem::Batch { batch, .. } => batch.header().end_offset(),
            ScanItem::Damaged { resume, .. } => resume.unwrap_or(expected),
        };
        if !visit(item) {
            return Ok(());
        }
    }
    Ok(())
}
