//! Writing a segment's file anew. Owns that the old file or the new one is there at every instruction; never what it is for.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::CommitLog;
use crate::error::{AppendError, LogError};
use crate::segment::Segment;
use crate::small_file::{self, TEMPORARY_SUFFIX};
use crate::storage::StorageFile;

impl CommitLog {
    /// Puts a file in the place of the segment's: its first `kept` bytes, then `middle`, then the `rest` of its bytes. Durable
    /// when it returns; returns the new file's length.
    pub(super) fn splice(
        &mut self,
        segment: &Segment,
        from: &dyn StorageFile,
        kept: u64,
        middle: &[&[u8]],
        rest: Range<u64>,
    ) -> Result<u64, AppendError> {
        let name = segment.log_name();
        let temporary = format!("{name}{TEMPORARY_SUFFIX}");
        small_file::remove(self.storage(), &temporary)?;
        let into = self.storage().create(&temporary).map_err(|e| LogError::new("create", &temporary, e))?;
        copy(from, name, 0..kept, &*into, &temporary, 0)?;
        let mut position = kept;
        for part in middle {
            into.append(position, &mut [IoSlice::new(part)]).map_err(|e| LogError::new("write", &temporary, e))?;
            position += part.len() as u64;
        }
        let bytes = position + (rest.end - rest.start);
        copy(from, name, rest, &*into, &temporary, position)?;
        into.sync().map_err(|e| LogError::new("sync", &temporary, e))?;
        self.storage().rename(&temporary, name).map_err(|e| LogError::new("rename", &temporary, e))?;
        self.sync_directory()?;
        Ok(bytes)
    }
}

/// Appends a range of one file to another, which ends at `at`.
fn copy(
    from: &dyn StorageFile,
    name: &str,
    range: Range<u64>,
    into: &dyn StorageFile,
    into_name: &str,
    at: u64,
) -> Result<(), LogError> {
    let mut chunk = vec![0; COPY_BYTES];
    let mut position = range.start;
    while position < range.end {
        let wanted = usize::try_from(range.end - position).unwrap_or(usize::MAX).min(COPY_BYTES);
        let (part, _) = chunk.split_at_mut(wanted);
        let read = from.read_at(part, position).map_err(|e| LogError::new("read", name, e))?;
        if read < wanted {
            return Err(LogError::new("read", name, io::ErrorKind::UnexpectedEof.into()));
        }
        let target = at + (position - range.start);
        into.append(target, &mut [IoSlice::new(part)]).map_err(|e| LogError::new("write", into_name, e))?;
        position += read as u64;
    }
    Ok(())
}

/// Bytes copied at once.
const COPY_BYTES: usize = 1024 * 1024;
