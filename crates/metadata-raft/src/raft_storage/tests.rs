use liftbridge_commitlog::MemoryVolume;

use super::*;

fn entry(index: u64, term: u64) -> Entry {
    let mut entry = Entry::default();
    (entry.index, entry.term) = (index, term);
    entry
}

fn open(volume: &dyn Volume) -> RaftStorage {
    RaftStorage::open(volume, 2, Some(&"test".to_owned())).unwrap().storage
}

fn hard_state(term: u64, commit: u64) -> HardState {
    let mut state = HardState::default();
    (state.term, state.vote, state.commit) = (term, RaftId::FOUNDER.get(), commit);
    state
}

#[test]
fn a_founded_group_has_one_voter_and_begins_after_its_snapshot() {
    let storage = open(&MemoryVolume::new());
    let state = storage.initial_state().unwrap();
    assert_eq!(state.conf_state.voters, [RaftId::FOUNDER.get()]);
    assert_eq!((state.hard_state.term, state.hard_state.commit), (FOUNDING_TERM, 1));
    assert_eq!((storage.first_index().unwrap(), storage.last_index().unwrap()), (2, 1));
    assert_eq!(storage.term(1).unwrap(), FOUNDING_TERM);
}

#[test]
fn entries_answer_as_raft_expects() {
    let volume = MemoryVolume::new();
    let mut storage = open(&volume);
    storage.persist(&[entry(2, 2), entry(3, 2), entry(4, 2)], Some(&hard_state(2, 1))).unwrap();
    storage.persist(&[entry(4, 3)], Some(&hard_state(3, 1))).unwrap();
    for storage in [storage, open(&volume)] {
        let indexes = |low, high| {
            let entries = storage.entries(low, high, None, GetEntriesContext::empty(false));
            entries.map(|entries| entries.iter().map(|entry| (entry.index, entry.term)).collect::<Vec<_>>())
        };
        assert_eq!(indexes(2, 5).unwrap(), [(2, 2), (3, 2), (4, 3)]);
        assert_eq!(indexes(3, 3).unwrap(), []);
        assert_eq!(indexes(1, 3), Err(raft::Error::Store(StorageError::Compacted)));
        assert_eq!(indexes(4, 6), Err(raft::Error::Store(StorageError::Unavailable)));
        assert_eq!(storage.last_index().unwrap(), 4);
        assert_eq!(storage.term(4).unwrap(), 3);
        assert_eq!(storage.term(5), Err(raft::Error::Store(StorageError::Unavailable)));
        assert_eq!(storage.term(0), Err(raft::Error::Store(StorageError::Compacted)));
        assert_eq!(storage.initial_state().unwrap().hard_state, hard_state(3, 1));
    }
}

#[test]
fn what_is_committed_beyond_the_entries_stored_is_not_noted() {
    let volume = MemoryVolume::new();
    let mut storage = open(&volume);
    storage.persist(&[entry(2, 2), entry(3, 2)], Some(&hard_state(2, 2))).unwrap();
    // A follower hears of it with entries that are then not stored.
    storage.persist(&[], Some(&hard_state(2, 5))).unwrap();
    drop(storage);
    let storage = open(&volume);
    assert_eq!(storage.initial_state().unwrap().hard_state, hard_state(2, 3));
}

#[test]
fn a_snapshot_takes_the_place_of_what_it_contains() {
    let volume = MemoryVolume::new();
    let mut storage = open(&volume);
    storage.persist(&[entry(2, 2), entry(3, 2), entry(4, 2)], Some(&hard_state(2, 4))).unwrap();
    let state = ClusterState::founded("test".to_owned());
    let body = storage.encode_snapshot(LogIndex::new(3), 2, &state);
    storage.install_snapshot(LogIndex::new(3), 2, storage.membership().clone(), &body).unwrap();
    for storage in [storage, open(&volume)] {
        assert_eq!((storage.first_index().unwrap(), storage.last_index().unwrap()), (4, 4));
        assert_eq!(storage.term(3).unwrap(), 2);
        let snapshot = storage.snapshot(3, 1).unwrap();
        assert_eq!(decode_snapshot(&snapshot.data).unwrap().state, state);
        assert_eq!((snapshot.get_metadata().index, snapshot.get_metadata().term), (3, 2));
        assert_eq!(
            storage.snapshot(4, 1).unwrap_err(),
            raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable)
        );
    }
}

#[track_caller]
fn check_continued(snapshot: u64, entries: &[u64], commit: u64, expected: bool) {
    let replayed = Replayed {
        entries: entries.iter().map(|index| entry(*index, 1)).collect(),
        hard_state: Some(hard_state(1, commit)),
    };
    let continued = is_continued(LogIndex::new(snapshot), &replayed);
    assert_eq!(continued, expected, "{snapshot} then {entries:?}, committed {commit}");
}

#[test]
fn a_log_continues_a_snapshot_when_nothing_committed_is_missing() {
    check_continued(5, &[], 5, true);
    check_continued(5, &[], 6, false);
    check_continued(5, &[6, 7], 7, true);
    check_continued(5, &[6, 7], 8, false);
    check_continued(5, &[3, 4, 5, 6], 6, true);
    check_continued(5, &[7, 8], 6, false);
    check_continued(5, &[3, 4], 4, true);
}
