//! Rule: a reader sees exactly what the model holds: nothing twice, nothing else, nothing missing but what is reported as
//! damaged, and nothing is reported as damaged but what is.

use std::collections::BTreeSet;
use std::ops::Range;

use liftbridge_commitlog::{LogView, TimeLookupError};
use liftbridge_types::{Offset, Timestamp};

use super::Verdict;
use crate::simulation::model::Model;
use crate::simulation::read_back::{ReadBack, Seen};

/// Judges a reading upward of `offsets`.
pub(in crate::simulation) fn check_forward(model: &Model, offsets: Range<Offset>, found: &ReadBack) -> Verdict {
    check_order(&found.seen, |before, after| before < after)?;
    check_contents(model, offsets, found)
}

/// Judges a reading downward of `offsets`.
pub(in crate::simulation) fn check_reverse(model: &Model, offsets: Range<Offset>, found: &ReadBack) -> Verdict {
    check_order(&found.seen, |before, after| before > after)?;
    check_contents(model, offsets, found)
}

fn check_order(seen: &[Seen], in_order: impl Fn(Offset, Offset) -> bool) -> Verdict {
    for pair in seen.windows(2) {
        if let [before, after] = pair
            && !(in_order(before.offset, after.offset) && in_order_of_time(before, after))
        {
            return Err(format!(
                "offset {} is read after {}, or its time is out of order",
                after.offset, before.offset
            ));
        }
    }
    Ok(())
}

fn in_order_of_time(before: &Seen, after: &Seen) -> bool {
    (before.offset < after.offset) == (before.time < after.time)
}

fn check_contents(model: &Model, offsets: Range<Offset>, found: &ReadBack) -> Verdict {
    for seen in &found.seen {
        match model.get(seen.offset) {
            None => return Err(format!("offset {} is read, and should not be there", seen.offset)),
            Some(kept) if kept.value != seen.value => {
                return Err(format!("offset {} holds another message", seen.offset));
            }
            Some(kept) if kept.time != seen.time => return Err(format!("offset {} has another time", seen.offset)),
            Some(_) => {}
        }
    }
    let read: BTreeSet<Offset> = found.seen.iter().map(|seen| seen.offset).collect();
    for (offset, _) in model.range(offsets) {
        let reported = found.damaged.iter().find(|damaged| damaged.contains(&offset));
        match (read.contains(&offset), reported) {
            (true, None) => {}
            (true, Some(_)) => return Err(format!("offset {offset} is read and reported as damaged")),
            (false, None) => return Err(format!("offset {offset} is passed over in silence")),
            (false, Some(_)) if model.may_be_damaged(offset) => {}
            (false, Some(range)) => {
                return Err(format!("offset {offset} is reported as damaged in {range:?}, and is not"));
            }
        }
    }
    Ok(())
}

/// Judges what the log says about one time, below `end`.
pub(in crate::simulation) fn check_times(model: &Model, view: &LogView, time: Timestamp, end: Offset) -> Verdict {
    let all = || model.range(model.start..end);
    let expected = all().find(|(_, kept)| kept.time >= time).map(|(offset, _)| offset);
    match view.first_at_or_after(time, end) {
        Ok(found) if found.as_ref().map(|offsets| offsets.start) == expected => {}
        Err(TimeLookupError::Read(_)) => return Ok(()),
        other => return Err(format!("the first at or after {time} is {expected:?}, the log says {other:?}")),
    }
    let expected = all().rev().find(|(_, kept)| kept.time <= time).map(|(offset, _)| offset);
    match (view.last_at_or_before(time, end), expected) {
        (Ok(found), Some(expected)) if found.end == expected.next() => Ok(()),
        (Err(TimeLookupError::BeforeBeginning), None) if all().next().is_some() => Ok(()),
        (Err(TimeLookupError::Empty), None) if all().next().is_none() => Ok(()),
        (Err(TimeLookupError::Read(_)), _) => Ok(()),
        (other, expected) => Err(format!("the last at or before {time} is {expected:?}, the log says {other:?}")),
    }
}
