//! Rule: offsets are dense and unique: a log has each of its offsets once, in order, and a message in one place.

use std::collections::BTreeMap;

use liftbridge_types::Offset;

use super::{Contents, Verdict};
use crate::simulation::cluster::words::PartitionKey;

/// Where each message was acknowledged to be, under any policy.
#[derive(Debug, Default)]
pub(in crate::simulation::cluster) struct Offsets {
    acked: BTreeMap<Vec<u8>, (PartitionKey, Offset)>,
}

impl Offsets {
    /// A publisher was told where its message is; the log of whoever said so has `stored` there, if that can be read.
    pub(in crate::simulation::cluster) fn on_ack(
        &mut self,
        partition: PartitionKey,
        offset: Offset,
        value: &[u8],
        stored: Option<&[u8]>,
    ) -> Verdict {
        if stored.is_some_and(|stored| stored != value) {
            return Err(format!("offset {offset} of {partition} is acknowledged and holds another message"));
        }
        match self.acked.insert(value.to_vec(), (partition, offset)) {
            None => Ok(()),
            Some((partition, offset)) => Err(format!("a message was acknowledged before, at {offset} of {partition}")),
        }
    }

    /// Judges a whole log.
    pub(in crate::simulation::cluster) fn check(partition: PartitionKey, contents: &Contents) -> Verdict {
        let mut values = BTreeMap::new();
        let mut next = contents.offsets.start;
        let mut records = contents.records.iter().peekable();
        while next < contents.offsets.end {
            if let Some((offset, value)) = records.next_if(|(offset, _)| *offset == next) {
                if let Some(before) = values.insert(value, offset) {
                    return Err(format!("{partition} has one message at {before} and at {offset}"));
                }
                next = next.next();
            } else if let Some(damaged) = contents.damaged.iter().find(|damaged| damaged.contains(&next)) {
                next = damaged.end;
            } else {
                return Err(format!("{partition} has no offset {next}: the log is {:?}", contents.offsets));
            }
        }
        match records.next() {
            None => Ok(()),
            Some((offset, _)) => Err(format!("{partition} has offset {offset} out of order or twice")),
        }
    }
}
