//! Letting go of files in two phases: renamed first, unlinked later. Owns the order that no crash can turn round; never
//! which files go.

use std::io;

use crate::error::LogError;
use crate::file_names::RELEASED_SUFFIX;
use crate::small_file;
use crate::storage::Storage;

/// The first phase: renames `name` so that it counts for nothing, and returns its new name; `None` when it does not exist.
/// Durable after the next `sync_directory`.
pub(crate) fn release(storage: &dyn Storage, name: &str) -> Result<Option<String>, LogError> {
    let released = format!("{name}{RELEASED_SUFFIX}");
    match storage.rename(name, &released) {
        Ok(()) => Ok(Some(released)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::new("rename", name, error)),
    }
}

/// The second phase, of files that somebody else released and may not have come to sync. A crash after the unlinking could
/// undo the renaming of some and not of others, so the renaming is made durable first.
pub(crate) fn remove_found(storage: &dyn Storage, released: &[String]) -> Result<(), LogError> {
    if released.is_empty() {
        return Ok(());
    }
    small_file::sync_directory(storage)?;
    for name in released {
        small_file::remove(storage, name)?;
    }
    Ok(())
}
