//! What the appender and the readers of one log have in common.
//!
//! Owns the list of segments, the ends of the log and the in-memory tail. The appender is the only writer of all of
//! them; readers take what they see as it is and look again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use liftbridge_types::Offset;
use parking_lot::RwLock;

use crate::segment::Segment;
use crate::storage::Storage;
use crate::tail::Tail;

/// The segments of a log, ascending; the last one is appended to.
pub(crate) type Segments = Arc<[Arc<Segment>]>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    segments: RwLock<Segments>,
    pub(crate) tail: RwLock<Tail>,
    log_start: AtomicU64,
    log_end: AtomicU64,
    durable_end: AtomicU64,
    deleted: AtomicBool,
}

impl Shared {
    /// A log of these segments that is durable up to `log_end`.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        segments: Vec<Arc<Segment>>,
        log_start: Offset,
        log_end: Offset,
    ) -> Self {
        Self {
            storage,
            segments: RwLock::new(segments.into()),
            tail: RwLock::new(Tail::default()),
            log_start: AtomicU64::new(log_start.get()),
            log_end: AtomicU64::new(log_end.get()),
            durable_end: AtomicU64::new(log_end.get()),
            deleted: AtomicBool::new(false),
        }
    }

    /// The segments there are now.
    pub(crate) fn segments(&self) -> Segments {
        self.segments.read().clone()
    }

    /// Puts another list in the place of the one there is.
    pub(crate) fn replace_segments(&self, segments: Vec<Arc<Segment>>) {
        *self.segments.write() = segments.into();
    }

    /// The first offset kept.
    pub(crate) fn log_start(&self) -> Offset {
        Offset::new(self.log_start.load(Ordering::Acquire))
    }

    pub(crate) fn set_log_start(&self, offset: Offset) {
        self.log_start.store(offset.get(), Ordering::Release);
    }

    /// The offset the next record gets. What is before it was written to its segment before this was set.
    pub(crate) fn log_end(&self) -> Offset {
        Offset::new(self.log_end.load(Ordering::Acquire))
    }

    pub(crate) fn set_log_end(&self, offset: Offset) {
        self.log_end.store(offset.get(), Ordering::Release);
    }

    /// The end of what is on stable storage.
    pub(crate) fn durable_end(&self) -> Offset {
        Offset::new(self.durable_end.load(Ordering::Acquire))
    }

    pub(crate) fn set_durable_end(&self, offset: Offset) {
        self.durable_end.store(offset.get(), Ordering::Release);
    }

    /// Whether the log was deleted under its readers.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
        self.tail.write().clear();
    }
}

/// The segment that holds `offset` or, where it lies in a gap, the next one that may; `None` when all end before it.
pub(crate) fn segment_for(segments: &[Arc<Segment>], offset: Offset) -> Option<usize> {
    let after = segments.partition_point(|segment| segment.base() <= offset);
    after.checked_sub(1).or(if segments.is_empty() { None } else { Some(0) })
}
