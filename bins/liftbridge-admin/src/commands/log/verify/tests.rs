use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use liftbridge_commitlog::{BatchBuilder, LogOptions, Storage};
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};
use tempfile::TempDir;

use super::*;

/// A partition in a data directory.
struct Partition {
    data: TempDir,
    path: PathBuf,
}

/// Some 9 records to a segment.
const OPTIONS: fn() -> LogOptions =
    || LogOptions { segment_bytes_max: 1000, index_interval_bytes: 200, ..LogOptions::default() };

impl Partition {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("streams/7-orders/0");
        fs::create_dir_all(&path).unwrap();
        Self { data, path }
    }

    /// 40 synced records, one to a batch, and a server that was stopped cleanly.
    fn stopped() -> Self {
        let partition = Self::new();
        let mut log = partition.open();
        append(&mut log, 40);
        log.park(Offset::new(40)).unwrap();
        partition
    }

    /// The same, of a server that was killed before it came to write a checkpoint.
    fn killed() -> Self {
        let partition = Self::new();
        append(&mut partition.open(), 40);
        partition
    }

    fn open(&self) -> CommitLog {
        let storage: Arc<dyn Storage> = storage(&self.path).unwrap();
        CommitLog::open(storage, OPTIONS()).unwrap().0
    }

    /// The log files, ascending.
    fn log_files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.path).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
        files.sort();
        files
    }

    fn newest(&self) -> PathBuf {
        self.log_files().pop().unwrap()
    }

    /// The offset a log file begins at.
    fn base(&self, number: usize) -> u64 {
        self.log_files()[number].file_stem().unwrap().to_str().unwrap().parse().unwrap()
    }

    /// Every file with its content.
    fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut content: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        content.sort();
        content
    }

    /// What `judge` says, which changes nothing: its text, and the offsets that are damaged.
    #[track_caller]
    fn judged(&self) -> (String, Vec<(u64, u64)>) {
        let before = self.content();
        let verdict = judge(&self.path).unwrap();
        assert_eq!(self.content(), before, "nothing is changed");
        let shown = serde_json::to_value(&verdict).unwrap();
        let offset = |damage: &serde_json::Value, name: &str| damage[name].as_u64().unwrap();
        let damage = shown["damage"].as_array().unwrap().iter();
        let damage: Vec<_> = damage.map(|at| (offset(at, "first_offset"), offset(at, "next_good_offset"))).collect();
        assert_eq!(verdict.damaged_ranges(), damage.len());
        (verdict.text(), damage)
    }

    /// It is whole, and these words are said.
    #[track_caller]
    fn check_whole(&self, words: &[&str]) -> String {
        let (text, damage) = self.judged();
        assert_eq!(damage, [], "{text}");
        for words in ["every checksum is right"].iter().chain(words) {
            assert!(text.contains(words), "`{words}` in {text}");
        }
        text
    }

    /// Exactly these offsets cannot be read any more.
    #[track_caller]
    fn check_damaged(&self, offsets: &[(u64, u64)]) -> String {
        let (text, damage) = self.judged();
        assert_eq!(damage, offsets, "{text}");
        assert!(!text.contains("every checksum is right"), "{text}");
        text
    }
}

