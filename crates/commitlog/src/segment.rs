//! One segment of a log as the appender and the readers share it.
//!
//! Owns the segment's extent, its index and its open files. Never decides when a segment is rolled, read or deleted.
//! Locks here are held for copying a few words or for one index look-up, never during I/O on the log file, so a reader
//! cannot hold up the appender.

use std::ops::Range;
use std::sync::{Arc, Weak};

use liftbridge_types::{Offset, Timestamp};
use parking_lot::{Mutex, RwLock};

use crate::error::LogError;
use crate::file_names;
use crate::segment_index::{IndexEntry, SUMMARY_BYTES, SegmentIndex, Summary};
use crate::segment_walk::{WalkPlan, walk};
use crate::small_file;
use crate::storage::{Storage, StorageFile};

/// One file of batches with its index.
#[derive(Debug)]
pub(crate) struct Segment {
    base: Offset,
    log_name: String,
    extent: RwLock<Extent>,
    index: Mutex<IndexSlot>,
    /// Shared by everyone who reads or appends, closed when the last of them lets go.
    file: Mutex<Option<Weak<dyn StorageFile>>>,
}

/// How far a segment reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes of the log file that hold batches; readers go no further.
    pub(crate) log_bytes: u64,
    /// The offset after the last record.
    pub(crate) end: Offset,
    /// Records in it.
    pub(crate) record_count: u64,
    /// Times of the first and the newest record.
    pub(crate) times: Option<(Timestamp, Timestamp)>,
    /// Offsets recovery found damaged.
    pub(crate) damaged: Vec<Range<Offset>>,
}

#[derive(Debug)]
enum IndexSlot {
    /// Of the segment that is appended to: it grows here.
    InMemory(SegmentIndex),
    /// In its file; what readers loaded of it is shared among them.
    OnDisk(Weak<SegmentIndex>),
}

impl Segment {
    /// An empty segment that begins at `base`.
    pub(crate) fn empty(base: Offset) -> Self {
        let extent = Extent { log_bytes: 0, end: base, record_count: 0, times: None, damaged: Vec::new() };
        Self::with_extent(base, extent, IndexSlot::InMemory(SegmentIndex::default()))
    }

    /// A segment that was walked, with its index in memory.
    pub(crate) fn walked(base: Offset, extent: Extent, index: SegmentIndex) -> Self {
        Self::with_extent(base, extent, IndexSlot::InMemory(index))
    }

    /// A segment whose index file was found to be good.
    pub(crate) fn from_summary(summary: &Summary) -> Self {
        let extent = Extent {
            log_bytes: summary.log_bytes,
            end: summary.end,
            record_count: summary.record_count,
            times: summary.times,
            damaged: Vec::new(),
        };
        Self::with_extent(summary.base, extent, IndexSlot::OnDisk(Weak::new()))
    }

    fn with_extent(base: Offset, extent: Extent, index: IndexSlot) -> Self {
        Self {
            base,
            log_name: file_names::log(base),
            extent: RwLock::new(extent),
            index: Mutex::new(index),
            file: Mutex::new(None),
        }
    }

    /// The offset its first record has or will have.
    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// The name of its log file.
    pub(crate) fn log_name(&self) -> &str {
        &self.log_name
    }

    /// How far it reaches now.
    pub(crate) fn extent(&self) -> Extent {
        self.extent.read().clone()
    }

