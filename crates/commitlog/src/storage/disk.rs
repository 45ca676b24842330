//! A volume on a file system. Owns system calls, their retries and what has to be synced; never a format.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::storage::path::{check_name, check_path, check_path_below_root};
use crate::storage::{FileEntry, Storage, StorageFile, Volume};

/// The most buffers one `pwritev` takes on any system in use.
const BUFFERS_MAX: usize = 1024;

/// A directory of a file system as a volume. The directory is created with the first file.
#[derive(Clone, Debug)]
pub struct DiskVolume {
    root: PathBuf,
}

impl DiskVolume {
    /// The volume in the directory `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { root: non_empty(&root).to_owned() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path_below_root(&self, path: &str) -> io::Result<PathBuf> {
        check_path_below_root(path)?;
        Ok(self.root.join(path))
    }
}

impl Volume for DiskVolume {
    fn directory(&self, path: &str) -> Arc<dyn Storage> {
        let (root, path) = (self.root.clone(), path.to_owned());
        Arc::new(DiskDirectory { root, path, is_durable: AtomicBool::new(false) })
    }

    fn list_directories(&self, path: &str) -> io::Result<Vec<String>> {
        check_path(path)?;
        let mut names = Vec::new();
        for entry in read_directory(&self.root.join(path))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        Ok(names)
    }

    fn rename_directory(&self, from: &str, to: &str) -> io::Result<()> {
        let (source, target) = (self.path_below_root(from)?, self.path_below_root(to)?);
        if !source.try_exists()? {
            return Ok(());
        }
        let (source_parent, target_parent) = (parent(&source), parent(&target));
        create_directory(&self.root, target_parent)?;
        fs::rename(&source, &target)?;
        sync_path(target_parent)?;
        if source_parent != target_parent { sync_path(source_parent) } else { Ok(()) }
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        let path = self.path_below_root(path)?;
        match fs::remove_dir_all(&path) {
            Ok(()) => sync_path(parent(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        // Before the first file the root does not exist; the nearest ancestor that does is on the same medium.
        let existing = self.root.ancestors().find_map(|path| rustix::fs::statvfs(non_empty(path)).ok())?;
        Some(existing.f_bavail.saturating_mul(existing.f_frsize))
    }
}

#[derive(Debug)]
struct DiskDirectory {
    root: PathBuf,
    path: String,
    /// Whether this handle has made the directory and its parents durable.
    is_durable: AtomicBool,
}

impl DiskDirectory {
    fn directory(&self) -> io::Result<PathBuf> {
        check_path(&self.path)?;
        Ok(self.root.join(&self.path))
    }

    fn file(&self, name: &str) -> io::Result<PathBuf> {
        check_name(name)?;
        Ok(self.directory()?.join(name))
    }

    fn ensure_durable(&self) -> io::Result<()> {
        create_directory(&self.root, &self.directory()?)?;
        self.is_durable.store(true, Ordering::Release);
        Ok(())
    }
}

impl Storage for DiskDirectory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let path = self.file(name)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        if !self.is_durable.load(Ordering::Acquire) {
            self.ensure_durable()?;
        }
        let file = match options.open(&path) {
            // The directory was removed or renamed since this handle made it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.ensure_durable()?;
                options.open(&path)?
            }
            opened => opened?,
        };
        Ok(Arc::new(DiskFile { file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.file(name)?)?;
        Ok(Arc::new(DiskFile { file }))
    }

    fn list(&self) -> io::Result<Vec<FileEntry>> {
        let mut files = Vec::new();
        for entry in read_directory(&self.directory()?)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // Removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            // A name that is no text is none of ours.
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push(FileEntry { name, bytes: metadata.len() });
            }
        }
        Ok(files)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.file(from)?, self.file(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.file(name)?)
    }

    fn sync_directory(&self) -> io::Result<()> {
        match sync_path(&self.directory()?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        }
    }
}

#[derive(Debug)]
struct DiskFile {
    file: File,
}

impl StorageFile for DiskFile {
    fn append(&self, position: u64, buffers: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut position = position;
        let mut rest = buffers;
        IoSlice::advance_slices(&mut rest, 0); // Leaves out empty buffers, so that 0 bytes written is always an error.
        while !rest.is_empty() {
            let some = rest.get(..BUFFERS_MAX).unwrap_or(rest);
            match rustix::io::pwritev(&self.file, some, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    IoSlice::advance_slices(&mut rest, count);
                    position += count as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut position = position;
        let mut rest = &mut *buffer;
        while !rest.is_empty() {
            match self.file.read_at(rest, position) {
                Ok(0) => break,
                Ok(count) => {
                    rest = rest.get_mut(count..).unwrap_or_default();
                    position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let missing = rest.len();
        Ok(buffer.len() - missing)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed)?)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// The entries of a directory; none when it does not exist.
fn read_directory(path: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

/// Makes `directory` exist and durable, with its parents.
///
/// Parents up to the root of the volume are synced even when they are there: whoever made them may not have come to syncing
/// them yet. The root and what is above it are when they are made.
fn create_directory(root: &Path, directory: &Path) -> io::Result<()> {
    let is_below_root = directory != root && directory.starts_with(root);
    if !is_below_root && directory.try_exists()? {
        return Ok(());
    }
    let parent = parent(directory);
    create_directory(root, parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_path(parent),
    }
}

/// The directory `path` is in.
fn parent(path: &Path) -> &Path {
    non_empty(path.parent().unwrap_or(path))
}

/// The current directory has an empty path as a parent, which no system call takes.
fn non_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn sync_path(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
