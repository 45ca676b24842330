//! Where measurements keep their files: below the build's target directory, which is on a disk, where the system's
//! temporary directory may be memory. Owns that place and that nothing stays there.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::Failure;

/// An empty directory that goes away when dropped.
pub(crate) fn scratch() -> Result<TempDir, Failure> {
    let parent = binaries()?.join("../tmp");
    std::fs::create_dir_all(&parent)?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(parent.canonicalize()?)?)
}

/// The directory this program and the servers it measures were built into.
pub(crate) fn binaries() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    Ok(program.parent().ok_or("this program lies in no directory")?.to_path_buf())
}
