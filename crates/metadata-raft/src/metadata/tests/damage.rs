//! Damaged or missing files: outlived or refused, and never an empty cluster.

use super::*;

#[test]
fn nothing_is_founded_where_there_is_data_already() {
    let may_not = MetadataOptions { may_found: false, ..options(1000) };
    assert!(matches!(Opened::try_on(&MemoryVolume::new(), &may_not), Err(OpenMetadataError::Missing)));
}

/// Enough streams and snapshots to have two snapshot files and a log behind the older one.
fn with_snapshots(volume: &dyn Volume) -> ClusterState {
    let opened = Opened::on(volume, 5);
    opened.propose(register("a")).unwrap();
    for number in 0..22 {
        let index = opened.propose(create(&format!("s{number:02}"), 1, Exactly(1))).unwrap();
        opened.metadata.carried_out(index);
    }
    opened.metadata.close();
    opened.metadata.state().clone()
}

fn snapshot_files(volume: &dyn Volume) -> Vec<String> {
    let mut names: Vec<String> =
        volume.directory("raft/snapshots").list().unwrap().into_iter().map(|file| file.name).collect();
    names.sort();
    names
}

#[test]
fn a_damaged_newest_snapshot_falls_back_to_the_one_before() {
    let volume = FaultyVolume::new(8);
    let state = with_snapshots(&volume);
    let files = snapshot_files(&volume);
    assert_eq!(files.len(), 2);
    volume.flip_bit(&format!("raft/snapshots/{}", files[1]), 30, 2).unwrap();
    assert_eq!(*Opened::on(&volume, 5).metadata.state(), state);
}

#[test]
fn damaged_metadata_is_refused_and_never_an_empty_cluster() {
    let volume = FaultyVolume::new(9);
    with_snapshots(&volume);
    for file in snapshot_files(&volume) {
        volume.flip_bit(&format!("raft/snapshots/{file}"), 30, 2).unwrap();
    }
    assert!(matches!(Opened::try_on(&volume, &options(5)), Err(OpenMetadataError::Unreachable)));
    volume.remove_directory("raft/snapshots").unwrap();
    assert!(matches!(Opened::try_on(&volume, &options(5)), Err(OpenMetadataError::Unreachable)));
}

/// Whatever happens to the log files after a clean stop, before the first snapshot: the streams are there or the start is
/// refused. An empty cluster would give the ids of lost streams, and their directories, to new ones.
#[test]
fn damage_at_the_end_of_the_log_is_never_taken_for_an_empty_cluster() {
    let closed = || {
        let volume = MemoryVolume::new();
        let opened = Opened::on(&volume, 1000);
        opened.propose(register("a")).unwrap();
        opened.propose(create("one", 1, Exactly(1))).unwrap();
        opened.propose(create("two", 1, Exactly(1))).unwrap();
        opened.metadata.close();
        volume
    };
    let check = |volume: &MemoryVolume, what: &str| {
        let with_data = MetadataOptions { may_found: false, ..options(1000) };
        if let Ok(opened) = Opened::try_on(volume, &with_data) {
            assert_eq!(opened.streams(), ["one", "two"], "{what}");
        }
    };
    let directory = closed().directory("raft");
    let file = directory.list().unwrap().into_iter().find(|file| file.name.ends_with(".log")).unwrap();
    for bytes in (0..file.bytes).step_by(7) {
        let volume = closed();
        volume.directory("raft").open(&file.name).unwrap().truncate(bytes).unwrap();
        check(&volume, &format!("cut to {bytes} bytes"));
        let volume = closed();
        let log = volume.directory("raft").open(&file.name).unwrap();
        let mut byte = [0];
        log.read_at(&mut byte, bytes).unwrap();
        log.append(bytes, &mut [std::io::IoSlice::new(&[byte[0] ^ 1])]).unwrap();
        check(&volume, &format!("bit flipped in byte {bytes}"));
    }
    for also_derived in [false, true] {
        let volume = closed();
        let directory = volume.directory("raft");
        for file in directory.list().unwrap() {
            if also_derived || file.name.ends_with(".log") {
                directory.remove(&file.name).unwrap();
            }
        }
        check(&volume, "log removed");
    }
}

