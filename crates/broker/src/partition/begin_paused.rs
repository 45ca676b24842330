//! What a partition shows that begins paused: how far its log goes, as it did before the server stopped. Owns that this takes no
//! more than a look where the log was closed cleanly, and that nothing stays open; never what happens once it is resumed.

use liftbridge_commitlog::LogEnds;
use liftbridge_replication::Role;

use crate::partition::Partition;
use crate::partition::lifecycle::{Core, NotOpened};

impl Partition {
    /// Shows how far the log goes. Of one that was never begun nothing is looked at: there is nothing.
    pub(super) fn show_paused(&self, core: &Core) {
        if !self.host.begun_logs.has(self.log_key()) {
            return;
        }
        match self.paused_ends(core) {
            Ok(ends) => self.board.show_ends(ends),
            Err(NotOpened::Passing(reason) | NotOpened::Failed(reason)) => {
                tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %reason,
                    "how far the log of a paused partition goes is shown once it is resumed");
            }
        }
    }

    /// Thousands of paused partitions may begin at one start, so a log is only opened if no look tells.
    fn paused_ends(&self, core: &Core) -> Result<LogEnds, NotOpened> {
        let directory = self.host.volume.directory(&self.directory);
        match LogEnds::of_parked(&*directory) {
            Ok(Some(ends)) => return Ok(ends),
            Ok(None) => {}
            Err(error) => return Err(NotOpened::Failed(error.to_string())),
        }
        let (mut log, _) = self.recover_log(core)?;
        let found = log.high_watermark();
        let high_watermark = match self.agreed_role(core) {
            // It may know better, and says nothing to anybody when it begins.
            Role::Leader => self.begin_role(core, &log, found, false).high_watermark(),
            Role::Follower { .. } | Role::Waiting => found,
        };
        self.tolerate_shortage(log.park(high_watermark))?;
        Ok(LogEnds { log_start: log.log_start(), log_end: log.log_end(), high_watermark })
    }
}
