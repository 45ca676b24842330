//! The unit on disk, in replication and in the batch API: a fixed header and the records of one append. Owns a batch's
//! validity; never a file, or where in a log the batch may go.
//!
//! Its first 40 bytes are the leader's and have a checksum of their own, so that a batch encoded elsewhere is appended by
//! filling them in, and so that a log is walked from batch to batch without reading records. The drawing is in
//! [`header`], that of a record in [`crate::record`].

mod builder;
mod header;
mod records;
pub(crate) mod remains;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use thiserror::Error;

pub use builder::BatchBuilder;
pub(crate) use builder::Standing;
pub(crate) use header::MAGIC;
pub use header::{
    BATCH_BYTES_MAX, BatchHeader, FORMAT_VERSION, HEADER_BYTES, LEADER_PART_BYTES, LeaderPart, ProducerStamp,
};
pub use records::Records;

use crate::record::RecordFault;

/// Why bytes are not a batch that can be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Fewer bytes than the batch has.
    #[error("batch is cut off: {available} of {needed} bytes")]
    Truncated {
        /// Bytes it needs, as far as known.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// The bytes do not begin as a batch does.
    #[error("no batch begins here")]
    Magic,
    /// A batch of a newer format than this version reads.
    #[error("batch has format version {version}, this version reads up to {FORMAT_VERSION}")]
    Version {
        /// Its version.
        version: u8,
    },
    /// The leader's part is not what was written.
    #[error("batch header has checksum {computed:08x}, stored is {stored:08x}")]
    HeaderChecksum {
        /// The checksum stored.
        stored: u32,
        /// The checksum of the bytes found.
        computed: u32,
    },
    /// The rest of the batch is not what was written.
    #[error("batch has checksum {computed:08x}, stored is {stored:08x}")]
    Checksum {
        /// The checksum stored.
        stored: u32,
        /// The checksum of the bytes found.
        computed: u32,
    },
    /// A header field that no writer produces, though the checksums are right.
    #[error("batch header field `{field}` has the impossible value {value}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A feature this version cannot read.
    #[error("batch uses {feature}, which this version does not support")]
    Unsupported {
        /// The feature.
        feature: &'static str,
    },
    /// A record that no writer produces, though the checksums are right.
    #[error("record {index} of the batch is malformed at byte {position}: {fault}")]
    Record {
        /// Which record, from 0.
        index: u32,
        /// The byte of the batch where the record begins.
        position: usize,
        /// What is wrong.
        fault: RecordFault,
    },
    /// A batch that does not continue the log it stands in.
    #[error("batch starts at offset {base}, where {expected} or later is due")]
    OutOfPlace {
        /// Where it starts.
        base: liftbridge_types::Offset,
        /// The least that would do.
        expected: liftbridge_types::Offset,
    },
    /// Bytes follow the last record.
    #[error("{bytes} bytes follow the last record of the batch")]
    LeftOver {
        /// How many.
        bytes: usize,
    },
}

/// A verified batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Verifies the batch at the start of `bytes` through and through: header, checksums and the structure of every
    /// record. For bytes from outside; afterwards [`Batch::records`] yields no error. What follows the batch is ignored.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn parse(bytes: &Bytes) -> Result<Self, BatchError> {
        let batch = Self::verify(bytes)?;
        records::check_structure(&batch.header, &batch.bytes)?;
        Ok(batch)
    }

    /// Verifies header and checksums of the batch at the start of `bytes`, but no record. For bytes that were parsed when
    /// they were appended: with the checksums right, the records are those that were checked then. What follows the batch
    /// is ignored.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify(bytes: &Bytes) -> Result<Self, BatchError> {
        let leader = BatchHeader::peek(bytes)?;
        let needed = usize::try_from(leader.bytes).unwrap_or(usize::MAX);
        let batch = bytes.get(..needed).ok_or(BatchError::Truncated { needed, available: bytes.len() })?;
        let header = BatchHeader::decode_rest(leader, batch)?;
        Ok(Self { header, bytes: bytes.slice_ref(batch) })
    }

    /// The batch a builder just sealed, which needs no verifying.
    pub(crate) fn from_sealed(header: BatchHeader, bytes: Bytes) -> Self {
        Self { header, bytes }
    }

    /// Its header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Its bytes as stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its bytes by value.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Its records, in offset order. Their keys, values and headers share the batch's memory.
    pub fn records(&self) -> Records {
        Records::new(self.header, self.bytes.clone())
    }
}
