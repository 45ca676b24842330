//! The answer a proposer is owed. Owns that exactly one is given; never how it travels.

use std::fmt;

use thiserror::Error;

use crate::log_index::LogIndex;
use crate::rejection::Rejection;
use crate::standing::ControllerAddress;

/// A command was not applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// It was agreed on, and rejected when it was applied.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Whether it was, is, or will be agreed on is not known.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nothing can be agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unavailable {
    /// As many commands wait as may; try again.
    #[error("too many metadata commands are waiting")]
    Busy,
    /// The log could not be written or took harm; the text says what and what to do.
    #[error("{reason}")]
    LogFailed {
        /// What happened.
        reason: String,
    },
    /// The command is larger than an entry of the log may be.
    #[error("metadata command has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// This server ceased to be the controller before it knew what becomes of the command.
    #[error("leadership lost while committing")]
    LeadershipLost,
    /// This server is not the controller; nothing was proposed.
    #[error("not the metadata leader")]
    NotController {
        /// Who is, as far as this server knows.
        controller: Option<ControllerAddress>,
    },
    /// The metadata was closed.
    #[error("metadata is closed")]
    Closed,
}

/// Where an applied command stands in the log, or why it was not applied.
pub type ProposalOutcome = Result<LogIndex, ProposeError>;

/// An answer that is owed: given by [`ProposalReply::answer`], or [`Unavailable::Closed`] when dropped.
#[must_use = "a proposer waits for this answer"]
pub struct ProposalReply(Option<Box<dyn FnOnce(ProposalOutcome) + Send>>);

impl ProposalReply {
    /// An answer that goes to `take`, called once, from any thread; it must not block.
    pub fn new(take: impl FnOnce(ProposalOutcome) + Send + 'static) -> Self {
        Self(Some(Box::new(take)))
    }

    /// Gives the answer.
    pub fn answer(mut self, outcome: ProposalOutcome) {
        self.give(outcome);
    }

    fn give(&mut self, outcome: ProposalOutcome) {
        if let Some(take) = self.0.take() {
            take(outcome);
        }
    }
}

impl Drop for ProposalReply {
    fn drop(&mut self) {
        self.give(Err(Unavailable::Closed.into()));
    }
}

impl fmt::Debug for ProposalReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProposalReply").field("owed", &self.0.is_some()).finish()
    }
}
