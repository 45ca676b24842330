//! Damage done to a stopped server's files. Owns finding the files of a partition and what is done to them; never what
//! should follow.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The directories of partitions in a data directory: those with segments, below `streams`.
pub fn partition_directories(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![data.join("streams")];
    while let Some(folder) = folders.pop() {
        let mut has_segments = false;
        for path in entries(&folder) {
            has_segments |= has_extension(&path, "log");
            if path.is_dir() {
                folders.push(path);
            }
        }
        if has_segments {
            found.push(folder);
        }
    }
    found.sort();
    found
}

/// Files in a partition's directory with this extension, by name: for segments, oldest first.
pub fn files(partition: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        entries(partition).into_iter().filter(|path| has_extension(path, extension)).collect();
    files.sort();
    files
}

/// Flips one bit.
pub fn flip_bit(file: &Path, at: u64) {
    let file = open(file);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("the byte can be read");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("the byte can be written");
}

/// Where `needle` lies in a file.
pub fn find(file: &Path, needle: &[u8]) -> Option<u64> {
    let bytes = fs::read(file).expect("the file can be read");
    let place = bytes.windows(needle.len()).position(|window| window == needle)?;
    u64::try_from(place).ok()
}

/// Appends these bytes.
pub fn append(file: &Path, bytes: &[u8]) {
    let end = fs::metadata(file).expect("the file exists").len();
    open(file).write_all_at(bytes, end).expect("the file can be written");
}

/// Makes a file this long, cutting it or filling it up with zeros.
pub fn resize(file: &Path, bytes: u64) {
    open(file).set_len(bytes).expect("the file can be resized");
}

/// Puts these bytes in place of a file's contents.
pub fn replace(file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).expect("the file can be written");
}

fn open(file: &Path) -> fs::File {
    OpenOptions::new().read(true).write(true).open(file).expect("the file can be opened")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.expect("the folder can be listed").path()).collect()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}
