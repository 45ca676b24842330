//! Small files that are replaced as a whole: written aside, synced, renamed. Owns that a reader sees the old or the new
//! content and nothing between; never what the content means.

use std::io::{self, IoSlice};

use crate::error::LogError;
use crate::storage::Storage;

/// Suffix of a file that is being written and counts for nothing until renamed.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Suffix of a directory that stood where a file belongs.
const ASIDE_SUFFIX: &str = ".aside";

/// Replaces `name` by `content`. The content is durable when this returns; the rename itself only after the next
/// `sync_directory`, so until then a crash may leave the old content.
pub(crate) fn replace(storage: &dyn Storage, name: &str, content: &[u8]) -> Result<(), LogError> {
    let temporary = format!("{name}{TEMPORARY_SUFFIX}");
    remove(storage, &temporary)?;
    let file = storage.create(&temporary).map_err(|e| LogError::new("create", &temporary, e))?;
    file.append(0, &mut [IoSlice::new(content)]).map_err(|e| LogError::new("write", &temporary, e))?;
    file.sync().map_err(|e| LogError::new("sync", &temporary, e))?;
    let renamed = match storage.rename(&temporary, name) {
        // Kept under another name: the log has not put it there, and does not throw it away.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            storage.rename(name, &format!("{name}{ASIDE_SUFFIX}")).and_then(|()| storage.rename(&temporary, name))
        }
        renamed => renamed,
    };
    renamed.map_err(|e| LogError::new("rename", &temporary, e))
}

/// Whether an attempt to open a file says that there is none: nothing, or a directory, which is as good as nothing.
pub(crate) fn is_no_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory)
}

/// Removes `name`. That it does not exist is no error.
pub(crate) fn remove(storage: &dyn Storage, name: &str) -> Result<(), LogError> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LogError::new("remove", name, error)),
        _ => Ok(()),
    }
}

/// Makes durable which files there are and what they are called.
pub(crate) fn sync_directory(storage: &dyn Storage) -> Result<(), LogError> {
    storage.sync_directory().map_err(|e| LogError::new("sync", ".", e))
}

/// Reads `name` whole; `None` when there is no such file or it is larger than `bytes_max` and so cannot be one of ours.
pub(crate) fn read(storage: &dyn Storage, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, LogError> {
    let file = match storage.open(name) {
        Ok(file) => file,
        Err(error) if is_no_file(&error) => return Ok(None),
        Err(error) => return Err(LogError::new("open", name, error)),
    };
    let bytes = file.bytes().map_err(|e| LogError::new("measure", name, e))?;
    if bytes > bytes_max {
        return Ok(None);
    }
    let Ok(bytes) = usize::try_from(bytes) else { return Ok(None) };
    let mut content = vec![0; bytes];
    let read = file.read_at(&mut content, 0).map_err(|e| LogError::new("read", name, e))?;
    content.truncate(read);
    Ok(Some(content))
}
