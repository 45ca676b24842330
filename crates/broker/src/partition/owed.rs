//! The answers a partition owes. Owns that an id stands for exactly one of them; never when it is given.

use liftbridge_replication::ProposalId;

use crate::admission::AdmissionPermit;
use crate::publish_reply::PublishReply;

/// What is kept of a publish once its message is in the batch.
#[derive(Debug)]
pub(crate) struct Owed {
    /// The answer owed.
    pub(crate) reply: PublishReply,
    /// The offset it expected, to be named in a refusal.
    pub(crate) expected_offset: i64,
    /// Its share of the node's bound, given back with the answer.
    pub(crate) _permit: AdmissionPermit,
}

/// The answers a partition owes, by the id its leader knows them by. Ids are used again.
#[derive(Debug, Default)]
pub(crate) struct OwedAnswers {
    slots: Vec<Option<Owed>>,
    free: Vec<usize>,
}

impl OwedAnswers {
    /// Keeps an answer that is owed.
    pub(crate) fn insert(&mut self, owed: Owed) -> ProposalId {
        match self.free.pop() {
            Some(index) => {
                self.slots[index] = Some(owed);
                ProposalId::new(index)
            }
            None => {
                self.slots.push(Some(owed));
                ProposalId::new(self.slots.len() - 1)
            }
        }
    }

    /// Takes the answer out, to be given.
    pub(crate) fn take(&mut self, id: ProposalId) -> Option<Owed> {
        let owed = self.slots.get_mut(id.get())?.take();
        if owed.is_some() {
            self.free.push(id.get());
        }
        owed
    }

    /// How many answers are owed.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Gives memory back that a burst left behind; does nothing while answers are owed.
    pub(crate) fn shrink(&mut self) {
        if self.free.len() == self.slots.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owed(expected_offset: i64) -> Owed {
        Owed { reply: PublishReply::nobody(), expected_offset, _permit: AdmissionPermit::none() }
    }

    #[test]
    fn an_id_stands_for_one_answer_until_that_is_taken() {
        let mut answers = OwedAnswers::default();
        let (first, second) = (answers.insert(owed(1)), answers.insert(owed(2)));
        assert_ne!(first, second);
        assert_eq!(answers.take(first).map(|owed| owed.expected_offset), Some(1));
        assert!(answers.take(first).is_none());
        assert_eq!(answers.insert(owed(3)), first, "ids are used again");
        assert_eq!(answers.take(second).map(|owed| owed.expected_offset), Some(2));
        answers.shrink();
        assert_eq!(answers.take(first).map(|owed| owed.expected_offset), Some(3), "what is owed survives shrinking");
    }
}
