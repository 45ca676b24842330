//! Reading forward. Owns the way of a reader through segments, past damage and deleted segments; never the appender's
//! state, and no opinion on how far a reader may go: the caller names the end.

use std::io;
use std::sync::Arc;

use liftbridge_types::Offset;

use crate::batch::Batch;
use crate::batch_scanner::{BatchScanner, Scanned};
use crate::error::ReadError;
use crate::reverse_reader::ReverseReader;
use crate::segment::Segment;
use crate::shared::{Segments, Shared, segment_for};
use crate::storage::StorageFile;

/// The reading side of a log, shared by any number of readers. Never waits for the appender's I/O.
#[derive(Clone, Debug)]
pub struct LogView {
    pub(crate) shared: Arc<Shared>,
}

impl LogView {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The first offset kept.
    pub fn log_start(&self) -> Offset {
        self.shared.log_start()
    }

    /// The offset the next record gets.
    pub fn log_end(&self) -> Offset {
        self.shared.log_end()
    }

    /// A reader that begins at `start`, or at the oldest record kept when that is later.
    pub fn reader(&self, start: Offset) -> ForwardReader {
        ForwardReader { shared: self.shared.clone(), next: start, place: None }
    }

    /// A reader that walks down from the record before `end`.
    pub fn reverse_reader(&self, end: Offset) -> ReverseReader {
        ReverseReader::new(self.shared.clone(), end)
    }

    /// The batches from the one that holds `start` on that begin below `end` and are still in memory: whole, up to about
    /// `bytes_max` but at least one. `None` when `start` is not in memory: then a [`ForwardReader`] reads the files. Never
    /// blocks on I/O.
    pub fn read_tail(&self, start: Offset, end: Offset, bytes_max: usize) -> Option<Vec<Batch>> {
        self.shared.tail.read().read(start, end, bytes_max)
    }
}

/// Reads batches in offset order. Survives retention: what is deleted under it is skipped.
#[derive(Debug)]
pub struct ForwardReader {
    shared: Arc<Shared>,
    next: Offset,
    place: Option<Place>,
}

/// Where in which file a reader goes on.
#[derive(Debug)]
struct Place {
    segment: Arc<Segment>,
    file: Arc<dyn StorageFile>,
    file_position: u64,
}

/// What a look at one segment gave.
enum Found {
    /// Batches, at least one.
    Batches(Vec<Batch>),
    /// The next batch begins at or beyond the end asked for.
    End,
    /// The segment has no more batches.
    SegmentEnd,
    /// Bytes that do not verify, and the offset the next good batch begins at.
    Damage { file_position: u64, resume: Offset },
}

impl ForwardReader {
    /// The offset the next record returned will have, or a later one where records were compacted away or deleted.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// The next batches, whole, verified, up to about `bytes_max` but at least one, all starting below `end`; empty when
    /// there are none. The first may begin before, and the last may end after, what was asked for: the caller skips those
    /// records. Blocks on file I/O.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when the next bytes do not verify: the reader has moved on to the end of the damage and can
    /// be asked again. Other errors when the storage fails or the log was deleted.
    pub fn read(&mut self, end: Offset, bytes_max: usize) -> Result<Vec<Batch>, ReadError> {
        loop {
            if self.shared.is_deleted() {
                return Err(ReadError::Deleted);
            }
            self.next = self.next.max(self.shared.log_start());
            if self.next >= end.min(self.shared.log_end()) {
                return Ok(Vec::new());
            }
            let Some(mut place) = self.take_place()? else { return Ok(Vec::new()) };
            match self.look(&mut place, end, bytes_max)? {
                Found::Batches(batches) => {
                    self.next = batches.last().map_or(self.next, |last| last.header().end_offset());
                    self.place = Some(place);
                    return Ok(batches);
                }
                Found::End => {
                    self.place = Some(place);
                    return Ok(Vec::new());
                }
                Found::SegmentEnd => self.leave(&place.segment)?,
                Found::Damage { file_position, resume } => {
                    let from = self.next;
                    self.next = from.max(resume);
                    let file = place.segment.log_name().to_owned();
                    self.place = Some(place);
                    // Damage in batches before the one that is sought concerns nobody.
                    if from < self.next {
                        return Err(ReadError::Damaged { offsets: from..self.next, file, file_position });
                    }
                }
            }
        }
    }

