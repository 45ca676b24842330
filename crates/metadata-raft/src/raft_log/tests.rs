use liftbridge_commitlog::{FaultyVolume, MemoryVolume, Volume};

use super::*;

fn entry(index: u64, term: u64) -> Entry {
    let mut entry = Entry::default();
    (entry.index, entry.term) = (index, term);
    entry.data = Bytes::from(format!("{index}.{term}"));
    entry
}

fn entries(range: std::ops::Range<u64>, term: u64) -> Vec<Entry> {
    range.map(|index| entry(index, term)).collect()
}

fn hard_state(term: u64, commit: u64) -> HardState {
    let mut state = HardState::default();
    (state.term, state.vote, state.commit) = (term, 1, commit);
    state
}

fn open(volume: &dyn Volume) -> (RaftLog, Replayed) {
    RaftLog::open(volume.directory("raft")).unwrap()
}

fn written(replayed: &Replayed) -> Vec<(u64, u64)> {
    replayed.entries.iter().map(|entry| (entry.index, entry.term)).collect()
}

#[test]
fn entries_and_the_latest_hard_state_are_replayed() {
    let volume = MemoryVolume::new();
    let (mut log, replayed) = open(&volume);
    assert!(log.is_empty() && replayed.entries.is_empty() && replayed.hard_state.is_none());
    log.append(&entries(2..4, 1), Some(&hard_state(1, 1))).unwrap();
    log.append(&entries(4..5, 1), Some(&hard_state(2, 3))).unwrap();
    drop(log);
    let (log, replayed) = open(&volume);
    assert!(!log.is_empty());
    assert_eq!(replayed.entries, entries(2..5, 1));
    assert_eq!(replayed.hard_state, Some(hard_state(2, 3)));
}

#[test]
fn a_conflicting_suffix_is_overruled() {
    let volume = MemoryVolume::new();
    let (mut log, _) = open(&volume);
    log.append(&entries(2..8, 1), None).unwrap();
    log.append(&entries(4..6, 2), None).unwrap();
    log.append(&entries(6..7, 2), None).unwrap();
    drop(log);
    assert_eq!(written(&open(&volume).1), [(2, 1), (3, 1), (4, 2), (5, 2), (6, 2)]);
}

#[test]
fn a_reset_voids_every_entry_before_it() {
    let volume = MemoryVolume::new();
    let (mut log, _) = open(&volume);
    log.append(&entries(2..8, 1), Some(&hard_state(1, 3))).unwrap();
    log.reset(LogIndex::new(5), &hard_state(4, 5)).unwrap();
    let (_, replayed) = open(&volume);
    assert_eq!((written(&replayed), replayed.hard_state), (vec![], Some(hard_state(4, 5))));
    log.append(&entries(6..7, 4), None).unwrap();
    drop(log);
    assert_eq!(written(&open(&volume).1), [(6, 4)]);
}

#[test]
fn entries_after_a_gap_stand_alone() {
    let volume = MemoryVolume::new();
    let (mut log, _) = open(&volume);
    log.append(&entries(2..4, 1), None).unwrap();
    log.append(&entries(9..11, 3), None).unwrap();
    drop(log);
    assert_eq!(written(&open(&volume).1), [(9, 3), (10, 3)]);
}

#[test]
fn compaction_keeps_what_is_needed_and_the_hard_state() {
    let volume = MemoryVolume::new();
    let (mut log, _) = open(&volume);
    let large = |index| {
        let mut entry = entry(index, 1);
        entry.data = vec![7; 100_000].into();
        entry
    };
    log.append(&[], Some(&hard_state(1, 1))).unwrap();
    for index in 2..100 {
        log.append(&[large(index)], None).unwrap();
    }
    let bytes_before = log.log.size_bytes();
    log.compact(90, &hard_state(1, 80)).unwrap();
    assert!(log.log.size_bytes() < bytes_before / 3, "{} of {bytes_before} bytes are left", log.log.size_bytes());
    drop(log);
    let (mut log, replayed) = open(&volume);
    let indexes: Vec<u64> = replayed.entries.iter().map(|entry| entry.index).collect();
    assert!(indexes[0] <= 90 && indexes[0] > 2 && *indexes.last().unwrap() == 99, "{indexes:?}");
    assert_eq!(replayed.hard_state, Some(hard_state(1, 80)));
    log.append(&entries(100..101, 1), None).unwrap();
}

#[test]
fn more_than_a_batch_holds_becomes_several() {
    let volume = MemoryVolume::new();
    let (mut log, _) = open(&volume);
    let many: Vec<Entry> = (2..40)
        .map(|index| {
            let mut entry = entry(index, 1);
            entry.data = vec![1; 100_000].into();
            entry
        })
        .collect();
    log.append(&many, Some(&hard_state(1, 1))).unwrap();
    drop(log);
    assert_eq!(open(&volume).1.entries, many);
}

#[test]
fn entries_refused_by_a_full_disk_are_stored_when_there_is_room_again() {
    let volume = FaultyVolume::new(3);
    let (mut log, _) = open(&volume);
    log.append(&entries(2..3, 1), Some(&hard_state(1, 1))).unwrap();
    volume.limit_free_bytes(Some(10));
    let refused = log.append(&entries(3..9, 1), None).unwrap_err();
    assert!(refused.is_disk_full(), "{refused}");
    volume.limit_free_bytes(None);
    log.append(&entries(3..9, 1), None).unwrap();
    drop(log);
    assert_eq!(open(&volume).1.entries, entries(2..9, 1));
}
