//! Which partition an error is about.

use std::fmt;

use liftbridge_types::PartitionId;

/// A partition as it is named in errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionName {
    /// The stream's name.
    pub stream: String,
    /// Its number in the stream.
    pub partition: PartitionId,
}

impl PartitionName {
    pub(crate) fn new(stream: &str, partition: PartitionId) -> Self {
        Self { stream: stream.to_owned(), partition }
    }
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} of stream `{}`", self.partition, self.stream)
    }
}
