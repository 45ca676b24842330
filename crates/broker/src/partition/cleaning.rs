//! What is done to an open log from time to time: forced to the medium, cleaned, parked. Owns when the next time is; never
//! what a log keeps.

use std::sync::Arc;

use liftbridge_commitlog::{AppendError, SyncPolicy};

use crate::partition::Partition;
use crate::partition::lifecycle::{Core, State};
use crate::partition::upkeep::Duty;

impl Partition {
    /// Has done later what an append makes necessary.
    pub(super) fn plan_after_append(self: &Arc<Self>, core: &mut Core) {
        if let SyncPolicy::Interval(interval) = self.host.sync
            && let State::Open(open) = &core.state
            && open.log.durable_end() < open.log.log_end()
            && !core.sync_scheduled
        {
            core.sync_scheduled = true;
            self.host.upkeep.schedule(interval, Duty::Sync, Arc::downgrade(self));
        }
        if let State::Open(open) = &mut core.state
            && !open.tail.resize(open.log.tail_bytes())
        {
            open.log.clear_tail();
            open.tail.resize(0);
        }
        self.maybe_checkpoint(core);
        self.plan_cleaning(core);
    }

    /// Bounds what the next open has to scan after a crash. A failure costs that open time; one that matters more meets the
    /// next append too.
    fn maybe_checkpoint(&self, core: &mut Core) {
        if let State::Open(open) = &mut core.state
            && let Err(error) = open.log.maybe_checkpoint(open.leader.high_watermark())
        {
            tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %error,
                "could not write a checkpoint: trying again with the next append");
        }
    }

    /// Has the log cleaned after the interval, if there is anything that could ever go.
    pub(super) fn plan_cleaning(self: &Arc<Self>, core: &mut Core) {
        if let State::Open(open) = &core.state
            && open.log.log_start() < open.log.log_end()
            && !core.clean_scheduled
        {
            core.clean_scheduled = true;
            let interval = core.settings.cleaner_interval;
            self.host.upkeep.schedule(interval, Duty::Clean, Arc::downgrade(self));
        }
    }

    /// Forces to the medium what was written since the last time.
    pub(super) fn sync_written(&self, core: &mut Core) {
        core.sync_scheduled = false;
        if let State::Open(open) = &mut core.state
            && open.log.durable_end() < open.log.log_end()
            && let Err(error) = self.timed_sync(open).0
        {
            self.become_offline(core, error.to_string());
        }
    }

    /// Rolls what is due by age and removes what is beyond the retention limits.
    ///
    /// Planned again only while time alone can make more go; else by the next append.
    pub(super) fn clean(self: &Arc<Self>, core: &mut Core) {
        core.clean_scheduled = false;
        let State::Open(open) = &mut core.state else { return };
        let high_watermark = open.leader.high_watermark();
        let cleaned = open.log.clean(self.host.clock.now(), high_watermark);
        if let Err(error) = open.log.remove_released() {
            tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %error,
                "could not remove old segments: trying again at the next cleaning");
        }
        let recorded = match (open.parked, open.log.is_parked()) {
            (true, true) => Ok(()),
            // A roll opened a file that nobody else is going to close.
            (true, false) => open.log.park(high_watermark),
            (false, _) => open.log.checkpoint(high_watermark),
        };
        self.survive(core, cleaned.map(drop).and(recorded));
        if core.settings.retention_max_age.is_some() || core.settings.segment_max_age.is_some() {
            self.plan_cleaning(core);
        }
    }

    /// Closes files and caches and gives memory back, until the partition is used again.
    pub(super) fn park(&self, core: &mut Core) {
        let State::Open(open) = &mut core.state else { return };
        open.leader.shrink();
        open.owed.shrink();
        let parked = open.log.park(open.leader.high_watermark());
        open.tail.resize(open.log.tail_bytes());
        open.parked = parked.is_ok();
        self.survive(core, parked);
    }

    /// A full disk is waited out, any other failure of the log takes the partition offline.
    fn survive(&self, core: &mut Core, result: Result<(), AppendError>) {
        match result {
            Ok(()) => {}
            Err(AppendError::Storage(error)) if error.is_disk_full() => {
                tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %error, "disk is full");
            }
            Err(error) => self.become_offline(core, error.to_string()),
        }
    }
}
