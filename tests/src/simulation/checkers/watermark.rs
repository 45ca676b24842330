//! Rule: the high watermark never goes back, and never passes what is durable.

use liftbridge_types::Offset;

use super::Verdict;

/// The high watermark as it was told so far.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Watermark {
    highest: Offset,
}

impl Watermark {
    /// Somebody was told that everything before `end` is committed.
    pub(in crate::simulation) fn on_told(&mut self, end: Offset, durable_end: Offset) -> Verdict {
        if end < self.highest {
            return Err(format!("the high watermark goes back from {} to {end}", self.highest));
        }
        if end > durable_end {
            return Err(format!("the high watermark is {end}, durable is what lies before {durable_end}"));
        }
        self.highest = end;
        Ok(())
    }

    /// A crash of the machine under a policy that promises nothing for it: what was committed may be gone.
    pub(in crate::simulation) fn forget(&mut self) {
        self.highest = Offset::ZERO;
    }
}
