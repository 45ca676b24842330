//! Rule: an opened log has everything that was durable, at most what was written, and says what is damaged.

use liftbridge_commitlog::{CommitLog, RecoveryReport};
use liftbridge_types::Offset;

use super::Verdict;
use crate::simulation::model::Model;
use crate::simulation::read_back::ReadBack;

/// How the log's last life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulation) enum Stop {
    /// It was parked.
    Clean,
    /// The process ended without a word; the machine went on, and nothing on it failed.
    Killed,
    /// The power or the medium failed.
    Failed,
}

/// Judges a log right after it was opened, against the model of what was there before.
pub(in crate::simulation) fn check_recovered(
    model: &Model,
    log: &CommitLog,
    report: &RecoveryReport,
    found: &ReadBack,
    stop: Stop,
) -> Verdict {
    let (start, end) = (log.log_start(), log.log_end());
    if end < model.durable_end {
        return Err(format!("the log ends at {end}, durable was what lies before {}", model.durable_end));
    }
    if start != model.start {
        return Err(format!("the log starts at {start}, it started at {}", model.start));
    }
    if stop == Stop::Killed && end < model.end {
        return Err(format!("a kill at {} took what was written: the log ends at {end}", model.end));
    }
    if stop == Stop::Clean && (report.bytes_cut > 0 || end != model.end) {
        return Err(format!("after a clean stop at {} the log ends at {end} with {report:?}", model.end));
    }
    for seen in &found.seen {
        let kept = model.get(seen.offset).is_some_and(|kept| kept.value == seen.value && kept.time == seen.time);
        let after_durable = seen.offset >= model.durable_end && model.is_phantom(seen);
        if !kept && !after_durable {
            return Err(format!("offset {} holds what was never written there", seen.offset));
        }
    }
    check_all_told(model, start..end, found)
}

/// Every offset of the log is read or reported; reported is only what was damaged on purpose.
fn check_all_told(model: &Model, offsets: std::ops::Range<Offset>, found: &ReadBack) -> Verdict {
    let mut next = offsets.start;
    let mut seen = found.seen.iter().peekable();
    let mut damaged = found.damaged.iter().peekable();
    while next < offsets.end {
        if seen.next_if(|seen| seen.offset == next).is_some() {
            next = next.next();
        } else if let Some(range) = damaged.next_if(|range| range.contains(&next)) {
            while next < range.end.min(offsets.end) {
                if !model.may_be_damaged(next) {
                    return Err(format!("offset {next} is reported as damaged in {range:?}, and is not"));
                }
                next = next.next();
            }
        } else {
            return Err(format!("offset {next} of an opened log is neither read nor reported as damaged"));
        }
    }
    Ok(())
}
