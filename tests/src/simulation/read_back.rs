//! Reading a log as a subscriber would. Owns turning batches into plain records; judges nothing.

use std::ops::Range;

use liftbridge_commitlog::{Batch, ForwardReader, LogView, ReadError, ReverseReader};
use liftbridge_types::{Offset, Timestamp};

/// Bytes asked for at once: small, so that every reading takes several steps.
const READ_BYTES: usize = 600;
/// Failing reads that are tried again. Each planned fault fails one operation only.
const TRIES: usize = 32;

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) offset: Offset,
    pub(super) time: Timestamp,
    pub(super) value: Vec<u8>,
    /// The offsets of the batch it came in.
    pub(super) batch: Range<Offset>,
}

/// What a reading found, in reading order.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadBack {
    pub(super) seen: Vec<Seen>,
    pub(super) damaged: Vec<Range<Offset>>,
}

/// Something no reader may ever answer.
pub(super) type Nonsense = String;

/// Reads all of `start..end` upward.
pub(super) fn read(view: &LogView, start: Offset, end: Offset) -> Result<ReadBack, Nonsense> {
    let mut reader = view.reader(start);
    let mut found = ReadBack::default();
    while read_on(&mut reader, start, end, &mut found)? {}
    Ok(found)
}

/// Reads the next batches of `start..end` upward; whether there may be more.
pub(super) fn read_on(
    reader: &mut ForwardReader,
    start: Offset,
    end: Offset,
    found: &mut ReadBack,
) -> Result<bool, Nonsense> {
    let before = reader.next_offset();
    match patiently(|| reader.read(end, READ_BYTES)) {
        Ok(batches) if batches.is_empty() => return Ok(false),
        Ok(batches) => {
            let records = batches.iter().map(records).collect::<Result<Vec<_>, _>>()?.concat();
            let from = before.max(start);
            found.seen.extend(records.into_iter().filter(|seen| seen.offset >= from && seen.offset < end));
        }
        Err(ReadError::Damaged { offsets, .. }) => found.damaged.push(offsets),
        Err(other) => return Err(format!("a read answers: {other}")),
    }
    if reader.next_offset() <= before {
        return Err(format!("a reader at {before} answers something and stays there"));
    }
    Ok(true)
}

/// Reads everything below `end` downward.
pub(super) fn read_reverse(view: &LogView, end: Offset) -> Result<ReadBack, Nonsense> {
    let mut reader: ReverseReader = view.reverse_reader(end);
    let mut found = ReadBack::default();
    loop {
        let before = reader.end();
        match patiently(|| reader.read(READ_BYTES)) {
            Ok(batches) if batches.is_empty() => return Ok(found),
            Ok(batches) => {
                for batch in &batches {
                    let mut records = records(batch)?;
                    records.retain(|seen| seen.offset < before);
                    found.seen.extend(records.into_iter().rev());
                }
            }
            Err(ReadError::Damaged { offsets, .. }) => found.damaged.push(offsets),
            Err(other) => return Err(format!("a reverse read answers: {other}")),
        }
        if reader.end() >= before {
            return Err(format!("a reverse reader at {before} answers something and stays there"));
        }
    }
}

/// What is still in memory from `start` on; `None` when that is not.
pub(super) fn read_tail(view: &LogView, start: Offset, end: Offset) -> Result<Option<ReadBack>, Nonsense> {
    let Some(batches) = view.read_tail(start, end, READ_BYTES) else { return Ok(None) };
    let mut records = batches.iter().map(records).collect::<Result<Vec<_>, _>>()?.concat();
    records.retain(|seen| seen.offset >= start && seen.offset < end);
    Ok(Some(ReadBack { seen: records, damaged: Vec::new() }))
}

fn records(batch: &Batch) -> Result<Vec<Seen>, Nonsense> {
    let seen = |record: liftbridge_commitlog::Record| Seen {
        offset: record.offset,
        time: record.time,
        value: record.value.to_vec(),
        batch: batch.header().base_offset..batch.header().end_offset(),
    };
    let records: Result<Vec<Seen>, _> = batch.records().map(|record| record.map(seen)).collect();
    records.map_err(|error| format!("a batch that a reader verified holds nonsense: {error}"))
}

/// Tries again after failures that are the storage's.
fn patiently<T>(mut read: impl FnMut() -> Result<T, ReadError>) -> Result<T, ReadError> {
    for _ in 1..TRIES {
        match read() {
            Err(ReadError::Storage(_)) => {}
            answer => return answer,
        }
    }
    read()
}
