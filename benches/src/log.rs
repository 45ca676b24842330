//! What the log costs beside the least it could: a loop that checksums the same bytes and hands them to, or gets them
//! from, the file system. Nothing here syncs; what a sync costs is the device's.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use liftbridge_commitlog::{BatchBuilder, CommitLog, DiskVolume, LogOptions, LogView, Volume as _};
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};
use tempfile::TempDir;

use crate::figures::{medians, to_f64};
use crate::table::{Bound, Row, Unit};
use crate::{Failure, Scale, directory};

const VALUE: [u8; 256] = [7; 256];
const RECORDS_PER_BATCH: usize = 1_000;
const READ_BYTES_MAX: usize = 1024 * 1024;
/// Any time will do: nothing here looks at it.
const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// Measures appending and reading.
///
/// # Errors
/// When the disk fails.
pub fn measure(scale: &Scale) -> Result<Vec<Row>, Failure> {
    let [append, bare_append] = medians(scale.rounds, || append_round(scale.log_bytes))?;
    let mut filled = Scratch::new()?;
    filled.fill(scale.log_bytes)?;
    let file = filled.log_file()?;
    let [batches, records, bare_read] = medians(scale.rounds, || read_round(&filled.log.view(), &file))?;
    Ok(vec![
        Row::new("log: append, 1,000 × 256 B", append, Unit::MebibytesPerSecond)
            .beside(bare_append)
            .bound(Bound::AtLeast(0.7)),
        Row::new("log: cached read, batches", batches, Unit::MebibytesPerSecond)
            .beside(bare_read)
            .bound(Bound::AtLeast(0.5)),
        Row::new("log: cached read, every record decoded", records, Unit::MebibytesPerSecond).beside(bare_read),
    ])
}

/// A log in a directory of its own.
struct Scratch {
    log: CommitLog,
    directory: TempDir,
}

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let directory = directory::scratch()?;
        let storage = DiskVolume::new(directory.path()).directory("log");
        // One segment: beginning the next one syncs.
        let options = LogOptions { segment_bytes_max: u64::MAX, ..LogOptions::default() };
        let (log, _) = CommitLog::open(storage, options)?;
        Ok(Self { log, directory })
    }

    /// Appends batches until there are so many bytes.
    fn fill(&mut self, bytes: u64) -> Result<(), Failure> {
        let mut builder = BatchBuilder::new();
        while self.log.size_bytes() < bytes {
            for _ in 0..RECORDS_PER_BATCH {
                builder.push(None, black_box(&VALUE), &[])?;
            }
            self.log.append(&mut builder, LeaderEpoch::new(1), NOW)?;
        }
        Ok(())
    }

    /// The file the batches are in.
    fn log_file(&self) -> Result<File, Failure> {
        let files = files_with_extension(&self.directory.path().join("log"), "log")?;
        let [file] = files.as_slice() else { return Err(format!("one log file expected, got {files:?}").into()) };
        Ok(File::open(file)?)
    }
}

fn files_with_extension(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    let paths = std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).collect())
}

/// The log's and the bare loop's speed.
fn append_round(bytes: u64) -> Result<[f64; 2], Failure> {
    let mut scratch = Scratch::new()?;
    let start = Instant::now();
    scratch.fill(bytes)?;
    let ours = mebibytes_per_second(scratch.log.size_bytes(), start.elapsed());
    let batch = first_batch(&scratch.log.view())?;
    drop(scratch);
    Ok([ours, append_bare(&batch, bytes)?])
}

fn first_batch(view: &LogView) -> Result<Bytes, Failure> {
    let batches = view.reader(Offset::ZERO).read(view.log_end(), 1)?;
    Ok(batches.first().ok_or("the log is empty")?.bytes().clone())
}

fn append_bare(batch: &[u8], bytes: u64) -> Result<f64, Failure> {
    let directory = directory::scratch()?;
    let mut file = File::create(directory.path().join("bare"))?;
    let mut written = 0;
    let start = Instant::now();
    while written < bytes {
        black_box(crc_fast::crc32_iscsi(black_box(batch)));
        file.write_all(batch)?;
        written += batch.len() as u64;
    }
    Ok(mebibytes_per_second(written, start.elapsed()))
}

/// The log's speed in batches and in records, and the bare loop's, over the same file.
fn read_round(view: &LogView, file: &File) -> Result<[f64; 3], Failure> {
    let bytes = file.metadata()?.len();
    let timed = |read: &dyn Fn() -> Result<(), Failure>| -> Result<f64, Failure> {
        let start = Instant::now();
        read()?;
        Ok(mebibytes_per_second(bytes, start.elapsed()))
    };
    Ok([timed(&|| read_log(view, false))?, timed(&|| read_log(view, true))?, timed(&|| read_bare(file, bytes))?])
}

/// Reads a log from end to end and makes sure that all of it was there.
fn read_log(view: &LogView, decode: bool) -> Result<(), Failure> {
    let (mut reader, end) = (view.reader(Offset::ZERO), view.log_end());
    let mut count = 0;
    loop {
        let batches = reader.read(end, READ_BYTES_MAX)?;
        if batches.is_empty() {
            break;
        }
        for batch in &batches {
            count += if decode {
                batch.records().filter(|record| black_box(record).is_ok()).count() as u64
            } else {
                u64::from(batch.header().record_count)
            };
        }
    }
    if count == end.since(Offset::ZERO) { Ok(()) } else { Err(format!("read {count} records up to {end}").into()) }
}

fn read_bare(file: &File, bytes: u64) -> Result<(), Failure> {
    let mut buffer = vec![0; READ_BYTES_MAX];
    let mut position = 0;
    while position < bytes {
        let count = file.read_at(&mut buffer, position)?;
        black_box(crc_fast::crc32_iscsi(&buffer[..count]));
        position += count as u64;
    }
    Ok(())
}

fn mebibytes_per_second(bytes: u64, elapsed: Duration) -> f64 {
    to_f64(bytes) / (1024.0 * 1024.0) / elapsed.as_secs_f64()
}