    /// Where to go on: where the last read ended, or found anew through the index. `None` when the log has no segment.
    fn take_place(&mut self) -> Result<Option<Place>, ReadError> {
        loop {
            let segments = self.shared.segments();
            let found = segment_for(&segments, self.next).and_then(|i| segments.get(i));
            let Some(segment) = found else { return Ok(None) };
            if let Some(place) = self.place.take().filter(|place| Arc::ptr_eq(&place.segment, segment)) {
                return Ok(Some(place));
            }
            let file = match segment.open_file(&*self.shared.storage) {
                Ok(file) => file,
                Err(error) if error.source.kind() == io::ErrorKind::NotFound && self.lists_others(&segments) => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let delta = self.next.since(segment.base());
            let file_position =
                segment.look_up(&*self.shared.storage, &mut None, |index| index.position_of_offset(delta));
            return Ok(Some(Place { segment: segment.clone(), file, file_position }));
        }
    }

    /// Whether the log's segments changed since `segments` was taken: retention was quicker than this reader.
    fn lists_others(&self, segments: &Segments) -> bool {
        !Arc::ptr_eq(segments, &self.shared.segments())
    }

    /// Reads from `place` on, and moves it behind what was read.
    fn look(&self, place: &mut Place, end: Offset, bytes_max: usize) -> Result<Found, ReadError> {
        let Place { segment, file, file_position: position } = place;
        let limit = segment.log_bytes();
        let mut scanner = BatchScanner::new(&**file, segment.log_name(), *position, limit, segment.base())
            .with_window(bytes_max as u64);
        let mut batches = Vec::new();
        let mut bytes = 0;
        // Beyond the first batch only what one read of the file brought along is taken.
        while batches.is_empty() || (bytes < bytes_max && scanner.holds_next()) {
            let Some(scanned) = scanner.step()? else { break };
            match scanned {
                Scanned::Batch { batch, .. } if batch.header().end_offset() <= self.next => {}
                Scanned::Batch { batch, .. } if batch.header().base_offset >= end => {
                    return Ok(if batches.is_empty() { Found::End } else { Found::Batches(batches) });
                }
                Scanned::Batch { batch, .. } => {
                    bytes += batch.bytes().len();
                    batches.push(batch);
                }
                // Damage behind good batches is met again, and reported, by the next read.
                Scanned::Damaged { .. } if !batches.is_empty() => break,
                Scanned::Damaged { file_position, resume, .. } => {
                    let (resume_position, resume) = resume.unwrap_or((limit, segment.end()));
                    *position = resume_position;
                    return Ok(Found::Damage { file_position, resume });
                }
            }
            *position = scanner.file_position();
        }
        Ok(if batches.is_empty() { Found::SegmentEnd } else { Found::Batches(batches) })
    }

    /// Goes from the end of a segment to the beginning of the next one, over offsets that were compacted away, and over
    /// damaged ones with an error.
    fn leave(&mut self, segment: &Segment) -> Result<(), ReadError> {
        let from = self.next;
        if let Some(damaged) = segment.damage_at(from) {
            self.next = damaged.end;
            let file = segment.log_name().to_owned();
            return Err(ReadError::Damaged { offsets: from..damaged.end, file, file_position: segment.log_bytes() });
        }
        let segments = self.shared.segments();
        let follower = segments.iter().find(|other| other.base() > segment.base());
        self.next = follower.map_or_else(|| self.shared.log_end(), |next| next.base()).max(from);
        Ok(())
    }
}
