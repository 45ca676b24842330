//! A directory with changes on top that only this process sees. Owns that nothing below ever changes; never why somebody
//! wants to change it all the same.
//!
//! What is written, cut, renamed or removed is kept in memory and forgotten with the last handle. What is not is read from
//! below when it is asked for, so a log file of any size costs nothing but what is appended to it.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::storage::memory::{copy_at, file_position, write_at};
use crate::storage::path::check_name;
use crate::storage::{FileEntry, Storage, StorageFile};

/// A directory as it was when this was made, with changes on top.
///
/// Invariants:
/// - nothing is written, cut, renamed, created or removed below;
/// - which files there are, and how long, does not change with what others do below: what they append is not seen.
#[derive(Debug)]
pub(crate) struct OverlayDirectory {
    below: Arc<dyn Storage>,
    files: Mutex<BTreeMap<String, Overlaid>>,
}

/// A file under the name it has here.
#[derive(Clone, Debug)]
struct Overlaid {
    /// The name it has below; `None` when it was created here.
    name_below: Option<String>,
    content: Arc<RwLock<Content>>,
}

/// The beginning of the file below, and what was appended to it here.
#[derive(Debug, Default)]
struct Content {
    /// Bytes of the file below that are still shown.
    kept_bytes: u64,
    appended: Vec<u8>,
}

impl OverlayDirectory {
    /// What is in `below` now.
    pub(crate) fn new(below: Arc<dyn Storage>) -> io::Result<Self> {
        let files = below.list()?.into_iter().map(|FileEntry { name, bytes }| {
            let content = Content { kept_bytes: bytes, appended: Vec::new() };
            (name.clone(), Overlaid { name_below: Some(name), content: Arc::new(RwLock::new(content)) })
        });
        Ok(Self { files: Mutex::new(files.collect()), below })
    }

    fn handle(&self, file: &Overlaid) -> io::Result<Arc<dyn StorageFile>> {
        let below = file.name_below.as_deref().map(|name| self.below.open(name)).transpose()?;
        Ok(Arc::new(OverlayFile { below, content: Arc::clone(&file.content) }))
    }
}

impl Storage for OverlayDirectory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_name(name)?;
        let mut files = self.files.lock();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Overlaid { name_below: None, content: Arc::default() };
        let handle = self.handle(&file)?;
        files.insert(name.to_owned(), file);
        Ok(handle)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_name(name)?;
        let file = self.files.lock().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        self.handle(&file)
    }

    fn list(&self) -> io::Result<Vec<FileEntry>> {
        let files = self.files.lock();
        let entry =
            |(name, file): (&String, &Overlaid)| FileEntry { name: name.clone(), bytes: file.content.read().bytes() };
        Ok(files.iter().map(entry).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.files.lock().remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Content {
    fn bytes(&self) -> u64 {
        self.kept_bytes.saturating_add(self.appended.len() as u64)
    }
}

#[derive(Debug)]
struct OverlayFile {
    below: Option<Arc<dyn StorageFile>>,
    content: Arc<RwLock<Content>>,
}

impl StorageFile for OverlayFile {
    fn append(&self, position: u64, buffers: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut content = self.content.write();
        // An appender knows the end, and what is below stays as it is.
        let position = position.checked_sub(content.kept_bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let mut position = file_position(position)?;
        for buffer in buffers.iter() {
            write_at(&mut content.appended, position, buffer);
            position += buffer.len();
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let content = self.content.read();
        let kept = content.kept_bytes.saturating_sub(position);
        let count = usize::try_from(kept).unwrap_or(usize::MAX).min(buffer.len());
        let (kept, rest) = buffer.split_at_mut(count);
        let read = match &self.below {
            Some(below) if !kept.is_empty() => below.read_at(kept, position)?,
            _ => 0,
        };
        if read < count {
            // Somebody has cut the file below since.
            return Ok(read);
        }
        let position = position.saturating_add(read as u64).saturating_sub(content.kept_bytes);
        Ok(read + copy_at(&content.appended, rest, position))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut content = self.content.write();
        content.kept_bytes = content.kept_bytes.min(bytes);
        let appended = file_position(bytes - content.kept_bytes)?;
        content.appended.resize(appended, 0);
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.below.as_ref().map_or(Ok(()), |below| below.drop_cache())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.content.read().bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{MemoryVolume, Volume};

    fn content(storage: &dyn Storage, name: &str) -> Vec<u8> {
        let mut buffer = vec![0; 64];
        let count = storage.open(name).unwrap().read_at(&mut buffer, 0).unwrap();
        buffer.truncate(count);
        buffer
    }

    fn append(storage: &dyn Storage, name: &str, bytes: &[u8]) {
        let file = storage.open(name).unwrap();
        file.append(file.bytes().unwrap(), &mut [IoSlice::new(bytes)]).unwrap();
    }

    /// A directory of the files `f` and `g`.
    fn below() -> Arc<dyn Storage> {
        let below = MemoryVolume::new().directory("d");
        for name in ["f", "g"] {
            below.create(name).unwrap();
            append(&*below, name, b"below");
        }
        below
    }

    #[test]
    fn nothing_that_is_done_to_it_changes_what_is_below() {
        let below = below();
        let overlay = OverlayDirectory::new(Arc::clone(&below)).unwrap();
        append(&overlay, "f", b" and above");
        assert_eq!(content(&overlay, "f"), b"below and above");
        overlay.open("f").unwrap().truncate(3).unwrap();
        append(&overlay, "f", b"ieve");
        overlay.rename("f", "g").unwrap();
        overlay.create("h").unwrap();
        overlay.open("h").unwrap().truncate(2).unwrap();
        assert_eq!(content(&overlay, "g"), b"believe");
        overlay.rename("g", "f").unwrap();
        assert_eq!((content(&overlay, "f"), content(&overlay, "h")), (b"believe".to_vec(), vec![0, 0]));
        overlay.remove("f").unwrap();
        assert_eq!(overlay.open("f").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(overlay.list().unwrap(), [FileEntry { name: "h".to_owned(), bytes: 2 }]);

        assert_eq!((content(&*below, "f"), content(&*below, "g")), (b"below".to_vec(), b"below".to_vec()));
        assert_eq!(below.list().unwrap().len(), 2);
    }

    #[test]
    fn a_read_goes_from_what_is_below_to_what_was_appended() {
        let overlay = OverlayDirectory::new(below()).unwrap();
        append(&overlay, "f", b"above");
        let file = overlay.open("f").unwrap();
        for (position, expected) in
            [(0, "bel"), (3, "owa"), (4, "wab"), (5, "abo"), (8, "ve"), (10, ""), (u64::MAX, "")]
        {
            let mut buffer = [0; 3];
            let count = file.read_at(&mut buffer, position).unwrap();
            assert_eq!(&buffer[..count], expected.as_bytes(), "at {position}");
        }
        let refused = file.append(4, &mut [IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "that would change what is below");
    }

    #[test]
    fn what_others_append_and_create_below_is_not_seen() {
        let below = below();
        let overlay = OverlayDirectory::new(Arc::clone(&below)).unwrap();
        append(&*below, "f", b" grows");
        below.create("new").unwrap();
        assert_eq!(content(&overlay, "f"), b"below");
        assert_eq!(overlay.list().unwrap().len(), 2);
        assert_eq!(overlay.open("new").unwrap_err().kind(), io::ErrorKind::NotFound);
        below.open("f").unwrap().truncate(2).unwrap();
        assert_eq!(content(&overlay, "f"), b"be", "what is gone cannot be read");
    }
}
