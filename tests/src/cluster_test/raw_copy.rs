//! What a server that is gone left on its disk of a partition. Owns finding it and how far it counts; compares nothing.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use liftbridge_commitlog::scan::{ScanItem, log_files, scan_file};
use liftbridge_commitlog::{DiskVolume, Volume as _};

use super::Failure;

/// The batches of a partition below a high watermark, as they lie on one disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawCopy {
    pub(super) node: String,
    /// Each with its header.
    pub(super) batches: Vec<Bytes>,
    /// What does not verify among them, in words.
    pub(super) damaged: Vec<String>,
}

impl RawCopy {
    /// What `data` holds of a partition before the offset `end`.
    pub(super) fn read(node: &str, data: &Path, stream: &str, partition: usize, end: u64) -> Result<Self, Failure> {
        let failed = |why: String| Failure::new(format!("partition {partition} on the disk of {node}"), why);
        let mut copy = Self { node: node.to_owned(), ..Self::default() };
        if end == 0 {
            // A log that nothing was written to has no folder.
            return Ok(copy);
        }
        let folder = stream_folder(data, stream).map_err(|error| failed(error.to_string()))?;
        let folder = folder.ok_or_else(|| failed(format!("there is no folder of `{stream}`")))?;
        let storage = DiskVolume::new(data).directory(&format!("streams/{folder}/{partition}"));
        for file in log_files(&*storage).map_err(|error| failed(error.to_string()))? {
            scan_file(&*storage, &file, |item| copy.take(item, end)).map_err(|error| failed(error.to_string()))?;
        }
        Ok(copy)
    }

    /// Keeps what counts; whether more may follow.
    fn take(&mut self, item: ScanItem, end: u64) -> bool {
        match item {
            ScanItem::Batch { batch, .. } if batch.header().base_offset.get() < end => {
                self.batches.push(batch.bytes().clone());
                true
            }
            ScanItem::Damaged { first, error, .. } if first.get() < end => {
                self.damaged.push(format!("offset {first} does not verify ({error})"));
                true
            }
            ScanItem::Batch { .. } | ScanItem::Damaged { .. } => false,
        }
    }
}

/// The name of a stream's folder: `<id>-<name>`.
fn stream_folder(data: &Path, stream: &str) -> std::io::Result<Option<String>> {
    for entry in fs::read_dir(data.join("streams"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.split_once('-').is_some_and(|(_, name)| name == stream) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
