//! Rule: the high watermark never goes back within a life of a server, and never passes what that has on its medium.

use std::collections::BTreeMap;

use liftbridge_types::Offset;

use super::Verdict;
use crate::simulation::cluster::words::PartitionKey;

/// The high watermarks as they were shown.
#[derive(Debug, Default)]
pub(in crate::simulation::cluster) struct Watermarks {
    shown: BTreeMap<(u64, PartitionKey), Offset>,
}

impl Watermarks {
    /// A server shows another one; the one before is answered.
    pub(in crate::simulation::cluster) fn on_shown(
        &mut self,
        server: u64,
        partition: PartitionKey,
        end: Offset,
        durable_end: Offset,
    ) -> Result<Offset, String> {
        let before = self.shown.insert((server, partition), end).unwrap_or_default();
        if end < before {
            return Err(format!(
                "the high watermark of {partition} on server {server} goes back from {before} to {end}"
            ));
        }
        if end > durable_end {
            return Err(format!("server {server} shows {partition} as committed to {end}, durable is {durable_end}"));
        }
        Ok(before)
    }

    /// A server's life is over.
    pub(in crate::simulation::cluster) fn forget(&mut self, server: u64) {
        self.shown.retain(|(of, _), _| *of != server);
    }

    /// Nothing is known to be committed of this by a reader that was shown nothing.
    pub(in crate::simulation::cluster) fn check_read(
        &self,
        server: u64,
        partition: PartitionKey,
        end: Offset,
    ) -> Verdict {
        let shown = self.shown.get(&(server, partition)).copied().unwrap_or_default();
        if end <= shown {
            Ok(())
        } else {
            Err(format!("{partition} is read to {end} on server {server}, shown is {shown}"))
        }
    }
}