fn append(log: &mut CommitLog, count: u64) {
    for _ in 0..count {
        let value = format!("value {:020}", log.log_end());
        let mut builder = BatchBuilder::new();
        builder.push(None, value.as_bytes(), &[]).unwrap();
        log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).unwrap();
        log.sync().unwrap();
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn append_bytes(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// Bytes of a batch of one record; they are all alike.
fn batch_bytes(partition: &Partition) -> usize {
    let records = usize::try_from(partition.base(1)).unwrap();
    fs::read(&partition.log_files()[0]).unwrap().len() / records
}

#[test]
fn what_is_whole_is_said_to_be() {
    let text = Partition::stopped().check_whole(&["40 records, offsets from 0 to before 40"]);
    assert_eq!(text.lines().count(), 1, "{text}");
    Partition::killed().check_whole(&["40 records, offsets from 0 to before 40"]);
}

#[test]
fn c3_records_the_checkpoint_knows_and_no_file_has_are_damage() {
    let batch = batch_bytes(&Partition::stopped());
    for cut in [batch, batch / 2, 2 * batch, batch + 1] {
        let partition = Partition::stopped();
        change(&partition.newest(), |bytes| bytes.truncate(bytes.len() - cut));
        partition.check_damaged(&[(40 - cut.div_ceil(batch) as u64, 40)]);
    }
}

#[test]
fn a_segment_that_is_gone_is_damage_whichever_it_is() {
    let count = Partition::stopped().log_files().len();
    assert!(count >= 4);
    for number in 0..count {
        let partition = Partition::stopped();
        let end = if number + 1 < count { partition.base(number + 1) } else { 40 };
        let gone = (partition.base(number), end);
        fs::remove_file(&partition.log_files()[number]).unwrap();
        let text = partition.check_damaged(&[gone]);
        assert!(text.contains("are in no file"), "{text}");
    }
}

#[test]
fn a_checkpoint_that_all_files_are_gone_from_is_damage() {
    let partition = Partition::stopped();
    partition.log_files().iter().for_each(|file| fs::remove_file(file).unwrap());
    partition.check_damaged(&[(0, 40)]);
    fs::remove_file(partition.path.join("checkpoint")).unwrap();
    assert!(matches!(judge(&partition.path), Err(Failure::NoLogFiles { .. })), "nothing says that there was a log");
}

#[test]
fn files_that_are_made_anew_are_named_and_no_damage() {
    for name in ["checkpoint", "leader-epochs", "00000000000000000000.index"] {
        let partition = Partition::stopped();
        fs::write(partition.path.join(name), b"garbage, and some more of it").unwrap();
        partition.check_whole(&[&format!("made anew by the next start: {name}")]);
    }
}

#[test]
fn a3_a_torn_tail_was_never_acknowledged_and_is_no_damage() {
    let batch = batch_bytes(&Partition::killed());
    for torn in 1..batch {
        let partition = Partition::killed();
        change(&partition.newest(), |bytes| bytes.truncate(bytes.len() - torn));
        let words = format!("{} bytes at the end were never acknowledged; the next start cuts them", batch - torn);
        partition.check_whole(&[&words, "39 records, offsets from 0 to before 39"]);
    }
}

#[test]
fn a4_a_zeroed_tail_and_what_follows_it_are_no_damage() {
    let partition = Partition::stopped();
    append(&mut partition.open(), 1);
    let newest = fs::read(partition.newest()).unwrap();
    let last = newest[newest.len() - batch_bytes(&partition)..].to_vec();
    append_bytes(&partition.newest(), &[0; 5000]);
    partition.check_whole(&["5000 bytes at the end were never acknowledged", "41 records"]);
    append_bytes(&partition.newest(), &last);
    let words = format!("{} bytes at the end were never acknowledged", 5000 + last.len());
    partition.check_whole(&[&words, "41 records"]);
}

#[test]
fn rot_in_a_sealed_segment_is_damage_though_no_start_reads_it() {
    let partition = Partition::stopped();
    let first = &partition.log_files()[0];
    let batch = batch_bytes(&partition);
    change(first, |bytes| bytes[3 * batch - 5] ^= 4);
    change(first, |bytes| *bytes.last_mut().unwrap() ^= 4);
    let text = partition.check_damaged(&[(2, 3), (partition.base(1) - 1, partition.base(1))]);
    assert!(text.contains("00000000000000000000.log"), "{text}");
}

#[test]
fn rot_before_a_torn_tail_is_damage_without_the_tail() {
    let partition = Partition::stopped();
    append(&mut partition.open(), 3);
    let batch = batch_bytes(&partition);
    change(&partition.newest(), |bytes| {
        let records = bytes.len() / batch;
        bytes[(records - 1) * batch - 5] ^= 4;
        bytes.extend([0; 700]);
    });
    let text = partition.check_damaged(&[(41, 42)]);
    assert!(text.contains("700 bytes at the end were never acknowledged"), "{text}");
}

#[test]
fn what_a_crash_brought_back_behind_a_sealed_segment_is_of_nobody() {
    let partition = Partition::stopped();
    let files = partition.log_files();
    let ghost = fs::read(&files[1]).unwrap()[..batch_bytes(&partition)].to_vec();
    append_bytes(&files[0], &ghost);
    append_bytes(&files[0], b"and some more");
    partition.check_whole(&["40 records"]);
}

#[test]
fn what_a_server_is_just_writing_is_no_damage_and_that_there_is_one_is_said_first() {
    let partition = Partition::killed();
    change(&partition.newest(), |bytes| bytes.truncate(bytes.len() - 9));
    for directory in [partition.data.path(), &partition.path] {
        let lock = DirectoryLock::acquire(directory).unwrap();
        let text = partition.check_whole(&["bytes at the end are of a batch that was being written"]);
        assert!(text.starts_with("a server is using this directory"), "{text}");
        assert!(text.contains("not written yet or wrong, and made anew by the next start: checkpoint"), "{text}");
        drop(lock);
    }
    let text = partition.check_whole(&["were never acknowledged"]);
    assert!(!text.contains("a server is using"), "{text}");
}

#[test]
fn damage_is_damage_though_a_server_is_at_work() {
    let partition = Partition::stopped();
    let _lock = DirectoryLock::acquire(partition.data.path()).unwrap();
    change(&partition.log_files()[0], |bytes| bytes[60] ^= 4);
    let text = partition.check_damaged(&[(0, 1)]);
    assert!(text.starts_with("a server is using this directory"), "{text}");
}
