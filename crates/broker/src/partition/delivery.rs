//! From batches read to records delivered: what is left of a range, what can be read of it now, and how much goes out at once.
//! Pure. Owns the order of delivery and the reasons a subscription ends by itself; never where batches come from.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use liftbridge_commitlog::{Batch, BatchError, Record, Records};
use liftbridge_types::{Header, Offset};

use crate::errors::{GoOn, SubscriptionEnd};
use crate::partition::position::ReadRange;
use crate::partition::{RunState, Seen};
use crate::read_budget::ReadShare;
use crate::requests::Delivery;

/// Most records in one delivery.
const DELIVERY_RECORDS_MAX: usize = 1024;

/// Payload at which a delivery is full.
const DELIVERY_BYTES_TARGET: usize = 256 * 1024;

/// Bytes of batches read at once. One batch is read whole, even when it is larger.
pub(crate) const READ_BYTES_TARGET: usize = 256 * 1024;

/// Bytes of records that a subscription holds without a share of the node's memory for it; one record is held even when it is
/// larger.
pub(crate) const READ_BYTES_MODEST: usize = 16 * 1024;

/// What a subscription does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read these offsets, or as many of them as one read gives.
    Read(Range<Offset>),
    /// Wait for the partition to change.
    Wait,
    /// End.
    End(SubscriptionEnd),
}

impl ReadRange {
    /// What can be done about what is left, with the partition as it is.
    pub(crate) fn step(&self, seen: &Seen) -> Step {
        if self.is_delivered() {
            return Step::End(SubscriptionEnd::StopReached);
        }
        match seen.state {
            RunState::Deleted => return Step::End(SubscriptionEnd::Deleted),
            RunState::Paused => return Step::End(SubscriptionEnd::Paused),
            RunState::Stopped => return Step::End(SubscriptionEnd::ShuttingDown),
            RunState::Open | RunState::Offline { .. } => {}
        }
        let (next, readable_end) = match *self {
            Self::Reverse { end, lowest } => return Step::Read(lowest..end),
            Self::Forward { next, end } => (next, end.map_or(seen.high_watermark, |end| end.min(seen.high_watermark))),
        };
        if next < readable_end {
            return Step::Read(next..readable_end);
        }
        match &seen.state {
            RunState::Offline { reason } => Step::End(SubscriptionEnd::Storage { reason: reason.clone() }),
            _ if seen.readonly && seen.high_watermark == seen.log_end => Step::End(SubscriptionEnd::ReadonlyEnd),
            _ => Step::Wait,
        }
    }

    /// Everything read of `span` was delivered, or was not there.
    pub(crate) fn pass(&mut self, span: &Range<Offset>) {
        match self {
            Self::Forward { next, .. } => *next = span.end.max(*next),
            Self::Reverse { end, .. } => *end = span.start.min(*end),
        }
    }

    /// How to read on behind damage, in a log that begins at `log_start`.
    pub(crate) fn behind(&self, damaged: &Range<Offset>, log_start: Offset) -> GoOn {
        match *self {
            Self::Forward { .. } => GoOn::Upward(damaged.end),
            Self::Reverse { lowest, .. } => {
                let below = damaged.start.previous().filter(|offset| *offset >= lowest.max(log_start));
                below.map_or(GoOn::Nowhere, GoOn::Downward)
            }
        }
    }

    fn is_delivered(&self) -> bool {
        match *self {
            Self::Forward { next, end } => end.is_some_and(|end| next >= end),
            Self::Reverse { end, lowest } => end <= lowest,
        }
    }
}

/// Batches read and not yet delivered, in the order they will be.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// What was read for; records outside are not delivered.
    span: Range<Offset>,
    reverse: bool,
    batches: VecDeque<Batch>,
    /// The batch that is being delivered: the offsets it spans and its records, in the order of delivery.
    current: Option<(Range<Offset>, Ordered)>,
    /// The right to hold the batches; `None` = what is held are copies of a few records.
    _share: Option<ReadShare>,
}

/// The records of one batch, in the order of delivery.
#[derive(Debug)]
enum Ordered {
    /// Of a batch that is held.
    Walked(Records),
    Listed(std::vec::IntoIter<Record>),
}

impl Ordered {
    fn new(batch: &Batch, reverse: bool) -> Result<Self, BatchError> {
        if !reverse {
            return Ok(Self::Walked(batch.records()));
        }
        let mut records = batch.records().collect::<Result<Vec<Record>, BatchError>>()?;
        records.reverse();
        Ok(Self::Listed(records.into_iter()))
    }

