//! The commit log against loops that move and check the same bytes and do nothing else.

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use crc_fast::{CrcAlgorithm, checksum};
use liftbridge_commitlog::{BatchBuilder, CommitLog, DiskVolume, LogOptions, SyncPolicy, Volume};
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

use crate::comparison::{Comparison, Effort, take_turns};

const RECORD_BYTES: usize = 256;
const BATCH_RECORDS: usize = 1000;
const BATCHES: usize = 300;
const READ_BYTES: usize = 256 * 1024;

/// Appending and reading, each against its bare loop.
///
/// # Panics
/// When the file system refuses.
pub fn measure(effort: Effort) -> Vec<Comparison> {
    let batches = effort.of(BATCHES);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let (ours, bare) = take_turns(effort, || append(path, batches).1, || crc_and_write(path, batches));
    let what = "log: append 256 B records in batches of 1,000";
    let appending = Comparison::of_rates(what, "records/s", ours, bare, 0.7);

    let (log, _) = append(path, batches);
    let bytes = log.size_bytes();
    let file = fill(&path.join("cached"), bytes);
    let (ours, bare) = take_turns(effort, || read(&log), || pread_and_crc(&file, bytes));
    let reading = Comparison::of_rates("log: read a cached log in sequence", "MB/s", ours, bare, 0.5);
    vec![appending, reading]
}

/// A new log with this many batches, and records per second.
fn append(directory: &Path, batches: usize) -> (CommitLog, f64) {
    // What is measured is the way into the page cache; the device has a measurement of its own.
    let options = LogOptions { sync: SyncPolicy::Never, ..LogOptions::default() };
    drop(std::fs::remove_dir_all(directory.join("log")));
    let volume = DiskVolume::new(directory);
    let (mut log, _) = CommitLog::open(volume.directory("log"), options).expect("a log can be opened");
    let value = vec![0x5a; RECORD_BYTES];
    let mut builder = BatchBuilder::new();
    let started = Instant::now();
    for batch in 0..batches {
        for _ in 0..BATCH_RECORDS {
            builder.push(None, &value, &[]).expect("the record fits");
        }
        let now = Timestamp::from_nanos(i64::try_from(batch).expect("it is small") * 1_000_000);
        log.append(&mut builder, LeaderEpoch::new(1), now).expect("the batch can be appended");
    }
    let seconds = started.elapsed().as_secs_f64();
    (log, (batches * BATCH_RECORDS) as f64 / seconds)
}

/// Records per second of a loop that checks and writes the values alone.
fn crc_and_write(directory: &Path, batches: usize) -> f64 {
    let path = directory.join("bare");
    let mut file = File::create(&path).expect("a file can be made");
    let values = vec![0x5a; RECORD_BYTES * BATCH_RECORDS];
    let started = Instant::now();
    for _ in 0..batches {
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &values).to_le_bytes();
        let slices = [IoSlice::new(&crc), IoSlice::new(&values)];
        let written = file.write_vectored(&slices).expect("the file can be written");
        assert_eq!(written, crc.len() + values.len(), "a whole batch is written at once");
    }
    let seconds = started.elapsed().as_secs_f64();
    std::fs::remove_file(&path).expect("the file can be removed");
    (batches * BATCH_RECORDS) as f64 / seconds
}

/// Megabytes per second of reading a whole log as subscribers do: whole batches, verified.
fn read(log: &CommitLog) -> f64 {
    let mut reader = log.view().reader(Offset::ZERO);
    let mut bytes = 0;
    let started = Instant::now();
    loop {
        let batches = reader.read(log.log_end(), READ_BYTES).expect("the log can be read");
        if batches.is_empty() {
            break;
        }
        bytes += batches.iter().map(|batch| batch.bytes().len()).sum::<usize>();
    }
    assert_eq!(bytes as u64, log.size_bytes(), "everything is read");
    bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
}

fn fill(path: &Path, bytes: u64) -> File {
    let mut file =
        OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path).expect("a file can be made");
    let block = vec![0x5a; READ_BYTES];
    let mut left = usize::try_from(bytes).expect("it fits memory");
    while left > 0 {
        let count = left.min(block.len());
        file.write_all(&block[..count]).expect("the file can be written");
        left -= count;
    }
    file
}

/// Megabytes per second of a loop that reads and checks.
fn pread_and_crc(file: &File, bytes: u64) -> f64 {
    let mut block = vec![0; READ_BYTES];
    let (mut position, mut crc) = (0, 0);
    let started = Instant::now();
    while position < bytes {
        let count = file.read_at(&mut block, position).expect("the file can be read");
        crc ^= checksum(CrcAlgorithm::Crc32Iscsi, &block[..count]);
        position += count as u64;
    }
    std::hint::black_box(crc);
    bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
}
