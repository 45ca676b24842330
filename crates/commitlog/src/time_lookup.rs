//! Turning a time into an offset. Owns both look-ups of the behaviour spec, section 9.7; never a clock.
//!
//! Times of records strictly increase in a log, so one comparison finds the segment, the index finds the block, and a
//! short walk finds the record. A damaged stretch that may hold the record sought is not stepped over: the answer is then all
//! of it, so that whoever reads from or up to there, in whatever direction, can be told of the damage.

use std::ops::Range;
use std::sync::Arc;

use liftbridge_types::{Offset, Timestamp};

use crate::error::{ReadError, TimeLookupError};
use crate::reader::{ForwardReader, LogView};
use crate::segment::Segment;

/// Bytes read at once while walking to the record sought.
const WALK_BYTES: usize = 64 * 1024;

impl LogView {
    /// Where the first record below `end` stored at or after `time` is: one offset, or the damage that may hold it; `None` when
    /// there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn first_at_or_after(&self, time: Timestamp, end: Offset) -> Result<Option<Range<Offset>>, TimeLookupError> {
        Ok(self.turn(time, end)?.map(|turn| match turn {
            Turn::Record(offset) => offset..offset.next(),
            Turn::Damage(offsets) => offsets,
        }))
    }

    /// Where the last record below `end` stored at or before `time` is: one offset, or the damage that may hold it. Never empty.
    ///
    /// # Errors
    /// [`TimeLookupError::Empty`] when there is no record below `end`, [`TimeLookupError::BeforeBeginning`] when they are all
    /// later; else when the log cannot be read.
    pub fn last_at_or_before(&self, time: Timestamp, end: Offset) -> Result<Range<Offset>, TimeLookupError> {
        let later = match time.as_nanos().checked_add(1) {
            Some(nanos) => self.turn(Timestamp::from_nanos(nanos), end)?,
            None => None,
        };
        let later = match later {
            Some(Turn::Damage(offsets)) => {
                // After a record of this very time all are later.
                let exact = self.last_below(offsets.start)?.filter(|last| last.time == Some(time));
                return Ok(exact.map_or(offsets, |last| last.offsets));
            }
            Some(Turn::Record(offset)) => Some(offset),
            None => None,
        };
        match self.last_below(later.unwrap_or(end))? {
            Some(last) => Ok(last.offsets),
            None if later.is_some() => Err(TimeLookupError::BeforeBeginning),
            None => Err(TimeLookupError::Empty),
        }
    }

    /// Where the records below `end` become as late as `time`.
    fn turn(&self, time: Timestamp, end: Offset) -> Result<Option<Turn>, ReadError> {
        find_turn(&mut self.reader(self.start_of_walk(time)), time, end)
    }

    /// An offset at or before the first record stored at or after `time`, damaged ones included.
    fn start_of_walk(&self, time: Timestamp) -> Offset {
        let segments = self.shared.segments();
        let holds = |segment: &Arc<Segment>| segment.extent().times.is_some_and(|(_, newest)| newest >= time);
        let late = segments.iter().position(holds).unwrap_or(segments.len());
        // What is damaged at the end of a segment may be later than anything the segment is known to hold.
        let earlier = segments.iter().take(late).rev();
        let back = earlier.take_while(|segment| may_be_later_than_known(segment)).count();
        let Some(segment) = segments.get(late.saturating_sub(back)) else { return self.log_end() };
        let delta = segment.look_up(&*self.shared.storage, &mut None, |index| index.offset_of_time(time));
        segment.base().plus(delta).max(self.log_start())
    }

    /// The last offset below `end` that holds a record, or the damage that is there.
    fn last_below(&self, end: Offset) -> Result<Option<Last>, ReadError> {
        let mut reader = self.reverse_reader(end);
        loop {
            let bound = reader.end();
            let batches = match reader.read(1) {
                Err(ReadError::Damaged { offsets, .. }) => {
                    return Ok(Some(Last { offsets, time: None }));
                }
                other => other?,
            };
            let Some(batch) = batches.first() else { return Ok(None) };
            let below = batch.records().map_while(Result::ok).take_while(|record| record.offset < bound).last();
            if let Some(record) = below {
                let offsets = record.offset..record.offset.next();
                return Ok(Some(Last { offsets, time: Some(record.time) }));
            }
        }
    }
}

/// The place in a log from which on records are as late as a time.
enum Turn {
    /// At this record, and at no earlier one.
    Record(Offset),
    /// Somewhere in these offsets, which cannot be read, or right after them.
    Damage(Range<Offset>),
}

/// What is right below an end.
struct Last {
    /// A record's, or a damaged stretch.
    offsets: Range<Offset>,
    /// When its record was stored; `None` when that cannot be read.
    time: Option<Timestamp>,
}

/// Walks from `reader` on to where records below `end` become as late as `time`.
fn find_turn(reader: &mut ForwardReader, time: Timestamp, end: Offset) -> Result<Option<Turn>, ReadError> {
    // Damaged since the last record that was read.
    let mut damaged: Option<Range<Offset>> = None;
    loop {
        let from = reader.next_offset();
        let batches = match reader.read(end, WALK_BYTES) {
            Err(ReadError::Damaged { offsets, .. }) => {
                let start = damaged.map_or(offsets.start, |known| known.start);
                damaged = Some(start..offsets.end.min(end));
                continue;
            }
            other => other?,
        };
        if batches.is_empty() {
            return Ok(damaged.map(Turn::Damage));
        }
        let records = batches.iter().flat_map(|batch| batch.records().map_while(Result::ok));
        let in_range = records.filter(|record| record.offset >= from).take_while(|record| record.offset < end);
        for record in in_range {
            match damaged.take() {
                // Before a record of this very time all are earlier.
                Some(offsets) if record.time > time => return Ok(Some(Turn::Damage(offsets))),
                _ if record.time >= time => return Ok(Some(Turn::Record(record.offset))),
                _ => {}
            }
        }
    }
}

/// Whether nothing is known of the times in a segment, or its last offsets were found damaged when it was opened.
fn may_be_later_than_known(segment: &Segment) -> bool {
    let extent = segment.extent();
    extent.times.is_none() || extent.damaged.last().is_some_and(|range| range.end >= extent.end)
}
