//! Files in the root of the volume that hold one line of text, written once. Owns that such a file is whole or not there;
//! never what the line means.

use std::io;

use liftbridge_commitlog::Volume;
use liftbridge_types::NAME_BYTES_MAX;

use crate::whole_file;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The line, without its end.
    Whole(String),
    /// Something else: more than a line, less than one, no text.
    Damaged,
    /// There is no such file.
    Missing,
}

/// Reads a file of the root.
pub(crate) fn read(volume: &dyn Volume, name: &str) -> io::Result<Line> {
    let file = match volume.directory("").open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Line::Missing),
        Err(error) => return Err(error),
    };
    // A name with its line end; a longer file is cut, and then has no line end or no legal name.
    let mut bytes = vec![0; NAME_BYTES_MAX + 1];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    let text = String::from_utf8(bytes).unwrap_or_default();
    Ok(text.strip_suffix('\n').map_or(Line::Damaged, |line| Line::Whole(line.to_owned())))
}

/// Writes a file of the root, durably.
pub(crate) fn create(volume: &dyn Volume, name: &str, line: &str) -> io::Result<()> {
    whole_file::replace(&*volume.directory(""), name, format!("{line}\n").as_bytes())
}

/// Removes a file of the root, durably. That it is not there is no error.
pub(crate) fn remove(volume: &dyn Volume, name: &str) -> io::Result<()> {
    let root = volume.directory("");
    whole_file::remove(&*root, name)?;
    root.sync_directory()
}
