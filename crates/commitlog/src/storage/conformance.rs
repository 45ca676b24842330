//! What every volume and every directory does, run on all of them. A new implementation adds one line at the bottom.

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::storage::{DiskVolume, FaultyVolume, MemoryVolume, OverlayDirectory, Storage, StorageFile, Volume};

/// A rule's name and its check.
type Rule<T> = (&'static str, fn(&T));

/// What every directory does.
const DIRECTORY_RULES: &[Rule<dyn Storage>] = &[
    ("what is appended is read back", what_is_appended_is_read_back),
    ("many and empty buffers are appended in order", many_and_empty_buffers_are_appended_in_order),
    ("reads end at the end of the file", reads_end_at_the_end_of_the_file),
    ("truncation cuts and appending goes on", truncation_cuts_and_appending_goes_on),
    ("create refuses an existing name", create_refuses_an_existing_name),
    ("open and list see what was created", open_and_list_see_what_was_created),
    ("no file exists before the first", no_file_exists_before_the_first),
    ("rename replaces and handles follow", rename_replaces_and_handles_follow),
    ("removed files are still read by open handles", removed_files_are_still_read_by_open_handles),
    ("names that lead elsewhere are refused", names_that_lead_elsewhere_are_refused),
];

/// What every tree of directories does.
const VOLUME_RULES: &[Rule<dyn Volume>] = &[
    ("a directory is one, by whatever handle", a_directory_is_one_by_whatever_handle),
    ("nothing exists before the first file", nothing_exists_before_the_first_file),
    ("directories are listed by level", directories_are_listed_by_level),
    ("a renamed directory brings its files along", a_renamed_directory_brings_its_files_along),
    ("a rename never replaces a directory in use", a_rename_never_replaces_a_directory_in_use),
    ("a removed directory is gone and can be made again", a_removed_directory_is_gone_and_can_be_made_again),
    ("paths that lead elsewhere are refused", paths_that_lead_elsewhere_are_refused),
];

fn check_all(make: impl Fn() -> Box<dyn Volume>) {
    for (rule, test) in VOLUME_RULES {
        let volume = make();
        check_rule(rule, &volume, || test(&*volume));
    }
    for path in ["", "a", "a/b"] {
        check_directory(|| {
            let volume = make();
            (volume.directory(path), volume)
        });
    }
}

/// Checks a directory, which is there for as long as what it comes with.
fn check_directory<T>(make: impl Fn() -> (Arc<dyn Storage>, T)) {
    for (rule, test) in DIRECTORY_RULES {
        let (directory, _place) = make();
        check_rule(rule, &directory, || test(&*directory));
    }
}

fn check_rule(rule: &str, subject: &impl std::fmt::Debug, test: impl FnOnce()) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
    assert!(outcome.is_ok(), "{subject:?} breaks the rule: {rule}");
}

fn append(file: &dyn StorageFile, position: u64, bytes: &[u8]) {
    file.append(position, &mut [IoSlice::new(bytes)]).unwrap();
}

#[track_caller]
fn check_content(file: &dyn StorageFile, expected: &[u8]) {
    let mut buffer = vec![0xaa; expected.len() + 8];
    let count = file.read_at(&mut buffer, 0).unwrap();
    buffer.truncate(count);
    assert_eq!(buffer, expected);
    assert_eq!(file.bytes().unwrap(), expected.len() as u64);
}

#[track_caller]
fn check_kind<T: std::fmt::Debug>(result: io::Result<T>, expected: io::ErrorKind) {
    assert_eq!(result.unwrap_err().kind(), expected);
}

fn names(storage: &dyn Storage) -> Vec<(String, u64)> {
    let mut names: Vec<_> = storage.list().unwrap().into_iter().map(|entry| (entry.name, entry.bytes)).collect();
    names.sort();
    names
}

fn directories(volume: &dyn Volume, path: &str) -> Vec<String> {
    let mut names = volume.list_directories(path).unwrap();
    names.sort();
    names
}

fn what_is_appended_is_read_back(storage: &dyn Storage) {
    let file = storage.create("f").unwrap();
    append(&*file, 0, b"hello ");
    append(&*file, 6, b"world");
    file.sync().unwrap();
    check_content(&*file, b"hello world");
    let mut buffer = [0; 3];
    assert_eq!(file.read_at(&mut buffer, 7).unwrap(), 3);
    assert_eq!(&buffer, b"orl");
}

