//! The faults themselves: that each kind happens, that none breaks the contract, and that a seed repeats them.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::storage::{FaultyVolume, Storage, StorageFile, Volume};

const SEEDS: std::ops::Range<u64> = 0..2000;

fn append(file: &dyn StorageFile, bytes: &[u8]) -> io::Result<()> {
    file.append(file.bytes()?, &mut [IoSlice::new(bytes)])
}

fn read(storage: &dyn Storage, name: &str) -> io::Result<Vec<u8>> {
    let file = storage.open(name)?;
    let mut bytes = vec![0; usize::try_from(file.bytes()?).unwrap()];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// A volume with a durable file `a/f` that holds `bytes`.
fn with_file(seed: u64, bytes: &[u8]) -> (FaultyVolume, Arc<dyn Storage>, Arc<dyn StorageFile>) {
    let volume = FaultyVolume::new(seed);
    let storage = volume.directory("a");
    let file = storage.create("f").unwrap();
    append(&*file, bytes).unwrap();
    file.sync().unwrap();
    storage.sync_directory().unwrap();
    (volume, storage, file)
}

/// What `a/f` can hold after a crash, over all seeds; `None` = there is no such file.
fn outcomes(work: impl Fn(&FaultyVolume, &dyn Storage, &dyn StorageFile)) -> BTreeSet<Option<Vec<u8>>> {
    let outcome = |seed| {
        let (volume, storage, file) = with_file(seed, b"12");
        work(&volume, &*storage, &*file);
        volume.crash();
        read(&*volume.directory("a"), "f").ok()
    };
    SEEDS.map(outcome).collect()
}

/// What two bytes that were written behind `12` can leave.
const TORN: &[&[u8]] = &[b"12", b"1234", b"123", b"12\0\0", b"12\0"];

fn set(contents: &[&[u8]]) -> BTreeSet<Option<Vec<u8>>> {
    contents.iter().map(|content| Some(content.to_vec())).collect()
}

#[test]
fn what_was_synced_survives() {
    let synced = outcomes(|_, _, file| {
        append(file, b"34").unwrap();
        file.truncate(3).unwrap();
        file.sync().unwrap();
    });
    assert_eq!(synced, set(&[b"123"]));
}

#[test]
fn an_unsynced_write_is_lost_or_whole_or_torn_or_zeros() {
    let unsynced = outcomes(|_, _, file| append(file, b"34").unwrap());
    assert_eq!(unsynced, set(TORN));
}

/// Each of three sectors, the first of which holds a durable beginning, has either arrived or not.
#[test]
fn a_write_is_torn_between_sectors() {
    let unsynced = outcomes(|_, _, file| append(file, &[b'x'; 1534]).unwrap());
    let sectors = |content: &Vec<u8>| {
        let (written, sectors) = content.split_at(2);
        assert_eq!(written, b"12");
        let sectors = [&sectors[..510], &sectors[510..1022], &sectors[1022..]];
        sectors.map(|sector| {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is written whole or not at all");
            sector[0] == b'x'
        })
    };
    let found: BTreeSet<[bool; 3]> = unsynced
        .into_iter()
        .flatten()
        .filter(|content| content.len() == 1536)
        .map(|content| sectors(&content))
        .collect();
    assert_eq!(found.len(), 8, "{found:?}");
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let unsynced = outcomes(|_, _, file| {
        append(file, &[b'3'; 510]).unwrap();
        append(file, b"4").unwrap();
    });
    let later = unsynced.iter().flatten().filter(|content| content.ends_with(b"4"));
    let earlier: BTreeSet<bool> = later.map(|content| content.contains(&b'3')).collect();
    assert_eq!(earlier, BTreeSet::from([false, true]));
}

/// A sector is written as a whole: what came into it earlier is there when what came later is.
#[test]
fn of_two_writes_into_one_sector_the_later_one_does_not_survive_alone() {
    let unsynced = outcomes(|_, _, file| {
        append(file, b"3").unwrap();
        append(file, b"4").unwrap();
    });
    assert!(unsynced.is_superset(&set(&[b"12", b"123", b"1234", b"123\0"])), "{unsynced:?}");
    assert!(!unsynced.contains(&Some(b"12\x004".to_vec())), "{unsynced:?}");
}

#[test]
fn an_unsynced_truncation_may_not_have_happened() {
    assert_eq!(outcomes(|_, _, file| file.truncate(1).unwrap()), set(&[b"1", b"12"]));
}

#[test]
fn an_unsynced_removal_may_not_have_happened() {
    let removed = outcomes(|_, storage, _| storage.remove("f").unwrap());
    assert_eq!(removed, BTreeSet::from([None, Some(b"12".to_vec())]));
}

#[test]
fn a_rename_leaves_the_old_file_or_the_new_one() {
    let replace = |storage: &dyn Storage| {
        let new = storage.create("new").unwrap();
        append(&*new, b"new").unwrap();
        new.sync().unwrap();
        storage.rename("new", "f").unwrap();
    };
    assert_eq!(outcomes(|_, storage, _| replace(storage)), set(&[b"12", b"new"]));
    let synced = outcomes(|_, storage, _| {
        replace(storage);
        storage.sync_directory().unwrap();
    });
    assert_eq!(synced, set(&[b"new"]));
}

#[test]
fn an_unsynced_name_may_be_lost_though_the_file_was_synced() {
    let both: BTreeSet<bool> = SEEDS
        .map(|seed| {
            let (volume, storage, _) = with_file(seed, b"");
            storage.create("g").unwrap().sync().unwrap();
            volume.crash();
            volume.directory("a").open("g").is_ok()
        })
        .collect();
    assert_eq!(both, BTreeSet::from([false, true]));
}

#[test]
fn a_later_sync_does_not_mend_a_failed_one() {
    let unmended = outcomes(|volume, _, file| {
        append(file, b"34").unwrap();
        volume.fail_syncs(Some(io::ErrorKind::Other));
        file.sync().unwrap_err();
        volume.fail_syncs(None);
        file.sync().unwrap();
        let mut cached = [0; 4];
        assert_eq!((file.read_at(&mut cached, 0).unwrap(), &cached), (4, b"1234"));
    });
    assert_eq!(unmended, set(&[b"12", b"1234", b"12\0\0"]));
}

#[test]
fn handles_from_before_a_crash_are_dead() {
    let (volume, storage, file) = with_file(1, b"12");
    volume.crash();
    assert!(file.bytes().is_err());
    assert!(append(&*file, b"3").is_err());
    assert!(storage.list().is_err());
    assert_eq!(read(&*volume.directory("a"), "f").unwrap(), b"12");
}

#[test]
fn a_full_disk_takes_what_fits_and_recovers_with_room() {
    let (volume, storage, file) = with_file(1, b"12");
    volume.limit_free_bytes(Some(3));
    assert_eq!(append(&*file, b"3456").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(read(&*storage, "f").unwrap(), b"12345");
    assert_eq!(volume.free_bytes(), Some(0));
    file.truncate(2).unwrap();
    assert_eq!(volume.free_bytes(), Some(3));
    append(&*file, b"345").unwrap();
    storage.remove("f").unwrap();
    assert_eq!(volume.free_bytes(), Some(5));
    volume.limit_free_bytes(None);
    append(&*storage.create("g").unwrap(), b"123456").unwrap();
}

#[test]
fn a_failed_append_leaves_any_part() {
    let parts = outcomes(|volume, _, file| {
        let end = file.bytes().unwrap();
        volume.fail_operation(0, io::ErrorKind::Other);
        file.append(end, &mut [IoSlice::new(b"34")]).unwrap_err();
        file.sync().unwrap();
    });
    assert_eq!(parts, set(&[b"12", b"123", b"1234"]));
}

#[test]
fn each_operation_can_be_made_to_fail() {
    let work = |volume: &FaultyVolume| -> io::Result<()> {
        let storage = volume.directory("a");
        let file = storage.create("f")?;
        file.append(0, &mut [IoSlice::new(b"12")])?;
        file.sync()?;
        storage.rename("f", "g")?;
        storage.sync_directory()?;
        volume.rename_directory("a", "b")
    };
    let volume = FaultyVolume::new(1);
    work(&volume).unwrap();
    let count = volume.operation_count();
    assert_eq!(count, 6);
    for after in 0..count {
        let volume = FaultyVolume::new(1);
        volume.fail_operation(after, io::ErrorKind::PermissionDenied);
        assert_eq!(work(&volume).unwrap_err().kind(), io::ErrorKind::PermissionDenied, "operation {after}");
    }
}

#[test]
fn a_flipped_bit_is_seen_at_once_and_after_a_crash() {
    let (volume, storage, _) = with_file(1, b"12");
    volume.flip_bit("a/f", 1, 0).unwrap();
    assert_eq!(read(&*storage, "f").unwrap(), b"13");
    volume.crash();
    assert_eq!(read(&*volume.directory("a"), "f").unwrap(), b"13");
    assert_eq!(volume.flip_bit("a/f", 2, 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(volume.flip_bit("a/g", 0, 0).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn an_unreadable_range_fails_the_reads_that_touch_it() {
    let (volume, _, file) = with_file(1, b"12345678");
    volume.fail_reads("a/f", Some(2..4));
    let mut buffer = [0; 2];
    file.read_at(&mut buffer, 0).unwrap();
    file.read_at(&mut buffer, 4).unwrap();
    file.read_at(&mut buffer, 1).unwrap_err();
    file.read_at(&mut buffer, 3).unwrap_err();
    volume.fail_reads("a/f", None);
    file.read_at(&mut buffer, 3).unwrap();
}

#[test]
fn a_seed_repeats_itself() {
    let run = |seed| {
        let (volume, storage, file) = with_file(seed, b"");
        for byte in 0..50_u8 {
            append(&*file, &[byte; 20]).unwrap();
            storage.create(&byte.to_string()).unwrap();
        }
        volume.crash();
        let names: Vec<_> = volume.directory("a").list().unwrap().into_iter().map(|entry| entry.name).collect();
        (read(&*volume.directory("a"), "f").unwrap(), names)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}

#[test]
fn nothing_happens_between_a_power_cut_and_the_crash_it_is() {
    let volume = FaultyVolume::new(1);
    let directory = volume.directory("log");
    let file = directory.create("a").unwrap();
    file.append(0, &mut [IoSlice::new(b"kept")]).unwrap();
    volume.cut_power(Some(2));
    file.sync().unwrap();
    directory.sync_directory().unwrap();
    file.append(4, &mut [IoSlice::new(b" lost")]).unwrap_err();
    file.truncate(0).unwrap_err();
    directory.remove("a").unwrap_err();
    directory.sync_directory().unwrap_err();
    volume.crash();
    let file = volume.directory("log").open("a").unwrap();
    assert_eq!(file.bytes().unwrap(), 4, "what was synced before is all there, and nothing else");
}
