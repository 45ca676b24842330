//! Rule: offsets are given densely, each to one message, and an expectation is met or refused.

use liftbridge_replication::Refusal;
use liftbridge_types::Offset;

use super::Verdict;
use crate::simulation::partition::Publish;

/// Watches what offsets are given. It remembers nothing: every rule here is about one answer.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Offsets;

impl Offsets {
    /// A batch of `count` messages was written.
    pub(in crate::simulation) fn on_append(
        &self,
        expected: Offset,
        given: &std::ops::Range<Offset>,
        count: usize,
    ) -> Verdict {
        let count = u64::try_from(count).expect("batches are small");
        if *given == (expected..expected.plus(count)) {
            return Ok(());
        }
        Err(format!("{count} messages at {expected} got the offsets {}..{}", given.start, given.end))
    }

    /// A publisher was told an offset.
    pub(in crate::simulation) fn on_ack(&self, publish: &Publish, offset: Offset) -> Verdict {
        match publish.expected_offset {
            Some(expected) if expected != offset => Err(format!("a message that expected {expected} got {offset}")),
            _ => Ok(()),
        }
    }

    /// A publisher was refused.
    pub(in crate::simulation) fn on_refusal(&self, publish: &Publish, refusal: Refusal) -> Verdict {
        match (refusal, publish.expected_offset) {
            (Refusal::IncorrectOffset { next }, Some(expected)) if next == expected => {
                Err(format!("a message that expected {expected} was refused, though that is next"))
            }
            (Refusal::IncorrectOffset { .. }, None) => {
                Err("a message without expectation was refused for one".to_owned())
            }
            _ => Ok(()),
        }
    }
}