fn many_and_empty_buffers_are_appended_in_order(storage: &dyn Storage) {
    let file = storage.create("f").unwrap();
    let parts: Vec<Vec<u8>> = (0..3_000_u32).map(|i| i.to_le_bytes().repeat(i as usize % 3)).collect();
    let mut buffers: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    file.append(0, &mut buffers).unwrap();
    check_content(&*file, &parts.concat());
    file.append(parts.concat().len() as u64, &mut []).unwrap();
    check_content(&*file, &parts.concat());
}

fn reads_end_at_the_end_of_the_file(storage: &dyn Storage) {
    let file = storage.create("f").unwrap();
    append(&*file, 0, b"abc");
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(&mut buffer, 2).unwrap(), 1);
    assert_eq!(file.read_at(&mut buffer, 3).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 1_000).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
}

fn truncation_cuts_and_appending_goes_on(storage: &dyn Storage) {
    let file = storage.create("f").unwrap();
    append(&*file, 0, b"hello world");
    file.truncate(5).unwrap();
    check_content(&*file, b"hello");
    append(&*file, 5, b"!");
    file.sync().unwrap();
    check_content(&*file, b"hello!");
}

fn create_refuses_an_existing_name(storage: &dyn Storage) {
    append(&*storage.create("f").unwrap(), 0, b"kept");
    check_kind(storage.create("f"), io::ErrorKind::AlreadyExists);
    check_content(&*storage.open("f").unwrap(), b"kept");
}

fn open_and_list_see_what_was_created(storage: &dyn Storage) {
    append(&*storage.create("f").unwrap(), 0, b"abc");
    storage.create("g").unwrap();
    storage.sync_directory().unwrap();
    assert_eq!(names(storage), [("f".to_owned(), 3), ("g".to_owned(), 0)]);
    let reopened = storage.open("f").unwrap();
    check_content(&*reopened, b"abc");
    append(&*reopened, 3, b"d");
    check_content(&*storage.open("f").unwrap(), b"abcd");
    assert_eq!(names(storage), [("f".to_owned(), 4), ("g".to_owned(), 0)]);
    check_kind(storage.open("h"), io::ErrorKind::NotFound);
}

fn no_file_exists_before_the_first(storage: &dyn Storage) {
    assert_eq!(names(storage), []);
    storage.sync_directory().unwrap();
    check_kind(storage.open("f"), io::ErrorKind::NotFound);
    check_kind(storage.remove("f"), io::ErrorKind::NotFound);
    check_kind(storage.rename("f", "g"), io::ErrorKind::NotFound);
}

fn a_directory_is_one_by_whatever_handle(volume: &dyn Volume) {
    let (storage, other) = (volume.directory("a"), volume.directory("a"));
    append(&*storage.create("f").unwrap(), 0, b"abc");
    assert_eq!(names(&*other), [("f".to_owned(), 3)]);
    append(&*other.open("f").unwrap(), 3, b"d");
    check_content(&*storage.open("f").unwrap(), b"abcd");
}

fn nothing_exists_before_the_first_file(volume: &dyn Volume) {
    let storage = volume.directory("a/b");
    assert_eq!(names(&*storage), []);
    assert_eq!(directories(volume, ""), [""; 0]);
    assert_eq!(directories(volume, "a"), [""; 0]);
    storage.create("f").unwrap();
    assert_eq!(directories(volume, "a"), ["b"]);
}

fn rename_replaces_and_handles_follow(storage: &dyn Storage) {
    let new = storage.create("new").unwrap();
    append(&*new, 0, b"new");
    append(&*storage.create("f").unwrap(), 0, b"old");
    storage.rename("new", "f").unwrap();
    storage.sync_directory().unwrap();
    assert_eq!(names(storage), [("f".to_owned(), 3)]);
    append(&*new, 3, b"er");
    check_content(&*storage.open("f").unwrap(), b"newer");
}

fn removed_files_are_still_read_by_open_handles(storage: &dyn Storage) {
    let file = storage.create("f").unwrap();
    append(&*file, 0, b"abc");
    storage.remove("f").unwrap();
    storage.sync_directory().unwrap();
    assert_eq!(names(storage), []);
    check_content(&*file, b"abc");
    check_kind(storage.remove("f"), io::ErrorKind::NotFound);
    storage.create("f").unwrap();
    check_content(&*file, b"abc");
}

fn directories_are_listed_by_level(volume: &dyn Volume) {
    for path in ["a/1", "a/2/x", "a-b/1", "c"] {
        volume.directory(path).create("f").unwrap();
    }
    assert_eq!(directories(volume, ""), ["a", "a-b", "c"]);
    assert_eq!(directories(volume, "a"), ["1", "2"]);
    assert_eq!(directories(volume, "c"), [""; 0]);
}

