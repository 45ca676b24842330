//! Whether everything that was reported as durable before is still there. Owns the file `running`; never what follows.
//!
//! With a sync before every acknowledgement nothing durable is ever lost with a process or a machine. With any other policy
//! the newest records live in the operating system's memory for a while, so that only a clean stop proves that they are there, or
//! that the machine has not been started since: a process that is killed takes nothing away from that memory. The file
//! `running` is made before the first of them can be written, and goes when everything is closed. It says in which
//! boot of the machine that was, where that is known.

use std::io;

use liftbridge_commitlog::{SyncPolicy, Volume};

use crate::one_line_file::{self, Line};

const FILE: &str = "running";

/// What the file says where it is not known in which boot of the machine this is.
const UNKNOWN_BOOT: &str = "records are written without being synced";

/// Begins a life under this policy, in this `boot` of the machine; whether the life before left everything behind that it had
/// reported as durable.
pub(crate) fn begin(volume: &dyn Volume, sync: SyncPolicy, boot: Option<&str>) -> io::Result<bool> {
    match one_line_file::read(volume, FILE)? {
        Line::Missing if sync == SyncPolicy::Commit => Ok(true),
        Line::Missing => {
            one_line_file::create(volume, FILE, boot.unwrap_or(UNKNOWN_BOOT))?;
            Ok(true)
        }
        // It stays as long as the log that may have lost something is not closed.
        Line::Whole(line) => Ok(boot.is_some_and(|boot| boot == line)),
        Line::Damaged => Ok(false),
    }
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
        assert!(begin(&volume, SyncPolicy::Never, None).unwrap());
        assert!(!begin(&volume, SyncPolicy::Never, None).unwrap());
        assert!(!begin(&volume, SyncPolicy::Commit, None).unwrap(), "what came before was not synced either");
        end(&volume).unwrap();
        assert!(begin(&volume, SyncPolicy::Commit, None).unwrap());
        assert!(begin(&volume, SyncPolicy::Commit, None).unwrap(), "every record is synced");
    }

    #[test]
    fn a_killed_process_leaves_its_records_with_the_system_and_a_machine_does_not() {
        let volume = MemoryVolume::new();
        let begin = |boot| begin(&volume, SyncPolicy::Never, Some(boot)).unwrap();
        assert!(begin("first"));
        assert!(begin("first"), "killed, and started again");
        assert!(!begin("second"), "the machine was");
        assert!(!begin("second"), "that is not made good by another start");
        end(&volume).unwrap();
        assert!(begin("second"));
        assert!(!super::begin(&volume, SyncPolicy::Never, None).unwrap());
    }
}
