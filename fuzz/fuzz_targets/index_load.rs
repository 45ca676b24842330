//! A log whose derived files (index, checkpoint, table of leader epochs) hold anything at all. It has to open; and where
//! the checksums tell that the file is not what was written, every record has to be there.

#![no_main]

use std::io::IoSlice;
use std::sync::{Arc, OnceLock};

use crc_fast::crc32_iscsi;
use libfuzzer_sys::fuzz_target;
use liftbridge_commitlog::{BatchBuilder, CommitLog, LogOptions, MemoryVolume, Storage, Volume};
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

const RECORD_COUNT: u64 = 60;
const TIME: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

type Files = Vec<(String, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let [selector, data @ ..] = data else { return };
    let files = sound_log();
    let derived: Vec<_> = files.iter().filter(|(name, _)| !name.ends_with(".log")).collect();
    let (target, sound) = derived[usize::from(selector >> 2) % derived.len()];
    let planted = match selector & 3 {
        0 => data.to_vec(),
        1 => patched(sound, data),
        _ => with_checksums(target, patched(sound, data)),
    };
    let is_refused = with_checksums(target, planted.clone()) != planted;
    let storage = store(files, target, &planted);
    let (log, _) = CommitLog::open(storage, options()).expect("derived files are no reason not to open");
    let count = read_all(&log);
    if is_refused || &planted == sound {
        assert_eq!(count, RECORD_COUNT, "with a garbled `{target}`");
    }
});

fn options() -> LogOptions {
    LogOptions { segment_bytes_max: 600, index_interval_bytes: 100, tail_bytes_max: 0, ..LogOptions::default() }
}

/// The files of a closed log of a few segments and leader epochs.
fn sound_log() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let storage = MemoryVolume::new().directory("log");
        let (mut log, _) = CommitLog::open(Arc::clone(&storage), options()).expect("an empty log opens");
        let mut builder = BatchBuilder::new();
        for epoch in 0..RECORD_COUNT / 3 {
            for value in [b"one".as_slice(), b"two", b"three"] {
                builder.push(Some(b"key"), value, &[]).expect("a small record fits");
            }
            log.append(&mut builder, LeaderEpoch::new(1 + epoch / 5), TIME).expect("memory does not fail");
        }
        log.park(log.log_end()).expect("memory does not fail");
        let read = |name: String| {
            let content = content(&*storage, &name);
            (name, content)
        };
        storage.list().expect("memory does not fail").into_iter().map(|entry| read(entry.name)).collect()
    })
}

fn content(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let file = storage.open(name).expect("it was listed");
    let mut bytes = vec![0; usize::try_from(file.bytes().expect("memory does not fail")).expect("a small file")];
    file.read_at(&mut bytes, 0).expect("memory does not fail");
    bytes
}

/// A directory with these files, but for one.
fn store(files: &Files, target: &str, planted: &[u8]) -> Arc<dyn Storage> {
    let storage = MemoryVolume::new().directory("log");
    for (name, sound) in files {
        let content = if name == target { planted } else { sound };
        let file = storage.create(name).expect("names differ");
        file.append(0, &mut [IoSlice::new(content)]).expect("memory does not fail");
    }
    storage
}

/// `sound` with bytes replaced: each pair of `data` is a position and a value.
fn patched(sound: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for pair in data.chunks_exact(2) {
        let [position, value] = pair else { continue };
        if let Some(byte) = bytes.get_mut(usize::from(*position)) {
            *byte = *value;
        }
    }
    bytes
}

/// The file with the checksums made right for what is in it. See `docs/log-format.md` for where they are.
fn with_checksums(name: &str, mut bytes: Vec<u8>) -> Vec<u8> {
    if name.ends_with(".index") {
        let entries = crc32_iscsi(bytes.get(64..).unwrap_or_default());
        set(&mut bytes, 60, entries);
    }
    let end = if name == "leader-epochs" { bytes.len() } else { bytes.len().min(64) };
    let front = crc32_iscsi(bytes.get(8..end).unwrap_or_default());
    set(&mut bytes, 4, front);
    bytes
}

fn set(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(stored) = bytes.get_mut(at..at + 4) {
        stored.copy_from_slice(&crc.to_le_bytes());
    }
}

/// Reads every record there is; damage is skipped, which the log says it can.
fn read_all(log: &CommitLog) -> u64 {
    let view = log.view();
    let _ = view.first_at_or_after(TIME, view.log_end());
    let _ = view.last_at_or_before(TIME, view.log_end());
    let mut reader = view.reader(Offset::ZERO);
    let mut count = 0;
    loop {
        match reader.read(view.log_end(), 4096) {
            Ok(batches) if batches.is_empty() => return count,
            Ok(batches) => count += batches.iter().map(|batch| u64::from(batch.header().record_count)).sum::<u64>(),
            Err(_) if reader.next_offset() >= view.log_end() => return count,
            Err(_) => {}
        }
    }
}
