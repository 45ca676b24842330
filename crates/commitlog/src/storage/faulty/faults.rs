//! Which operations fail. Owns the schedule; never what a failed operation leaves behind.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use rustix::io::Errno;

/// The faults planned, and the count of operations they go by.
#[derive(Debug, Default)]
pub(super) struct Faults {
    operation_count: u64,
    /// Error by the number of the operation it hits.
    operations: BTreeMap<u64, io::ErrorKind>,
    syncs: Option<io::ErrorKind>,
    /// The number of the operation from which on no file and no directory can be opened.
    files_exhausted: Option<u64>,
    /// The number of the operation from which on none happens any more.
    power_off: Option<u64>,
    free_bytes: Option<u64>,
    /// Unreadable ranges by the path of the file.
    unreadable: BTreeMap<String, Range<u64>>,
}

impl Faults {
    pub(super) fn operation_count(&self) -> u64 {
        self.operation_count
    }

    pub(super) fn plan_operation(&mut self, after: u64, kind: io::ErrorKind) {
        self.operations.insert(self.operation_count.saturating_add(after), kind);
    }

    pub(super) fn plan_syncs(&mut self, kind: Option<io::ErrorKind>) {
        self.syncs = kind;
    }

    /// Lets so many more operations happen and has no descriptors from then on; `None` = there are some.
    pub(super) fn plan_exhaustion(&mut self, after: Option<u64>) {
        self.files_exhausted = after.map(|after| self.operation_count.saturating_add(after));
    }

    /// The newest operation takes a descriptor, if there is one.
    pub(super) fn on_open(&self) -> io::Result<()> {
        let is_exhausted = self.files_exhausted.is_some_and(|first| first < self.operation_count);
        if is_exhausted { Err(Errno::MFILE.into()) } else { Ok(()) }
    }

    /// Lets so many more operations happen and then none; `None` = no end of them.
    pub(super) fn plan_power_cut(&mut self, after: Option<u64>) {
        self.power_off = after.map(|after| self.operation_count.saturating_add(after));
    }

    /// Whether the newest operation came too late.
    pub(super) fn is_power_off(&self) -> bool {
        self.power_off.is_some_and(|first| first < self.operation_count)
    }

    pub(super) fn plan_unreadable(&mut self, path: &str, range: Option<Range<u64>>) {
        match range {
            Some(range) => self.unreadable.insert(path.to_owned(), range),
            None => self.unreadable.remove(path),
        };
    }

    pub(super) fn limit_free_bytes(&mut self, bytes: Option<u64>) {
        self.free_bytes = bytes;
    }

    pub(super) fn free_bytes(&self) -> Option<u64> {
        self.free_bytes
    }

    /// Counts one operation.
    pub(super) fn on_operation(&mut self) -> io::Result<()> {
        let number = self.operation_count;
        self.operation_count += 1;
        self.operations.remove(&number).map_or(Ok(()), |kind| Err(kind.into()))
    }

    pub(super) fn on_sync(&self) -> io::Result<()> {
        self.syncs.map_or(Ok(()), |kind| Err(kind.into()))
    }

    pub(super) fn on_read(&self, path: &str, range: &Range<u64>) -> io::Result<()> {
        let bad = self.unreadable.get(path);
        if bad.is_some_and(|bad| bad.start < range.end && range.start < bad.end) {
            return Err(io::Error::other("unreadable sector"));
        }
        Ok(())
    }

    /// Takes room for `bytes` more, or for as many as there is room for.
    pub(super) fn take_room(&mut self, bytes: u64) -> u64 {
        let Some(free) = &mut self.free_bytes else { return bytes };
        let taken = bytes.min(*free);
        *free -= taken;
        taken
    }

    pub(super) fn give_room(&mut self, bytes: u64) {
        if let Some(free) = &mut self.free_bytes {
            *free = free.saturating_add(bytes);
        }
    }
}
