use liftbridge_commitlog::{FaultyVolume, MemoryVolume, Volume};

use super::*;

fn index(number: u64) -> LogIndex {
    LogIndex::new(number)
}

fn store(volume: &dyn Volume, retain: usize) -> SnapshotStore {
    SnapshotStore::open(volume.directory("snapshots"), retain).unwrap()
}

#[test]
fn golden_bytes_of_a_snapshot_file() {
    let volume = MemoryVolume::new();
    store(&volume, 2).write(index(7), b"body").unwrap();
    let file = volume.directory("snapshots").open("00000000000000000007.snapshot").unwrap();
    let mut bytes = vec![0; 64];
    let read = file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes[..16], *b"LBMS\x01\0\0\0\x04\0\0\0\0\0\0\0");
    assert_eq!(bytes[16..read], *b"\x0a\x67\xff\x80body");
}

#[test]
fn a_snapshot_is_read_back_by_the_next_life() {
    let volume = MemoryVolume::new();
    store(&volume, 2).write(index(7), b"seven").unwrap();
    store(&volume, 2).write(index(9), b"nine").unwrap();
    let next = store(&volume, 2);
    assert_eq!(next.kept(), [index(7), index(9)]);
    assert_eq!(next.read(index(7)).unwrap(), b"seven");
    assert_eq!(next.read(index(9)).unwrap(), b"nine");
}

#[test]
fn only_the_newest_are_kept() {
    let volume = MemoryVolume::new();
    let mut store = store(&volume, 2);
    for number in 1..=4 {
        store.write(index(number), b"body").unwrap();
    }
    assert_eq!(store.prune().unwrap(), Some(index(3)));
    assert_eq!(store.kept(), [index(3), index(4)]);
    assert_eq!(volume.directory("snapshots").list().unwrap().len(), 2);
}

#[test]
fn an_unfinished_snapshot_is_removed_and_no_obstacle() {
    let volume = MemoryVolume::new();
    volume.directory("snapshots").create("00000000000000000007.snapshot.unfinished").unwrap();
    let mut store = store(&volume, 2);
    assert!(store.kept().is_empty());
    assert!(volume.directory("snapshots").list().unwrap().is_empty());
    store.write(index(7), b"body").unwrap();
}

#[test]
fn every_flipped_bit_is_noticed() {
    let volume = FaultyVolume::new(1);
    let mut store = store(&volume, 2);
    store.write(index(7), b"body").unwrap();
    // The reserved bytes may change their meaning one day; they are not looked at.
    for position in (0..24).filter(|position| !(5..8).contains(position)) {
        let path = "snapshots/00000000000000000007.snapshot";
        volume.flip_bit(path, position, 3).unwrap();
        let refused = store.read(index(7)).unwrap_err();
        let expected = matches!(refused, FramedReadError::Damaged { .. } | FramedReadError::NewerFormat { .. });
        assert!(expected, "byte {position}: {refused:?}");
        volume.flip_bit(path, position, 3).unwrap();
        store.read(index(7)).unwrap();
    }
}

#[test]
fn a_failed_write_leaves_the_older_snapshots() {
    let volume = FaultyVolume::new(2);
    let mut store = store(&volume, 2);
    store.write(index(1), b"one").unwrap();
    for after in 0.. {
        volume.fail_operation(after, io::ErrorKind::Other);
        if store.write(index(2), b"two").is_ok() {
            assert!(after > 3, "creating, writing, syncing and renaming were each visited");
            return;
        }
        volume.crash();
        store = SnapshotStore::open(volume.directory("snapshots"), 2).unwrap();
        assert_eq!(store.read(index(1)).unwrap(), b"one");
    }
}
