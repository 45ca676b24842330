//! When appended bytes are forced to the medium. Owns the levels and what each survives; never the clock that drives one.

use std::time::Duration;

/// When a log's appends reach stable storage, and so when they may count as committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// What counts as committed has been through `fdatasync`; appends that arrive during one sync share the next one.
    /// Survives a crash of the process and of the machine.
    #[default]
    Commit,
    /// Committed when written, synced at least this often. Survives a crash of the process; a crash of the machine loses
    /// up to one interval.
    Interval(Duration),
    /// Committed when written, synced when the operating system likes. Survives a crash of the process only.
    Never,
}
