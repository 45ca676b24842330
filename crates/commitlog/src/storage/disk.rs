//! Placeholder.

use std::io;
use std::sync::Arc;

use super::{Storage, Volume};

/// Placeholder.
#[derive(Clone, Debug, Default)]
pub struct DiskVolume {}

impl Volume for DiskVolume {
    fn directory(&self, _path: &str) -> Arc<dyn Storage> {
        todo!()
    }
    fn list_directories(&self, _path: &str) -> io::Result<Vec<String>> {
        todo!()
    }
    fn rename_directory(&self, _from: &str, _to: &str) -> io::Result<()> {
        todo!()
    }
    fn remove_directory(&self, _path: &str) -> io::Result<()> {
        todo!()
    }
    fn free_bytes(&self) -> Option<u64> {
        todo!()
    }
}
