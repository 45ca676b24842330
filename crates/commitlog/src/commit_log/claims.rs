//! What batches claim about the medium, where it is not true here. Owns the note of that; never what recovery makes of it.
//!
//! A batch says up to where the log was on stable storage when it was appended first ([`crate::BatchHeader::stable_end`]).
//! Whoever copies batches from another log has to make that true before each of them, which takes a sync a batch, or has
//! to note that it is not true from here on. While the note stands, recovery does not take a later batch for proof that an
//! earlier one was durable.

use liftbridge_types::Offset;

use super::CommitLog;
use crate::checksum::crc32c;
use crate::error::{AppendError, LogError};
use crate::file_names;
use crate::small_file;
use crate::storage::Storage;

const MAGIC: [u8; 4] = *b"LBV\x01";
const BYTES: usize = 16;

impl CommitLog {
    /// Whether everything that batches appended here claim about the medium is true of it.
    pub fn claims_hold(&self) -> bool {
        self.void_from.is_none()
    }

    /// What batches claim that are appended from now on need not be true here. Durable when this returns. Ends with
    /// [`CommitLog::restore_claims`], and with every checkpoint.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn void_claims(&mut self) -> Result<(), AppendError> {
        let from = self.log_end();
        if self.void_from.is_some_and(|known| known <= from) {
            return Ok(());
        }
        small_file::replace(self.storage(), file_names::VOID_CLAIMS, &encode(from))?;
        self.sync_directory()?;
        self.void_from = Some(from);
        Ok(())
    }

    /// Claims are true again, because everything here is on stable storage. Does nothing while that is not so, or when the note
    /// cannot be removed: with it less is believed than could be, and nothing that is not so.
    pub fn restore_claims(&mut self) {
        let is_due = self.void_from.is_some() && self.durable_end() == self.log_end();
        if is_due && small_file::remove(self.storage(), file_names::VOID_CLAIMS).is_ok() {
            self.void_from = None;
        }
    }
}

/// From which offset on claims are void in the log in `storage`; `None` when all hold, or the note cannot be read.
pub(crate) fn void_from(storage: &dyn Storage) -> Result<Option<Offset>, LogError> {
    let content = small_file::read(storage, file_names::VOID_CLAIMS, BYTES as u64)?;
    Ok(content.and_then(|bytes| decode(&bytes)))
}

fn encode(from: Offset) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[8..].copy_from_slice(&from.get().to_le_bytes());
    let crc = crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Offset> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    let from = bytes.last_chunk().copied().map(u64::from_le_bytes)?;
    (*bytes == encode(Offset::new(from))).then_some(Offset::new(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_pinned_and_any_other_bytes_are_no_note() {
        let good = encode(Offset::new(0x0102));
        assert_eq!(good, *b"LBV\x01\x0c\x64\x53\x76\x02\x01\0\0\0\0\0\0");
        assert_eq!(decode(&good), Some(Offset::new(0x0102)));
        assert_eq!(decode(&good[..15]), None);
        for bit in 0..BYTES * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes), None, "bit {bit}");
        }
    }
}