/// Whoever puts the damaged file right, or a backup in its place, has the metadata back.
#[test]
fn a_start_that_is_refused_changes_nothing() {
    let volume = FaultyVolume::new(10);
    let opened = Opened::on(&volume, 1000);
    opened.propose(register("a")).unwrap();
    opened.propose(create("one", 1, Exactly(1))).unwrap();
    let state = opened.metadata.state().clone();
    // What it does when it is dropped reaches the medium no more.
    volume.crash();
    drop(opened);
    let files = || {
        let mut files = volume.directory("raft").list().unwrap();
        files.sort_by(|one, other| one.name.cmp(&other.name));
        files
    };
    let before = files();
    let log = before.iter().rfind(|file| file.name.ends_with(".log")).unwrap();
    let flip = || volume.flip_bit(&format!("raft/{}", log.name), log.bytes - 5, 3).unwrap();
    flip();
    assert!(Opened::try_on(&volume, &options(1000)).is_err());
    assert_eq!(files(), before);
    flip();
    assert_eq!(*Opened::on(&volume, 1000).metadata.state(), state);
}

/// Stopped cleanly twice, the metadata is in two snapshots, and the log goes on from the older one.
#[test]
fn after_clean_stops_no_snapshot_is_the_only_one() {
    let volume = FaultyVolume::new(11);
    let mut state = None;
    for name in ["one", "two", "three"] {
        let opened = Opened::on(&volume, 1000);
        opened.propose(register("a")).unwrap();
        let index = opened.propose(create(name, 1, Exactly(1))).unwrap();
        opened.metadata.carried_out(index);
        opened.metadata.close();
        state = Some(opened.metadata.state().clone());
    }
    let state = state.unwrap();
    let files = snapshot_files(&volume);
    assert_eq!(files.len(), 2);
    for path in files.iter().map(|file| format!("raft/snapshots/{file}")) {
        volume.flip_bit(&path, 40, 1).unwrap();
        let opened = Opened::on(&volume, 1000);
        assert_eq!(*opened.metadata.state(), state, "{path}");
        // What it does when it is dropped reaches the medium no more.
        volume.crash();
        drop(opened);
        volume.flip_bit(&path, 40, 1).unwrap();
    }
}

#[test]
fn snapshots_without_their_log_are_refused() {
    let volume = MemoryVolume::new();
    with_snapshots(&volume);
    let log = volume.directory("raft");
    for file in log.list().unwrap() {
        log.remove(&file.name).unwrap();
    }
    assert!(matches!(Opened::try_on(&volume, &options(5)), Err(OpenMetadataError::Forgetful)));
}

#[test]
fn a_flipped_bit_in_the_log_is_outlived_or_refused() {
    let log_file = |volume: &FaultyVolume| {
        let files = volume.directory("raft").list().unwrap();
        files.into_iter().find(|file| file.name.ends_with(".log")).expect("one segment holds it all")
    };
    let mut outlived = 0;
    let mut refused = 0;
    for step in 0.. {
        let volume = FaultyVolume::new(step);
        let state = with_snapshots(&volume);
        let file = log_file(&volume);
        let position = step * 61;
        if position >= file.bytes {
            break;
        }
        volume.flip_bit(&format!("raft/{}", file.name), position, 5).unwrap();
        match Opened::try_on(&volume, &options(5)) {
            Ok(opened) => {
                assert_eq!(*opened.metadata.state(), state, "byte {position} of {}", file.bytes);
                outlived += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(outlived > 0, "damage before what the newest snapshot needs is outlived");
    assert!(refused > 0, "damage of what is needed is refused");
}