    fn next(&mut self) -> Result<Option<Record>, BatchError> {
        match self {
            Self::Walked(records) => records.next().transpose(),
            Self::Listed(records) => Ok(records.next()),
        }
    }
}

impl Chunk {
    /// What a read for `span` gave, in the order of delivery: the batches themselves with the right to hold them, which is given
    /// back with the chunk; without it as few records of them as can be.
    ///
    /// # Errors
    /// As [`Chunk::deliver`].
    pub(crate) fn new(
        span: Range<Offset>,
        reverse: bool,
        batches: Vec<Batch>,
        share: Option<ReadShare>,
    ) -> Result<Self, BatchError> {
        if share.is_some() {
            return Ok(Self { span, reverse, batches: batches.into(), current: None, _share: share });
        }
        let copied = copy_some(&span, reverse, &batches)?;
        Ok(Self { span, reverse, batches: VecDeque::new(), current: Some(copied), _share: None })
    }

    /// The next records; empty when the chunk is used up. The range passes each batch as its last record goes out.
    ///
    /// # Errors
    /// When a batch holds something no writer produces, though its checksums are right.
    pub(crate) fn deliver(&mut self, range: &mut ReadRange) -> Result<Delivery, BatchError> {
        let mut delivery = Delivery::new();
        let mut bytes = 0;
        while delivery.len() < DELIVERY_RECORDS_MAX && bytes < DELIVERY_BYTES_TARGET {
            let Some(record) = self.next_record(range)? else { break };
            if self.span.contains(&record.offset) {
                bytes += record_bytes(&record);
                delivery.push(record);
            }
        }
        Ok(delivery)
    }

    fn next_record(&mut self, range: &mut ReadRange) -> Result<Option<Record>, BatchError> {
        loop {
            if let Some((offsets, records)) = &mut self.current {
                if let Some(record) = records.next()? {
                    return Ok(Some(record));
                }
                // What the batch spans and does not hold was compacted away; nobody is to ask for it again.
                range.pass(&(offsets.start.max(self.span.start)..offsets.end.min(self.span.end)));
                self.current = None;
            }
            let Some(batch) = self.batches.pop_front() else { return Ok(None) };
            let header = batch.header();
            self.current = Some((header.base_offset..header.end_offset(), Ordered::new(&batch, self.reverse)?));
        }
    }
}

/// Copies of the first records of these batches that are in `span`, and the offsets they span. A record shares the memory of its
/// whole batch, so the batches are only let go of when nothing but copies is left.
fn copy_some(span: &Range<Offset>, reverse: bool, batches: &[Batch]) -> Result<(Range<Offset>, Ordered), BatchError> {
    let mut copies: Vec<Record> = Vec::new();
    let mut bytes = 0;
    let mut passed = span.start..span.start;
    if reverse {
        passed = span.end..span.end;
    }
    'full: for batch in batches {
        let mut records = Ordered::new(batch, reverse)?;
        while let Some(record) = records.next()? {
            if !span.contains(&record.offset) {
                continue;
            }
            let record_bytes = memory_bytes(&record);
            if !copies.is_empty() && bytes + record_bytes > READ_BYTES_MODEST {
                break 'full;
            }
            bytes += record_bytes;
            pass_to(&mut passed, reverse, record.offset, record.offset.next());
            copies.push(copy(&record));
        }
        pass_to(&mut passed, reverse, batch.header().base_offset, batch.header().end_offset());
    }
    Ok((passed, Ordered::Listed(copies.into_iter())))
}

fn pass_to(passed: &mut Range<Offset>, reverse: bool, lowest: Offset, end: Offset) {
    if reverse {
        passed.start = passed.start.min(lowest);
    } else {
        passed.end = passed.end.max(end);
    }
}

/// The record in memory of its own.
fn copy(record: &Record) -> Record {
    let own = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    let headers = record.headers.iter().map(|header| Header { name: own(&header.name), value: own(&header.value) });
    Record {
        offset: record.offset,
        time: record.time,
        key: record.key.as_ref().map(own),
        value: own(&record.value),
        headers: headers.collect(),
    }
}

/// What a copy of a record takes.
fn memory_bytes(record: &Record) -> usize {
    record_bytes(record) + size_of::<Record>() + record.headers.len() * size_of::<Header>()
}

