//! Many threads, one log, few syncs. Owns who syncs for whom; never what is appended.

use liftbridge_types::{LeaderEpoch, Offset, Timestamp};
use parking_lot::{Condvar, Mutex};

use crate::batch::BatchBuilder;
use crate::commit_log::{Appended, CommitLog};
use crate::error::AppendError;
use crate::reader::LogView;

/// A log that many threads append to, each waiting until what it appended is durable.
///
/// Appends that arrive while one sync runs share the next one, so the cost of a sync is spread over everyone who waits:
/// with `n` threads the log does about two syncs for every `n` appends, however slow the medium is.
#[derive(Debug)]
pub struct GroupCommitLog {
    log: Mutex<CommitLog>,
    sync: Mutex<SyncState>,
    synced: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    durable_end: Offset,
    running: bool,
    failed: Option<String>,
}

impl GroupCommitLog {
    /// Shares `log` among threads.
    pub fn new(log: CommitLog) -> Self {
        let sync = SyncState { durable_end: log.durable_end(), ..SyncState::default() };
        Self { log: Mutex::new(log), sync: Mutex::new(sync), synced: Condvar::new() }
    }

    /// Appends the builder's records as one batch, empties the builder and returns once they are durable.
    ///
    /// # Errors
    /// When they could not be appended or not be made durable; after the latter the log is read-only until it is opened
    /// again.
    pub fn append(
        &self,
        builder: &mut BatchBuilder,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let appended = self.log.lock().append(builder, epoch, now)?;
        self.wait_durable(appended.offsets.end)?;
        Ok(appended)
    }

    /// The reading side.
    pub fn view(&self) -> LogView {
        self.log.lock().view()
    }

    /// Gives the log back.
    pub fn into_inner(self) -> CommitLog {
        self.log.into_inner()
    }

    fn wait_durable(&self, end: Offset) -> Result<(), AppendError> {
        let mut state = self.sync.lock();
        loop {
            if state.durable_end >= end {
                return Ok(());
            }
            if let Some(reason) = &state.failed {
                return Err(AppendError::Failed { reason: reason.clone() });
            }
            if state.running {
                self.synced.wait(&mut state);
                continue;
            }
            state.running = true;
            drop(state);
            let outcome = self.sync_once();
            state = self.sync.lock();
            state.running = false;
            match outcome {
                Ok(durable_end) => state.durable_end = state.durable_end.max(durable_end),
                Err(error) => state.failed = Some(error.to_string()),
            }
            self.synced.notify_all();
        }
    }

    /// Syncs what is appended by now, with the log free for more appends meanwhile.
    fn sync_once(&self) -> Result<Offset, AppendError> {
        let due = {
            let log = self.log.lock();
            log.prepare_sync()?.ok_or(log.durable_end())
        };
        let pending = match due {
            Ok(pending) => pending,
            Err(durable_end) => return Ok(durable_end),
        };
        let outcome = pending.run();
        self.log.lock().finish_sync(&pending, outcome)
    }
}
