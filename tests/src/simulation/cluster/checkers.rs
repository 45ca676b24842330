//! What must be true of a whole cluster, one rule a file. Owns judging what was told, read and stored; never makes anything
//! happen.

mod acked;
mod agreed;
mod changes;
mod leaders;
mod offsets;
mod readers;
mod replicas;
mod watermark;

use std::collections::BTreeMap;
use std::ops::Range;

use liftbridge_types::{LeaderEpoch, Offset};

pub(super) use acked::AckedMessages;
pub(super) use agreed::AgreedOrder;
pub(super) use changes::{Change, Changes};
pub(super) use leaders::Leaders;
pub(super) use offsets::Offsets;
pub(super) use readers::ReadMessages;
pub(super) use replicas::Replicas;
pub(super) use watermark::Watermarks;

/// A broken rule, in words.
pub(super) type Verdict = Result<(), String>;

/// What a log holds.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    /// Where it begins and ends.
    pub(super) offsets: Range<Offset>,
    pub(super) records: Vec<(Offset, Vec<u8>)>,
    /// What it says is damaged, where bits were flipped on purpose.
    pub(super) damaged: Vec<Range<Offset>>,
}

/// Messages that must stay, with the leadership under which each was seen.
type Kept = BTreeMap<Offset, (LeaderEpoch, Vec<u8>)>;

/// Judges whether a log has all of `kept` that was seen before the leadership `before`, if that is given. `what` they are.
fn check_kept(kept: &Kept, contents: &Contents, before: Option<LeaderEpoch>, what: &str) -> Verdict {
    let found: BTreeMap<Offset, &Vec<u8>> = contents.records.iter().map(|(offset, value)| (*offset, value)).collect();
    for (offset, (epoch, value)) in kept.range(contents.offsets.start..) {
        if before.is_some_and(|before| *epoch >= before) {
            continue;
        }
        match found.get(offset) {
            Some(there) if *there == value => {}
            Some(_) => return Err(format!("offset {offset}, {what} in epoch {epoch}, holds another message")),
            None if contents.damaged.iter().any(|range| range.contains(offset)) => {}
            None => {
                let Range { start, end } = contents.offsets;
                return Err(format!("offset {offset}, {what} in epoch {epoch}, is lost: the log is {start}..{end}"));
            }
        }
    }
    Ok(())
}
