//! What is done to an open log from time to time: forced to the medium, cleaned, parked. Owns when the next time is; never
//! what a log keeps.

use std::sync::Arc;

use liftbridge_commitlog::{AppendError, SyncPolicy};
use liftbridge_replication::{Event, FollowerEvent};

use crate::partition::Partition;
use crate::partition::lifecycle::{Core, State};
use crate::partition::role::{Replica, RoleHere};
use crate::partition::upkeep::Duty;

impl Partition {
    /// Has done later what an append makes necessary.
    pub(super) fn plan_after_append(self: &Arc<Self>, core: &mut Core) {
        if let SyncPolicy::Interval(interval) = self.host.sync
            && let State::Open(replica) = &core.state
            && replica.open.log.durable_end() < replica.open.log.log_end()
            && !core.sync_scheduled
        {
            core.sync_scheduled = true;
            self.host.upkeep.schedule(interval, Duty::Sync, Arc::downgrade(self));
        }
        if let State::Open(replica) = &mut core.state
            && !replica.open.tail.resize(replica.open.log.tail_bytes())
        {
            replica.open.log.clear_tail();
            replica.open.tail.resize(0);
        }
        self.maybe_checkpoint(core);
        self.plan_cleaning(core);
    }

    /// Bounds what the next open has to scan after a crash. A failure costs that open time; one that matters more meets the
    /// next append too.
    fn maybe_checkpoint(self: &Arc<Self>, core: &mut Core) {
        if let State::Open(replica) = &mut core.state
            && let Err(error) = replica.open.log.maybe_checkpoint(replica.role.high_watermark())
        {
            tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %error,
                "could not write a checkpoint: trying again with the next append");
        }
    }

    /// Has the log cleaned after the interval, if there is anything that could ever go.
    pub(super) fn plan_cleaning(self: &Arc<Self>, core: &mut Core) {
        if let State::Open(replica) = &core.state
            && replica.open.log.log_start() < replica.open.log.log_end()
            && !core.clean_scheduled
        {
            core.clean_scheduled = true;
            let interval = core.settings.cleaner_interval;
            self.host.upkeep.schedule(interval, Duty::Clean, Arc::downgrade(self));
        }
    }

    /// Forces to the medium what was written since the last time.
    pub(super) fn sync_written(self: &Arc<Self>, core: &mut Core) {
        core.sync_scheduled = false;
        if let State::Open(replica) = &mut core.state
            && replica.open.log.durable_end() < replica.open.log.log_end()
            && let Err(error) = self.timed_sync(&mut replica.open).0
        {
            self.become_offline(core, error.to_string());
        }
    }

    /// Rolls what is due by age and removes what is beyond the retention limits.
    ///
    /// Planned again only while time alone can make more go; else by the next append.
    pub(super) fn clean(self: &Arc<Self>, core: &mut Core) {
        core.clean_scheduled = false;
        let State::Open(replica) = &mut core.state else { return };
        let high_watermark = replica.role.high_watermark();
        let cleaned = replica.open.log.clean(self.host.clock.now(), high_watermark);
        self.note_log_start(replica);
        let open = &mut replica.open;
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

    /// Whoever leads or follows must not speak of what retention has removed.
    fn note_log_start(&self, replica: &mut Replica) {
        let start = replica.open.log.log_start();
        let was_damaged = !replica.open.damaged.is_empty();
        replica.open.damaged.trim(start);
        self.board.show_damage(&replica.open.damaged);
        let is_whole_again = was_damaged && replica.open.damaged.is_empty();
        match &mut replica.role {
            RoleHere::Leading(_) => self.step_alone(replica, Event::Trimmed { start }, None),
            RoleHere::Following(follower) => {
                self.tell(follower, FollowerEvent::Trimmed { start });
                if is_whole_again {
                    self.tell(follower, FollowerEvent::Repaired { epochs: &replica.open.log.leader_epochs() });
                }
            }
            RoleHere::Waiting { .. } => {}
        }
    }

    /// Closes files and caches and gives memory back, until the partition is used again.
    pub(super) fn park(self: &Arc<Self>, core: &mut Core) {
        let State::Open(replica) = &mut core.state else { return };
        if let RoleHere::Leading(leader) = &mut replica.role {
            leader.shrink();
        }
        let high_watermark = replica.role.high_watermark();
        let open = &mut replica.open;
        open.owed.shrink();
        let parked = open.log.park(high_watermark);
        open.tail.resize(open.log.tail_bytes());
        open.parked = parked.is_ok();
        self.survive(core, parked);
    }

    /// A shortage is waited out, any other failure of the log takes the partition offline.
    fn survive(self: &Arc<Self>, core: &mut Core, result: Result<(), AppendError>) {
        match result {
            Ok(()) => {}
            Err(AppendError::Storage(error)) if error.shortage().is_some() => {
                tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %error,
                    "the log was not looked after: trying again later");
            }
            Err(error) => self.become_offline(core, error.to_string()),
        }
    }
}
