//! Files that are written as a whole: aside first, then in the place of the one before. Owns that one of the two is there whatever
//! happens meanwhile; never what is in them.

use std::io::{self, IoSlice};

use liftbridge_commitlog::Storage;

/// Writes a file, durably, in the place of the one there was, if any.
pub(crate) fn replace(storage: &dyn Storage, name: &str, content: &[u8]) -> io::Result<()> {
    let unfinished = format!("{name}.unfinished");
    remove(storage, &unfinished)?;
    let file = storage.create(&unfinished)?;
    file.append(0, &mut [IoSlice::new(content)])?;
    file.sync()?;
    storage.rename(&unfinished, name)?;
    storage.sync_directory()
}

/// Removes a file. That it is not there is no error.
pub(crate) fn remove(storage: &dyn Storage, name: &str) -> io::Result<()> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
