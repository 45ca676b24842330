//! One user at a time for a data directory. Owns the lock file; never what is kept beside it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// The file that is locked, in the directory it stands for. It stays when the lock is let go of.
const LOCK_FILE: &str = "LOCK";

/// Why a directory could not be locked.
#[derive(Debug, Error)]
pub enum DirectoryLockError {
    /// Another process, or another part of this one, has it.
    #[error("`{}` is in use by another process", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The lock file could not be made or locked.
    #[error("cannot lock `{}`: {source}", directory.display())]
    Storage {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The exclusive use of a directory, for as long as this value lives; a process that dies lets go of it, however it dies.
///
/// The lock is advisory: it keeps out those who ask for it. On network file systems it may keep out nobody.
#[derive(Debug)]
pub struct DirectoryLock {
    /// Closing it unlocks it.
    _file: File,
    directory: PathBuf,
}

impl DirectoryLock {
    /// Takes the lock of `directory`, which must exist, without waiting.
    ///
    /// # Errors
    /// [`DirectoryLockError::InUse`] when someone else has it.
    pub fn acquire(directory: &Path) -> Result<Self, DirectoryLockError> {
        let owned = directory.to_owned();
        let open = OpenOptions::new().write(true).create(true).truncate(false).open(directory.join(LOCK_FILE));
        let file = match open {
            Ok(file) => file,
            Err(source) => return Err(DirectoryLockError::Storage { directory: owned, source }),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file, directory: owned }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DirectoryLockError::InUse { directory: owned }),
            Err(error) => Err(DirectoryLockError::Storage { directory: owned, source: error.into() }),
        }
    }

    /// Whether someone has the lock of `directory`; false where nobody ever asked for it. Looking takes it for a moment, shared:
    /// who asks for it in that very moment is refused.
    ///
    /// # Errors
    /// When the lock file cannot be read.
    pub fn is_held(directory: &Path) -> io::Result<bool> {
        let file = match File::open(directory.join(LOCK_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            taken => Ok(taken.map(|()| false)?),
        }
    }

    /// The directory it locks.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_directory_is_refused_by_name_until_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(directory.path()).unwrap();
        assert_eq!(lock.directory(), directory.path());

        let error = DirectoryLock::acquire(directory.path()).unwrap_err();
        assert!(matches!(&error, DirectoryLockError::InUse { directory: named } if named == directory.path()));
        assert!(error.to_string().contains(&directory.path().display().to_string()), "{error}");

        drop(lock);
        DirectoryLock::acquire(directory.path()).unwrap();
    }

    #[test]
    fn looking_whether_a_directory_is_in_use_makes_nothing_and_holds_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!DirectoryLock::is_held(directory.path()).unwrap());
        assert!(!directory.path().join(LOCK_FILE).exists());
        let lock = DirectoryLock::acquire(directory.path()).unwrap();
        assert!(DirectoryLock::is_held(directory.path()).unwrap());
        drop(lock);
        assert!(!DirectoryLock::is_held(directory.path()).unwrap());
        DirectoryLock::acquire(directory.path()).unwrap();
    }

    #[test]
    fn a_missing_directory_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let error = DirectoryLock::acquire(&missing).unwrap_err();
        assert!(
            matches!(error, DirectoryLockError::Storage { source, .. } if source.kind() == io::ErrorKind::NotFound)
        );
        assert!(!missing.exists());
    }
}