fn a_renamed_directory_brings_its_files_along(volume: &dyn Volume) {
    let file = volume.directory("a/b").create("f").unwrap();
    append(&*file, 0, b"abc");
    volume.rename_directory("a", "x/y").unwrap();
    check_content(&*volume.directory("x/y/b").open("f").unwrap(), b"abc");
    append(&*file, 3, b"d");
    check_content(&*volume.directory("x/y/b").open("f").unwrap(), b"abcd");
    assert_eq!(names(&*volume.directory("a/b")), []);
    volume.rename_directory("a", "z").unwrap();
    volume.rename_directory("x", "x").unwrap();
    assert_eq!(directories(volume, "x"), ["y"]);
}

fn a_rename_never_replaces_a_directory_in_use(volume: &dyn Volume) {
    volume.directory("a").create("f").unwrap();
    volume.directory("b").create("g").unwrap();
    check_kind(volume.rename_directory("a", "b"), io::ErrorKind::DirectoryNotEmpty);
    assert_eq!(names(&*volume.directory("b")), [("g".to_owned(), 0)]);
}

fn a_removed_directory_is_gone_and_can_be_made_again(volume: &dyn Volume) {
    let storage = volume.directory("a/b");
    storage.create("f").unwrap();
    volume.directory("a/b/c").create("g").unwrap();
    volume.remove_directory("a/b").unwrap();
    volume.remove_directory("a/b").unwrap();
    volume.remove_directory("never/was").unwrap();
    assert_eq!(names(&*storage), []);
    assert_eq!(directories(volume, "a/b"), [""; 0]);
    storage.create("f").unwrap();
    assert_eq!(names(&*storage), [("f".to_owned(), 0)]);
}

fn names_that_lead_elsewhere_are_refused(storage: &dyn Storage) {
    storage.create("f").unwrap();
    for name in ["", ".", "..", "../f", "/f", "b/f", "f\0"] {
        check_kind(storage.create(name), io::ErrorKind::InvalidInput);
        check_kind(storage.open(name), io::ErrorKind::InvalidInput);
        check_kind(storage.remove(name), io::ErrorKind::InvalidInput);
        check_kind(storage.rename("f", name), io::ErrorKind::InvalidInput);
    }
}

fn paths_that_lead_elsewhere_are_refused(volume: &dyn Volume) {
    volume.directory("a").create("f").unwrap();
    for path in ["..", "a/..", "/a", "a//b", "a/"] {
        check_kind(volume.directory(path).create("f"), io::ErrorKind::InvalidInput);
        check_kind(volume.directory(path).list(), io::ErrorKind::InvalidInput);
        check_kind(volume.list_directories(path), io::ErrorKind::InvalidInput);
        check_kind(volume.rename_directory("a", path), io::ErrorKind::InvalidInput);
        check_kind(volume.remove_directory(path), io::ErrorKind::InvalidInput);
    }
    check_kind(volume.remove_directory(""), io::ErrorKind::InvalidInput);
}

/// A volume in a directory that does not exist yet, removed with the value.
#[derive(Debug)]
struct Temporary {
    volume: DiskVolume,
    _parent: tempfile::TempDir,
}

impl Temporary {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        Self { volume: DiskVolume::new(parent.path().join("not/yet")), _parent: parent }
    }
}

impl Volume for Temporary {
    fn directory(&self, path: &str) -> Arc<dyn Storage> {
        self.volume.directory(path)
    }
    fn list_directories(&self, path: &str) -> io::Result<Vec<String>> {
        self.volume.list_directories(path)
    }
    fn rename_directory(&self, from: &str, to: &str) -> io::Result<()> {
        self.volume.rename_directory(from, to)
    }
    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.volume.remove_directory(path)
    }
    fn free_bytes(&self) -> Option<u64> {
        self.volume.free_bytes()
    }
}

#[test]
fn the_disk_keeps_the_contract() {
    check_all(|| Box::new(Temporary::new()));
}

#[test]
fn memory_keeps_the_contract() {
    check_all(|| Box::new(MemoryVolume::new()));
}

#[test]
fn the_faulty_volume_keeps_the_contract_while_it_is_not_told_to_fail() {
    check_all(|| Box::new(FaultyVolume::new(1)));
}

#[test]
fn an_overlay_keeps_the_contract_of_a_directory() {
    check_directory(|| {
        let below = MemoryVolume::new().directory("a");
        (Arc::new(OverlayDirectory::new(below).unwrap()), ())
    });
}

#[test]
fn the_disk_knows_its_free_bytes_before_it_is_made() {
    let volume = Temporary::new();
    assert!(volume.free_bytes().unwrap() > 0);
    assert!(!volume.volume.root().exists());
}
