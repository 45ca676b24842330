//! A small file system in memory, to be filled. Owns mounting it and taking it away; knows nothing of what is on it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Failure;

/// What is written at once to fill the disk.
const BLOCK_BYTES: usize = 4096;

/// A mounted file system, gone when dropped.
#[derive(Debug)]
pub(super) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of this size.
    pub(super) fn mount(path: &Path, bytes: u64) -> Result<Self, Failure> {
        let failed = |why: String| Failure::new("a small file system cannot be mounted", why.trim());
        fs::create_dir_all(path).map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(path);
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Takes all the space there is.
    pub(super) fn fill(&self) -> Result<(), Failure> {
        let path = self.ballast();
        let mut file = fs::File::create(&path).map_err(|error| Failure::new(path.display(), error))?;
        while file.write_all(&[0; BLOCK_BYTES]).is_ok() {}
        Ok(())
    }

    /// Gives it back.
    pub(super) fn free(&self) -> Result<(), Failure> {
        let path = self.ballast();
        fs::remove_file(&path).map_err(|error| Failure::new(path.display(), error))
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since a server's end may still be under way.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
