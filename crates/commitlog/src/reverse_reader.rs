//! Reading backward.

use liftbridge_types::Offset;

use crate::batch::Batch;
use crate::error::ReadError;

/// Reads batches in descending offset order, down to the oldest record kept.
#[derive(Debug)]
pub struct ReverseReader {}

impl ReverseReader {
    /// The exclusive upper end of what is left to read.
    pub fn end(&self) -> Offset {
        todo!()
    }
    /// The next batches in descending order, whole, verified, up to about `bytes_max` but at least one; empty at the beginning of the
    /// log. The first may end after [`ReverseReader::end`]: the caller skips those records. Blocks on file I/O.
    pub fn read(&mut self, bytes_max: usize) -> Result<Vec<Batch>, ReadError> {
        let _ = bytes_max;
        todo!()
    }
}