    /// Bytes of its log file that hold batches.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.extent.read().log_bytes
    }

    /// The offset after its last record.
    pub(crate) fn end(&self) -> Offset {
        self.extent.read().end
    }

    /// The damaged range `offset` lies in, if recovery found one.
    pub(crate) fn damage_at(&self, offset: Offset) -> Option<Range<Offset>> {
        self.extent.read().damaged.iter().find(|range| range.contains(&offset)).cloned()
    }

    /// Whether its last offsets are damaged.
    pub(crate) fn ends_damaged(&self) -> bool {
        let extent = self.extent.read();
        extent.damaged.iter().any(|range| range.end >= extent.end)
    }

    /// Changes how far it reaches; readers see all of the change or nothing.
    pub(crate) fn update_extent<R>(&self, change: impl FnOnce(&mut Extent) -> R) -> R {
        change(&mut self.extent.write())
    }

    /// Its log file, opened if nobody has it open.
    pub(crate) fn open_file(&self, storage: &dyn Storage) -> Result<Arc<dyn StorageFile>, LogError> {
        let mut slot = self.file.lock();
        if let Some(file) = slot.as_ref().and_then(Weak::upgrade) {
            return Ok(file);
        }
        let file = storage.open(&self.log_name).map_err(|e| LogError::new("open", &self.log_name, e))?;
        *slot = Some(Arc::downgrade(&file));
        Ok(file)
    }

    /// Its log file, newly created.
    pub(crate) fn create_file(&self, storage: &dyn Storage) -> Result<Arc<dyn StorageFile>, LogError> {
        let file = storage.create(&self.log_name).map_err(|e| LogError::new("create", &self.log_name, e))?;
        *self.file.lock() = Some(Arc::downgrade(&file));
        Ok(file)
    }

    /// Adds an index entry if the last one is `interval` bytes or more behind. Only for the segment that is appended to.
    pub(crate) fn maybe_index(&self, entry: IndexEntry, interval: u32) {
        if let IndexSlot::InMemory(index) = &mut *self.index.lock() {
            let due = index
                .newest_position()
                .is_none_or(|newest| u64::from(entry.file_position) >= newest + u64::from(interval));
            if due {
                index.push(entry);
            }
        }
    }

    /// Looks something up in the index, loading it if need be; the caller keeps what was loaded in `held` for as long as
    /// it stays with this segment. An index that cannot be loaded is made anew from the log file; where that fails too, it
    /// points at the beginning of the file: slower, never wrong.
    pub(crate) fn look_up<R>(
        &self,
        storage: &dyn Storage,
        held: &mut Option<Arc<SegmentIndex>>,
        find: impl FnOnce(&SegmentIndex) -> R,
    ) -> R {
        let mut slot = self.index.lock();
        match &mut *slot {
            IndexSlot::InMemory(index) => find(index),
            IndexSlot::OnDisk(weak) => {
                let index = weak.upgrade().unwrap_or_else(|| {
                    let index = self.load_index(storage).or_else(|| self.rebuild_index(storage).ok());
                    Arc::new(index.unwrap_or_default())
                });
                *weak = Arc::downgrade(&index);
                find(held.insert(index))
            }
        }
    }

    fn load_index(&self, storage: &dyn Storage) -> Option<SegmentIndex> {
        let content = small_file::read(storage, &file_names::index(self.base), INDEX_BYTES_MAX).ok()??;
        let (index, summary) = SegmentIndex::decode(&content)?;
        let extent = self.extent.read();
        (summary.base == self.base && summary.log_bytes <= extent.log_bytes).then_some(index)
    }

    fn rebuild_index(&self, storage: &dyn Storage) -> Result<SegmentIndex, LogError> {
        let file = self.open_file(storage)?;
        let extent = self.extent();
        let plan = WalkPlan::whole(&self.log_name, self.base, extent.log_bytes, extent.end);
        Ok(walk(&*file, &plan)?.index)
    }

    /// Takes the index into memory, so that it can grow; made anew where its file is of no use.
    pub(crate) fn hold_index(&self, storage: &dyn Storage) -> Result<(), LogError> {
        let mut slot = self.index.lock();
        if let IndexSlot::OnDisk(_) = &*slot {
            let index = match self.load_index(storage) {
                Some(index) => index,
                None => self.rebuild_index(storage)?,
            };
            *slot = IndexSlot::InMemory(index);
        }
        Ok(())
    }

    /// Writes the index with the segment's summary to its file, from where the next open goes on. Durable like
    /// [`small_file::replace`]. Look-ups go on meanwhile.
    pub(crate) fn snapshot_index(&self, storage: &dyn Storage) -> Result<(), LogError> {
        let summary = self.summary();
        let content = match &*self.index.lock() {
            IndexSlot::InMemory(index) => index.encode(&summary),
            IndexSlot::OnDisk(_) => return Ok(()),
        };
        small_file::replace(storage, &file_names::index(self.base), &content)
    }

    /// Lets go of the index in memory; its file must be up to date.
    pub(crate) fn release_index(&self) {
        *self.index.lock() = IndexSlot::OnDisk(Weak::new());
    }

    fn summary(&self) -> Summary {
        let extent = self.extent.read();
        Summary {
            base: self.base,
            log_bytes: extent.log_bytes,
            end: extent.end,
            record_count: extent.record_count,
            times: extent.times,
        }
    }

    /// Reads the summary of the segment at `base` from its index file; `None` when there is none that can be believed.
    pub(crate) fn load_summary(storage: &dyn Storage, base: Offset) -> Result<Option<Summary>, LogError> {
        let name = file_names::index(base);
        let file = match storage.open(&name) {
            Ok(file) => file,
            Err(error) if small_file::is_no_file(&error) => return Ok(None),
            Err(error) => return Err(LogError::new("open", &name, error)),
        };
        let mut head = [0; SUMMARY_BYTES];
        let read = file.read_at(&mut head, 0).map_err(|e| LogError::new("read", &name, e))?;
        Ok(head.get(..read).and_then(Summary::decode).filter(|summary| summary.base == base))
    }
}

/// More than an index of the largest segment takes with the densest entries.
const INDEX_BYTES_MAX: u64 = 1 << 30;
