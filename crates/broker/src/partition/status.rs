//! What can be seen of a partition from outside, at any moment, without waiting for its worker.

use liftbridge_types::Offset;

use crate::requests::EventTimes;

/// In which phase of its life a partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    /// It takes publishes and reads.
    Open,
    /// Its files are closed until it is resumed.
    Paused,
    /// Its storage failed; what is committed may still be read.
    Offline {
        /// What the storage said.
        reason: String,
    },
    /// It is gone, with its files.
    Deleted,
    /// The server is stopping; its files are closed.
    Stopped,
}

/// One moment of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionStatus {
    /// The phase of its life.
    pub(crate) state: RunState,
    /// Whether it refuses publishes.
    pub(crate) readonly: bool,
    /// Whether this broker leads it.
    pub(crate) leads: bool,
    /// The first offset kept.
    pub(crate) log_start: Offset,
    /// The end of what is written.
    pub(crate) log_end: Offset,
    /// The end of what is committed; subscribers see nothing at or above it.
    pub(crate) high_watermark: Offset,
    /// When the first and the latest message were received since the server started.
    pub(crate) messages_received: EventTimes,
    /// How many subscriptions there are.
    pub(crate) subscription_count: usize,
}
