//! Whether everything that was reported as durable before is still there. Owns the file `running`; never what follows.
//!
//! With a sync before every acknowledgement nothing durable is ever lost with a process or a machine. With any other policy
//! the newest records live in the operating system's memory for a while, so that only a clean stop proves that they are there:
//! the file `running` is made before the first of them can be written, and goes when everything is closed.

use std::io;

use liftbridge_commitlog::{SyncPolicy, Volume};

use crate::one_line_file::{self, Line};

const FILE: &str = "running";

/// Begins a life under this policy; whether the life before left everything behind that it had reported as durable.
pub(crate) fn begin(volume: &dyn Volume, sync: SyncPolicy) -> io::Result<bool> {
    let kept_all = one_line_file::read(volume, FILE)? == Line::Missing;
    match (sync, kept_all) {
        // It stays as long as the log that lost something is not known to be one that has.
        (SyncPolicy::Commit, true) | (_, false) => {}
        (_, true) => one_line_file::create(volume, FILE, "records are written without being synced")?,
    }
    Ok(kept_all)
}

/// Ends a life in which everything was closed.
pub(crate) fn end(volume: &dyn Volume) -> io::Result<()> {
    match one_line_file::read(volume, FILE)? {
        Line::Missing => Ok(()),
        Line::Whole(_) | Line::Damaged => one_line_file::remove(volume, FILE),
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_commitlog::MemoryVolume;

    use super::*;

    #[test]
    fn only_a_clean_stop_proves_that_unsynced_records_are_there() {
        let volume = MemoryVolume::new();
        assert!(begin(&volume, SyncPolicy::Never).unwrap());
        assert!(!begin(&volume, SyncPolicy::Never).unwrap());
        assert!(!begin(&volume, SyncPolicy::Commit).unwrap(), "what came before was not synced either");
        end(&volume).unwrap();
        assert!(begin(&volume, SyncPolicy::Commit).unwrap());
        assert!(begin(&volume, SyncPolicy::Commit).unwrap(), "every record is synced");
    }
}
