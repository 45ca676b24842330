//! Reading backward. Owns how a block of batches is found and turned round; never how far down a reader wants to go.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use liftbridge_types::Offset;

use crate::batch::Batch;
use crate::batch_scanner::{BatchScanner, Scanned};
use crate::error::ReadError;
use crate::segment::Segment;
use crate::segment_index::SegmentIndex;
use crate::shared::{Segments, Shared};

/// Reads batches in descending offset order, down to the oldest record kept.
#[derive(Debug)]
pub struct ReverseReader {
    shared: Arc<Shared>,
    end: Offset,
    /// The index of the segment that was read last, so that it is loaded once.
    index: Option<Arc<SegmentIndex>>,
}

/// A block read from a segment, turned round as far as it is good.
struct Block {
    /// Batches in descending order.
    batches: Vec<Batch>,
    /// The damage below them, if the block has any.
    damage: Option<(Range<Offset>, u64)>,
}

impl ReverseReader {
    pub(crate) fn new(shared: Arc<Shared>, end: Offset) -> Self {
        Self { shared, end, index: None }
    }

    /// The exclusive upper end of what is left to read.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// The next batches in descending order, whole, verified, up to about `bytes_max` but at least one; empty at the
    /// beginning of the log. The first may end after [`ReverseReader::end`]: the caller skips those records. Blocks on file
    /// I/O.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when the next bytes down do not verify: the reader has moved on to the beginning of the damage
    /// and can be asked again. Other errors when the storage fails or the log was deleted.
    pub fn read(&mut self, bytes_max: usize) -> Result<Vec<Batch>, ReadError> {
        loop {
            if self.shared.is_deleted() {
                return Err(ReadError::Deleted);
            }
            self.end = self.end.min(self.shared.log_end());
            if self.end <= self.shared.log_start() {
                return Ok(Vec::new());
            }
            let segments = self.shared.segments();
            let below = segments.partition_point(|segment| segment.base() < self.end);
            let Some(segment) = below.checked_sub(1).and_then(|i| segments.get(i)) else { return Ok(Vec::new()) };
            if let Some(damaged) = self.damage_at_end(segment) {
                return Err(self.skip(damaged, segment, segment.log_bytes()));
            }
            let Some(block) = self.read_block(&segments, segment, bytes_max as u64)? else { continue };
            match (block.batches.last(), block.damage) {
                (Some(lowest), _) => {
                    self.end = lowest.header().base_offset;
                    return Ok(block.batches);
                }
                (None, Some((offsets, file_position))) => return Err(self.skip(offsets, segment, file_position)),
                // Nothing of this segment lies below the end.
                (None, None) => self.end = segment.base(),
            }
        }
    }

    /// Damage that recovery found right below the end, where no batch of the segment reaches.
    fn damage_at_end(&self, segment: &Segment) -> Option<Range<Offset>> {
        let range = segment.damage_at(self.end.previous()?)?;
        (range.end >= segment.end()).then_some(range)
    }

    fn skip(&mut self, damaged: Range<Offset>, segment: &Segment, file_position: u64) -> ReadError {
        let offsets = damaged.start..damaged.end.min(self.end);
        self.end = damaged.start;
        ReadError::Damaged { offsets, file: segment.log_name().to_owned(), file_position }
    }

    /// Reads a block that ends with the batch below the end; `None` when the segment was deleted in the meantime.
    fn read_block(&mut self, segments: &Segments, segment: &Segment, bytes: u64) -> Result<Option<Block>, ReadError> {
        let storage = &*self.shared.storage;
        let file = match segment.open_file(storage) {
            Ok(file) => file,
            Err(error)
                if error.source.kind() == io::ErrorKind::NotFound
                    && !Arc::ptr_eq(segments, &self.shared.segments()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let delta = self.end.since(segment.base());
        let bounds = segment.look_up(storage, &mut self.index, |index| index.block_before(delta, bytes));
        let to = bounds.to.unwrap_or(u64::MAX).min(segment.log_bytes());
        let mut scanner = BatchScanner::new(&*file, segment.log_name(), bounds.from, to, segment.base())
            .with_window(to.saturating_sub(bounds.from));
        let mut block = Block { batches: Vec::new(), damage: None };
        let mut expected = segment.base().plus(bounds.offset_delta);
        while let Some(scanned) = scanner.step()? {
            match scanned {
                Scanned::Batch { batch, .. } if batch.header().base_offset >= self.end => break,
                Scanned::Batch { batch, .. } => {
                    expected = batch.header().end_offset();
                    block.batches.push(batch);
                }
                Scanned::Damaged { file_position, resume, .. } => {
                    // What lies below the damage is read by a later call, which ends below it.
                    if expected >= self.end {
                        break;
                    }
                    let end = resume.map_or(self.end, |(_, base)| base);
                    block = Block { batches: Vec::new(), damage: Some((expected..end, file_position)) };
                    expected = end;
                }
            }
        }
        block.batches.reverse();
        Ok(Some(block))
    }
}
