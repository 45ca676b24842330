//! What the log costs beside the least it could: a loop that checksums the same bytes and hands them to the file system.
//!
//! Compare within one run only: `append/log` with `append/bare`, `read/*` with `read/bare`. Nothing here syncs; what a
//! sync costs is the device's, and how often one is paid for is measured on the whole server.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use liftbridge_commitlog::{
    BatchBuilder, CommitLog, DiskVolume, HEADER_BYTES, LogOptions, LogView, SyncPolicy, Volume,
};
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};
use tempfile::TempDir;

const VALUE_BYTES: usize = 256;
const RECORDS_PER_BATCH: usize = 1_000;
/// A file is begun anew after so many bytes, so that neither side measures the machine running out of page cache.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Size of the log that is read; it fits the page cache.
const READ_LOG_BYTES: u64 = 64 * 1024 * 1024;
const READ_BYTES_MAX: usize = 1024 * 1024;

/// A log in a directory of its own.
struct Scratch {
    log: CommitLog,
    _directory: TempDir,
}

impl Scratch {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        let options = LogOptions { sync: SyncPolicy::Never, ..LogOptions::default() };
        let storage = DiskVolume::new(directory.path()).directory("log");
        let (log, _) = CommitLog::open(storage, options).expect("an empty log opens");
        Self { log, _directory: directory }
    }

    fn append(&mut self, builder: &mut BatchBuilder, record_count: usize, value: &[u8]) {
        for _ in 0..record_count {
            builder.push(None, value, &[]).expect("a small record fits");
        }
        let now = Timestamp::from_nanos(1_700_000_000_000_000_000);
        self.log.append(builder, LeaderEpoch::new(1), now).expect("the temporary directory is writable");
    }

    /// A log of about `bytes`.
    fn filled(bytes: u64) -> Self {
        let (mut scratch, mut builder) = (Self::new(), BatchBuilder::new());
        while scratch.log.size_bytes() < bytes {
            scratch.append(&mut builder, RECORDS_PER_BATCH, &[7; VALUE_BYTES]);
        }
        scratch
    }

    fn view(&self) -> LogView {
        self.log.view()
    }
}

/// Bytes of a batch of so many records.
fn batch_bytes(record_count: usize) -> usize {
    let mut builder = BatchBuilder::new();
    for _ in 0..record_count {
        builder.push(None, &[7; VALUE_BYTES], &[]).expect("a small record fits");
    }
    builder.bytes()
}

fn append_to_log(iterations: u64, record_count: usize) -> Duration {
    let value = black_box([7; VALUE_BYTES]);
    let mut builder = BatchBuilder::new();
    let mut elapsed = Duration::ZERO;
    let mut scratch = Scratch::new();
    for _ in 0..iterations {
        if scratch.log.size_bytes() > FILE_BYTES_MAX {
            scratch = Scratch::new();
        }
        let start = Instant::now();
        scratch.append(&mut builder, record_count, &value);
        elapsed += start.elapsed();
    }
    elapsed
}

fn append_bare(iterations: u64, bytes: usize) -> Duration {
    let buffer = black_box(vec![7; bytes]);
    let mut elapsed = Duration::ZERO;
    let (mut file, mut position) = (tempfile::tempfile().expect("the temporary directory is writable"), 0);
    for _ in 0..iterations {
        if position > FILE_BYTES_MAX {
            (file, position) = (tempfile::tempfile().expect("the temporary directory is writable"), 0);
        }
        let start = Instant::now();
        black_box(crc_fast::crc32_iscsi(&buffer));
        file.write_all_at(&buffer, position).expect("the temporary directory is writable");
        elapsed += start.elapsed();
        position += buffer.len() as u64;
    }
    elapsed
}

fn append(criterion: &mut Criterion) {
    for (name, record_count) in [("append", RECORDS_PER_BATCH), ("append_4k", 4096 / VALUE_BYTES)] {
        let bytes = batch_bytes(record_count);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function("bare", |bencher| bencher.iter_custom(|iterations| append_bare(iterations, bytes)));
        group
            .bench_function("log", |bencher| bencher.iter_custom(|iterations| append_to_log(iterations, record_count)));
        group.finish();
    }
}

/// Checksums a file from end to end, in reads of the same size.
fn read_bare(file: &File, bytes: u64, buffer: &mut [u8]) {
    let mut position = 0;
    while position < bytes {
        let count = file.read_at(buffer, position).expect("the file is readable");
        black_box(crc_fast::crc32_iscsi(&buffer[..count]));
        position += count as u64;
    }
}

/// Reads a log from end to end and returns how many records that were.
fn read_log(view: &LogView, decode: bool) -> usize {
    let (mut reader, end) = (view.reader(view.log_start()), view.log_end());
    let mut count = 0;
    loop {
        let batches = reader.read(end, READ_BYTES_MAX).expect("the log is sound");
        if batches.is_empty() {
            return count;
        }
        for batch in &batches {
            count += if decode {
                batch.records().filter(Result::is_ok).count()
            } else {
                batch.header().record_count as usize
            };
        }
    }
}

fn read(criterion: &mut Criterion) {
    let scratch = Scratch::filled(READ_LOG_BYTES);
    let (view, bytes) = (scratch.view(), scratch.log.size_bytes());
    let file = tempfile::tempfile().expect("the temporary directory is writable");
    file.write_all_at(&vec![7; usize::try_from(bytes).expect("it fits memory")], 0).expect("the file is writable");
    let mut buffer = vec![0; READ_BYTES_MAX];

    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("bare", |bencher| bencher.iter(|| read_bare(&file, bytes, &mut buffer)));
    group.bench_function("log_batches", |bencher| bencher.iter(|| read_log(&view, false)));
    group.bench_function("log_records", |bencher| bencher.iter(|| read_log(&view, true)));
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut builder = BatchBuilder::new();
    let value = black_box([7; VALUE_BYTES]);
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes((batch_bytes(RECORDS_PER_BATCH) - HEADER_BYTES) as u64));
    group.bench_function("push", |bencher| {
        bencher.iter(|| {
            builder.clear();
            for _ in 0..RECORDS_PER_BATCH {
                builder.push(None, &value, &[]).expect("a small record fits");
            }
            builder.bytes()
        });
    });
    group.finish();
}

fn look_up_times(criterion: &mut Criterion) {
    let scratch = Scratch::filled(READ_LOG_BYTES);
    let (view, end) = (scratch.view(), scratch.view().log_end());
    let first = 1_700_000_000_000_000_000;
    let span = i64::try_from(end.since(Offset::ZERO)).expect("a short log");
    let mut nanos = 0;
    criterion.bench_function("time_lookup", |bencher| {
        bencher.iter(|| {
            nanos = (nanos + 7_919) % span;
            view.first_at_or_after(Timestamp::from_nanos(first + nanos), end).expect("the log is sound")
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));
    targets = append, read, encode, look_up_times
}
criterion_main!(benches);
