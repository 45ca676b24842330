//! Where a subscription begins and ends: start, stop and direction become one range of offsets. Pure but for the time index,
//! which is a port. Owns the rules of the behaviour spec, section 2.11; never how records are read.

use std::ops::Range;

use liftbridge_commitlog::{LogView, TimeLookupError};
use liftbridge_types::{Offset, Timestamp};

use crate::errors::SubscribeError;
use crate::requests::{StartPosition, StopPosition};

/// The API's way to name no stop offset.
const NO_STOP: i64 = -1;

/// A partition's log at the moment a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogBounds {
    /// The first offset kept.
    pub(crate) log_start: Offset,
    /// The end of what is written.
    pub(crate) log_end: Offset,
    /// The end of what is committed.
    pub(crate) high_watermark: Offset,
    /// Whether nothing is appended any more.
    pub(crate) readonly: bool,
}

impl LogBounds {
    fn is_empty(&self) -> bool {
        self.log_start >= self.log_end
    }
}

/// What a subscription still has to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadRange {
    /// Upward from `next`, up to `end` if there is one.
    Forward {
        /// The next offset, or the next one there is above it.
        next: Offset,
        /// The end; `None` = as long as records come.
        end: Option<Offset>,
    },
    /// Downward from the record before `end`, to `lowest` or the oldest record kept.
    Reverse {
        /// The exclusive upper end of what is left.
        end: Offset,
        /// The last one to deliver.
        lowest: Offset,
    },
}

/// Turns times into offsets.
pub(crate) trait TimeIndex {
    /// Where the first record below `end` stored at or after `time` is: one offset, or the damage that may hold it.
    fn first_at_or_after(&self, time: Timestamp, end: Offset) -> Result<Option<Range<Offset>>, TimeLookupError>;
    /// Where the last record below `end` stored at or before `time` is: one offset, or the damage that may hold it.
    fn last_at_or_before(&self, time: Timestamp, end: Offset) -> Result<Range<Offset>, TimeLookupError>;
}

impl TimeIndex for LogView {
    fn first_at_or_after(&self, time: Timestamp, end: Offset) -> Result<Option<Range<Offset>>, TimeLookupError> {
        Self::first_at_or_after(self, time, end)
    }

    fn last_at_or_before(&self, time: Timestamp, end: Offset) -> Result<Range<Offset>, TimeLookupError> {
        Self::last_at_or_before(self, time, end)
    }
}

/// Turns start, stop and direction into the range to deliver.
///
/// Where a forward subscription would begin beyond what is committed, it begins with the first record committed from now on,
/// not at the offset asked for: that is what clients of the protocol expect. Not so for an offset up to the end of the log:
/// a new leader learns only after a while that everything it holds is committed, and who has read up to there from the
/// leader before must not be shown it again.
///
/// Where a start or stop by time may lie anywhere in a damaged stretch, all of that is in the range: whoever reads it is told of
/// the damage.
pub(crate) fn resolve(
    start: StartPosition,
    stop: StopPosition,
    reverse: bool,
    bounds: LogBounds,
    times: &impl TimeIndex,
) -> Result<ReadRange, SubscribeError> {
    let is_offset = matches!(start, StartPosition::Offset(_));
    let start = start_offset(start, reverse, bounds, times)?;
    if let StopPosition::Offset(stop) = stop
        && stop < NO_STOP
    {
        return Err(match reverse {
            true => SubscribeError::StopNegative { stop },
            false => SubscribeError::StopBeforeStart { stop, start: to_wire(start) },
        });
    }
    let stop = stop_offset(stop, reverse, bounds, times)?;
    let LogBounds { log_start, log_end, high_watermark, .. } = bounds;
    let latest = if is_offset && start <= log_end { log_end } else { high_watermark };
    if let Some(stop) = stop {
        let (stop_wire, start_wire) = (to_wire(stop), to_wire(start));
        if reverse && stop > start {
            return Err(SubscribeError::StopAfterStart { stop: stop_wire, start: start_wire });
        }
        if !reverse && stop < start {
            return Err(SubscribeError::StopBeforeStart { stop: stop_wire, start: start_wire });
        }
    }
    if reverse {
        let lowest = stop.unwrap_or(log_start).max(log_start);
        return Ok(ReadRange::Reverse { end: start.next().min(high_watermark), lowest });
    }
    let next = start.min(latest).max(log_start);
    Ok(ReadRange::Forward { next, end: stop.map(Offset::next) })
}

/// Whether the positions can be resolved without reading the log.
pub(crate) fn needs_lookup(start: StartPosition, stop: StopPosition) -> bool {
    matches!(start, StartPosition::Timestamp(_)) || matches!(stop, StopPosition::Timestamp(_))
}

fn start_offset(
    start: StartPosition,
    reverse: bool,
    bounds: LogBounds,
    times: &impl TimeIndex,
) -> Result<Offset, SubscribeError> {
    Ok(match start {
        StartPosition::NewOnly => bounds.log_end,
        StartPosition::Offset(offset) => from_wire(offset).unwrap_or(Offset::ZERO),
        StartPosition::Earliest => bounds.log_start,
        StartPosition::Latest => bounds.log_end.previous().unwrap_or(Offset::ZERO),
        StartPosition::Timestamp(time) => match times.first_at_or_after(time, bounds.log_end) {
            Ok(Some(found)) => {
                if reverse {
                    last_of(&found)
                } else {
                    found.start
                }
            }
            Ok(None) => bounds.log_end,
            Err(TimeLookupError::Empty) => bounds.log_end,
            Err(error) => return Err(lookup_failed(&error)),
        },
    })
}

/// The last offset to deliver; `None` without one.
fn stop_offset(
    stop: StopPosition,
    reverse: bool,
    bounds: LogBounds,
    times: &impl TimeIndex,
) -> Result<Option<Offset>, SubscribeError> {
    match stop {
        // Nothing can follow the log end of a read-only partition. Downward the end is the oldest record, as always.
        StopPosition::OnCancel if bounds.readonly && !bounds.is_empty() && !reverse => Ok(bounds.log_end.previous()),
        StopPosition::OnCancel => Ok(None),
        StopPosition::Offset(offset) => Ok(from_wire(offset)),
        StopPosition::Latest if bounds.is_empty() => Err(SubscribeError::Empty),
        StopPosition::Latest => Ok(bounds.log_end.previous()),
        StopPosition::Timestamp(time) => match times.last_at_or_before(time, bounds.log_end) {
            Ok(found) => Ok(Some(if reverse { found.start } else { last_of(&found) })),
            Err(TimeLookupError::BeforeBeginning) => Err(SubscribeError::BeforeBeginning),
            Err(error) => Err(lookup_failed(&error)),
        },
    }
}

fn last_of(offsets: &Range<Offset>) -> Offset {
    offsets.end.previous().map_or(offsets.start, |last| last.max(offsets.start))
}

fn lookup_failed(error: &TimeLookupError) -> SubscribeError {
    let reason = match error {
        // The text clients of the protocol know for a log without records.
        TimeLookupError::Empty => "EOF".to_owned(),
        TimeLookupError::Read(_) | TimeLookupError::BeforeBeginning => error.to_string(),
    };
    SubscribeError::TimestampLookup { reason }
}

/// The offset the API means; `None` for a negative one.
fn from_wire(offset: i64) -> Option<Offset> {
    u64::try_from(offset).ok().map(Offset::new)
}

/// An offset as the API writes it.
fn to_wire(offset: Offset) -> i64 {
    i64::try_from(offset.get()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
