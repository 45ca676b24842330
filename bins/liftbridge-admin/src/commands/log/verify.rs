//! `log verify`: every checksum of a log.

use liftbridge_commitlog::Batch;
use liftbridge_commitlog::scan::{LogFile, ScanItem, scan_file};
use serde::Serialize;

use crate::commands::log::{DirectoryArgument, open};
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::progress;

/// Damaged ranges that are listed; more are only counted.
const RANGES_LISTED_MAX: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    directory: DirectoryArgument,
}

/// What a log is worth.
#[derive(Debug, Default, Serialize)]
struct Verdict {
    files: usize,
    bytes: u64,
    batches: u64,
    records: u64,
    /// First offset of the log.
    start: u64,
    /// Offset after the last good record.
    end: u64,
    damaged_ranges: usize,
    damage: Vec<DamageView>,
}

#[derive(Debug, Serialize)]
struct DamageView {
    file: String,
    file_position: u64,
    bytes: u64,
    /// The first offset that cannot be read.
    first_offset: u64,
    /// The offset that can be read again; none up to the end of the file.
    next_good_offset: Option<u64>,
    reason: String,
}

pub(super) fn run(arguments: &VerifyArguments, output: &mut Output) -> Result<(), Failure> {
    let path = &arguments.directory.directory;
    let (storage, files) = open(path)?;
    let mut verdict = Verdict { start: files[0].base.get(), end: files[0].base.get(), ..Verdict::default() };
    let bar = progress::bytes(files.iter().map(|file| file.bytes).sum());
    for file in &files {
        verdict.begin(file);
        scan_file(&*storage, file, |item| {
            bar.inc(verdict.take(file, item));
            true
        })?;
    }
    bar.finish_and_clear();
    output.result(&verdict, || verdict.text())?;
    match verdict.damaged_ranges {
        0 => Ok(()),
        ranges => Err(Failure::Damaged { path: path.clone(), ranges }),
    }
}

impl Verdict {
    /// A file that does not begin where the one before ended tells of records that are gone.
    fn begin(&mut self, file: &LogFile) {
        if self.files > 0 && self.damaged_ranges == 0 && file.base.get() > self.end {
            let reason = format!("offsets {} to {} are in no file", self.end, file.base.get() - 1);
            self.add(DamageView {
                file: file.name.clone(),
                file_position: 0,
                bytes: 0,
                first_offset: self.end,
                next_good_offset: Some(file.base.get()),
                reason,
            });
        }
        self.files += 1;
        self.bytes += file.bytes;
    }

    /// Counts an item and says how many bytes it is.
    fn take(&mut self, file: &LogFile, item: ScanItem) -> u64 {
        match item {
            ScanItem::Batch { batch, .. } => self.take_batch(&batch),
            ScanItem::Damaged { file_position, bytes, first, resume, error } => {
                self.add(DamageView {
                    file: file.name.clone(),
                    file_position,
                    bytes,
                    first_offset: first.get(),
                    next_good_offset: resume.map(|offset| offset.get()),
                    reason: error.to_string(),
                });
                bytes
            }
        }
    }

    fn take_batch(&mut self, batch: &Batch) -> u64 {
        let header = batch.header();
        self.batches += 1;
        self.records += u64::from(header.record_count);
        self.end = header.end_offset().get();
        u64::from(header.bytes)
    }

    fn add(&mut self, damage: DamageView) {
        self.damaged_ranges += 1;
        if self.damage.len() < RANGES_LISTED_MAX {
            self.damage.push(damage);
        }
    }

    fn text(&self) -> String {
        let Self { files, bytes, batches, records, start, end, damaged_ranges, damage } = self;
        let summary = format!(
            "{files} files, {bytes} bytes, {batches} batches, {records} records, offsets from {start} to before {end}"
        );
        if *damaged_ranges == 0 {
            return format!("{summary}: every checksum is right");
        }
        let rows = damage.iter().map(|damage| {
            vec![
                damage.first_offset.to_string(),
                damage.next_good_offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string()),
                damage.file.clone(),
                damage.file_position.to_string(),
                damage.bytes.to_string(),
                damage.reason.clone(),
            ]
        });
        let damage = table(&["DAMAGED FROM", "GOOD AGAIN AT", "FILE", "AT BYTE", "BYTES", "REASON"], rows);
        format!("{summary}\n\n{damage}")
    }
}
