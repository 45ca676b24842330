//! Turning a time into an offset. Owns both look-ups of the behaviour spec, section 9.7; never a clock.
//!
//! Times of records strictly increase in a log, so one comparison finds the segment, the index finds the block, and a
//! short walk finds the record. Damaged stretches are stepped over: a time inside one finds the next record that can be
//! read.

use liftbridge_types::{Offset, Timestamp};

use crate::error::{ReadError, TimeLookupError};
use crate::reader::{ForwardReader, LogView};
use crate::record::Record;

/// Bytes read at once while walking to the record sought.
const WALK_BYTES: usize = 64 * 1024;

impl LogView {
    /// The first record below `end` stored at or after `time`; `None` when there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn first_at_or_after(&self, time: Timestamp, end: Offset) -> Result<Option<Offset>, TimeLookupError> {
        let mut reader = self.reader(self.start_of_walk(time));
        let found = find(&mut reader, end, |record| record.time >= time)?;
        Ok(found.map(|record| record.offset))
    }

    /// The last record below `end` stored at or before `time`.
    ///
    /// # Errors
    /// [`TimeLookupError::Empty`] when there is no record below `end`, [`TimeLookupError::BeforeBeginning`] when they are all
    /// later; else when the log cannot be read.
    pub fn last_at_or_before(&self, time: Timestamp, end: Offset) -> Result<Offset, TimeLookupError> {
        let later = match time.as_nanos().checked_add(1) {
            Some(nanos) => self.first_at_or_after(Timestamp::from_nanos(nanos), end)?,
            None => None,
        };
        match self.last_below(later.unwrap_or(end))? {
            Some(offset) => Ok(offset),
            None if later.is_some() => Err(TimeLookupError::BeforeBeginning),
            None => Err(TimeLookupError::Empty),
        }
    }

    /// An offset at or before the first record stored at or after `time`.
    fn start_of_walk(&self, time: Timestamp) -> Offset {
        let segments = self.shared.segments();
        let holds = |newest: Timestamp| newest >= time;
        let found = segments.iter().find(|segment| segment.extent().times.is_some_and(|(_, newest)| holds(newest)));
        let Some(segment) = found else { return self.log_end() };
        let delta = segment.look_up(&*self.shared.storage, &mut None, |index| index.offset_of_time(time));
        segment.base().plus(delta).max(self.log_start())
    }

    fn last_below(&self, end: Offset) -> Result<Option<Offset>, ReadError> {
        let mut reader = self.reverse_reader(end);
        loop {
            let bound = reader.end();
            let batches = match reader.read(1) {
                Err(ReadError::Damaged { .. }) => continue,
                other => other?,
            };
            let Some(batch) = batches.first() else { return Ok(None) };
            let below = batch.records().map_while(Result::ok).take_while(|record| record.offset < bound).last();
            if let Some(record) = below {
                return Ok(Some(record.offset));
            }
        }
    }
}

/// The first record from `reader` on, below `end`, that `matches`.
fn find(
    reader: &mut ForwardReader,
    end: Offset,
    matches: impl Fn(&Record) -> bool,
) -> Result<Option<Record>, ReadError> {
    loop {
        let from = reader.next_offset();
        let batches = match reader.read(end, WALK_BYTES) {
            Err(ReadError::Damaged { .. }) => continue,
            other => other?,
        };
        if batches.is_empty() {
            return Ok(None);
        }
        let records = batches.iter().flat_map(|batch| batch.records().map_while(Result::ok));
        let mut in_range = records.filter(|record| record.offset >= from).take_while(|record| record.offset < end);
        if let Some(record) = in_range.find(|record| matches(record)) {
            return Ok(Some(record));
        }
    }
}
