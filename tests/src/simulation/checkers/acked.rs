//! Rule: what was acknowledged under `ALL` is never lost, never changed, never elsewhere.

use std::collections::BTreeMap;

use liftbridge_types::{AckPolicy, Offset};

use super::Verdict;
use crate::simulation::model::Model;

/// Everything acknowledged under `ALL` so far, as far as that is a promise.
#[derive(Debug, Default)]
pub(in crate::simulation) struct AckedMessages {
    values: BTreeMap<Offset, Vec<u8>>,
}

impl AckedMessages {
    /// Takes note of an acknowledgement, which may promise only what is durable.
    pub(in crate::simulation) fn on_ack(
        &mut self,
        policy: AckPolicy,
        offset: Offset,
        value: &[u8],
        durable_end: Offset,
    ) -> Verdict {
        if policy != AckPolicy::All {
            return Ok(());
        }
        if offset >= durable_end {
            return Err(format!(
                "offset {offset} is acknowledged under ALL, durable is what lies before {durable_end}"
            ));
        }
        match self.values.insert(offset, value.to_vec()) {
            None => Ok(()),
            Some(_) => Err(format!("offset {offset} is acknowledged under ALL a second time")),
        }
    }

    /// Compares with what the log holds; called whenever that changed otherwise than by appending.
    pub(in crate::simulation) fn check(&self, model: &Model) -> Verdict {
        for (offset, value) in self.values.range(model.start..) {
            match model.get(*offset) {
                None => return Err(format!("offset {offset} was acknowledged under ALL and is lost")),
                Some(kept) if kept.value != *value => {
                    return Err(format!("offset {offset} was acknowledged under ALL and holds another message now"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// A crash under a policy that promises nothing for it: whatever was acknowledged may be gone.
    pub(in crate::simulation) fn forget(&mut self) {
        self.values.clear();
    }

    /// How many there were.
    pub(in crate::simulation) fn len(&self) -> usize {
        self.values.len()
    }
}
