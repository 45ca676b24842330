//! The answer a caller from outside is owed. Owns that exactly one is given; never how it travels.

use std::fmt;

use crate::admission::{Admitted, JoinRefusal};
use crate::sessions::HeartbeatAnswer;
use crate::standing::ControllerAddress;

/// What a server is told that asks to be let into the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinAnswer {
    /// It is a member.
    Admitted(Admitted),
    /// It is not let in.
    Refused(JoinRefusal),
    /// It was a member, and was removed.
    Removed,
    /// Another server decides: ask there.
    NotController(ControllerAddress),
    /// Nobody decides at the moment: ask again.
    Later,
}

/// An answer that has a value for when nobody gives it.
pub trait Unanswered {
    /// What is said then.
    fn unanswered() -> Self;
}

impl Unanswered for JoinAnswer {
    fn unanswered() -> Self {
        Self::Later
    }
}

impl Unanswered for HeartbeatAnswer {
    fn unanswered() -> Self {
        Self::NotController
    }
}

/// An answer that is owed: given by [`CallReply::answer`], or [`Unanswered::unanswered`] when dropped.
#[must_use = "a caller waits for this answer"]
pub struct CallReply<T: Unanswered>(Option<Box<dyn FnOnce(T) + Send>>);

impl<T: Unanswered> CallReply<T> {
    /// An answer that goes to `take`, called once, from any thread; it must not block.
    pub fn new(take: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Some(Box::new(take)))
    }

    /// Gives the answer.
    pub fn answer(mut self, answer: T) {
        self.give(answer);
    }

    fn give(&mut self, answer: T) {
        if let Some(take) = self.0.take() {
            take(answer);
        }
    }
}

impl<T: Unanswered> Drop for CallReply<T> {
    fn drop(&mut self) {
        self.give(T::unanswered());
    }
}

impl<T: Unanswered> fmt::Debug for CallReply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallReply").field("owed", &self.0.is_some()).finish()
    }
}