/// The bytes a record brings along, as size limits and metrics count them.
pub(crate) fn record_bytes(record: &Record) -> usize {
    let headers: usize = record.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    record.key.as_ref().map_or(0, Bytes::len) + record.value.len() + headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(number: u64) -> Offset {
        Offset::new(number)
    }

    fn forward(next: u64, end: Option<u64>) -> ReadRange {
        ReadRange::Forward { next: offset(next), end: end.map(offset) }
    }

    fn reverse(end: u64, lowest: u64) -> ReadRange {
        ReadRange::Reverse { end: offset(end), lowest: offset(lowest) }
    }

    fn seen(state: RunState, readonly: bool, high_watermark: u64, log_end: u64) -> Seen {
        Seen {
            state,
            readonly,
            leads: true,
            high_watermark: offset(high_watermark),
            log_end: offset(log_end),
            generation: 1,
        }
    }

    fn read(start: u64, end: u64) -> Step {
        Step::Read(offset(start)..offset(end))
    }

    #[test]
    fn nothing_beyond_the_watermark_is_read() {
        assert_eq!(forward(2, None).step(&seen(RunState::Open, false, 5, 9)), read(2, 5));
        assert_eq!(forward(2, Some(4)).step(&seen(RunState::Open, false, 5, 9)), read(2, 4));
        assert_eq!(forward(2, Some(8)).step(&seen(RunState::Open, false, 5, 9)), read(2, 5));
        assert_eq!(forward(5, None).step(&seen(RunState::Open, false, 5, 9)), Step::Wait);
    }

    #[test]
    fn a_stop_ends_when_it_is_passed_even_if_it_was_never_met() {
        let stop = Step::End(SubscriptionEnd::StopReached);
        assert_eq!(forward(5, Some(5)).step(&seen(RunState::Open, false, 9, 9)), stop);
        assert_eq!(forward(8, Some(5)).step(&seen(RunState::Open, false, 9, 9)), stop);
        assert_eq!(reverse(4, 4).step(&seen(RunState::Open, false, 9, 9)), stop);
        assert_eq!(reverse(0, 0).step(&seen(RunState::Open, true, 0, 0)), stop);
        assert_eq!(forward(5, Some(5)).step(&seen(RunState::Deleted, false, 9, 9)), stop);
    }

    #[test]
    fn a_readonly_partition_ends_once_everything_is_committed_and_read() {
        let end = Step::End(SubscriptionEnd::ReadonlyEnd);
        assert_eq!(forward(5, None).step(&seen(RunState::Open, true, 5, 5)), end);
        assert_eq!(forward(0, None).step(&seen(RunState::Open, true, 0, 0)), end);
        assert_eq!(forward(5, None).step(&seen(RunState::Open, true, 5, 7)), Step::Wait);
        assert_eq!(forward(4, None).step(&seen(RunState::Open, true, 5, 5)), read(4, 5));
    }

    #[test]
    fn the_end_of_the_partition_is_the_end_of_its_readers() {
        #[track_caller]
        fn check(state: RunState, expected: SubscriptionEnd) {
            assert_eq!(forward(2, None).step(&seen(state, false, 5, 5)), Step::End(expected));
        }
        check(RunState::Deleted, SubscriptionEnd::Deleted);
        check(RunState::Paused, SubscriptionEnd::Paused);
        check(RunState::Stopped, SubscriptionEnd::ShuttingDown);
    }

    #[test]
    fn an_offline_partition_serves_what_is_committed_before_it_says_so() {
        let offline = seen(RunState::Offline { reason: "broken".to_owned() }, false, 5, 7);
        assert_eq!(forward(2, None).step(&offline), read(2, 5));
        let end = Step::End(SubscriptionEnd::Storage { reason: "broken".to_owned() });
        assert_eq!(forward(5, None).step(&offline), end);
    }

    #[test]
    fn behind_damage_lies_the_side_that_is_not_yet_delivered() {
        let damaged = offset(3)..offset(6);
        assert_eq!(forward(3, None).behind(&damaged, offset(0)), GoOn::Upward(offset(6)));
        assert_eq!(reverse(6, 0).behind(&damaged, offset(0)), GoOn::Downward(offset(2)));
        assert_eq!(reverse(6, 2).behind(&damaged, offset(2)), GoOn::Downward(offset(2)));
    }

    #[test]
    fn below_the_last_record_asked_for_or_kept_nothing_is_left() {
        let damaged = offset(3)..offset(6);
        assert_eq!(reverse(6, 3).behind(&damaged, offset(0)), GoOn::Nowhere);
        assert_eq!(reverse(6, 0).behind(&damaged, offset(3)), GoOn::Nowhere);
        assert_eq!(reverse(6, 0).behind(&(offset(0)..offset(6)), offset(0)), GoOn::Nowhere);
    }
}
