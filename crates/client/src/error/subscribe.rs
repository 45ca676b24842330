//! A subscription did not begin, or broke off.

use liftbridge_types::Offset;
use thiserror::Error;

use crate::error::{CallError, PartitionName, RouteError};

/// A subscription did not begin, or ended other than at its stop position.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// It is not known whom to ask.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// No such stream or partition.
    #[error("there is no {0}")]
    NotFound(PartitionName),
    /// The stream was deleted while it was being read.
    #[error("stream `{stream}` was deleted")]
    StreamDeleted {
        /// The stream's name.
        stream: String,
    },
    /// The partition is paused. A publish wakes it, as does [`crate::Subscribe::resume`].
    #[error("{0} is paused")]
    Paused(PartitionName),
    /// There is nothing between the start and the stop position, for example because the partition is empty.
    #[error("nothing to read: {message}")]
    NothingToRead {
        /// The server's words.
        message: String,
    },
    /// Stored bytes do not match their checksum. The text names the damaged offsets.
    #[error("{message}")]
    DataLoss {
        /// The server's words.
        message: String,
        /// From where to subscribe again, in the same direction, to go on behind them; `None` when nothing is left there, or the
        /// server does not say.
        go_on: Option<Offset>,
    },
    /// A message that no server would send.
    #[error("broker sent a malformed message: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The broker refused, or could not be reached for too long.
    #[error(transparent)]
    Call(CallError),
}

impl SubscribeError {
    /// What a server says of damage, and where it says that reading goes on.
    pub(crate) fn data_loss(message: String) -> Self {
        let place =
            message.strip_suffix(" to go on").and_then(|text| text.rsplit_once("; subscribe ")).map(|(_, place)| place);
        let offset = place.and_then(|place| place.trim_start_matches("in reverse ").strip_prefix("from offset "));
        let go_on = offset.and_then(|offset| offset.parse().ok()).map(Offset::new);
        Self::DataLoss { message, go_on }
    }

    /// Whether subscribing again may succeed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Route(error) => error.retryable(),
            Self::Paused(_) => true,
            // Another broker answered that it does not lead the partition: leadership is moving.
            Self::Call(error) => error.retryable() || error.code == tonic::Code::FailedPrecondition,
            Self::NotFound(_)
            | Self::StreamDeleted { .. }
            | Self::NothingToRead { .. }
            | Self::DataLoss { .. }
            | Self::Malformed { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(way_on: &str, expected: Option<u64>) {
        let message = format!(
            "data loss in stream `; subscribe from offset 1 to go on` partition 1: offsets 5 to 9 are damaged on disk{way_on}"
        );
        let go_on = expected.map(Offset::new);
        assert_eq!(SubscribeError::data_loss(message.clone()), SubscribeError::DataLoss { message, go_on });
    }

    #[test]
    fn damage_says_where_reading_goes_on() {
        check("; subscribe from offset 10 to go on", Some(10));
        check("; subscribe in reverse from offset 4 to go on", Some(4));
        check("; nothing is left to read below them", None);
        check("; subscribe from offset -1 to go on", None);
        check("; subscribe from offset  to go on", None);
        check("", None);
    }
}
