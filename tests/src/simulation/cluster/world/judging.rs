//! What servers say, brought before the rules. Owns reading the logs it takes for that.

use std::ops::Range;

use liftbridge_types::{AckPolicy, LeaderEpoch, Offset};

use super::World;
use crate::simulation::cluster::checkers::{Contents, Offsets};
use crate::simulation::cluster::replica::IRRECONCILABLE;
use crate::simulation::cluster::words::{Leadership, PartitionKey, Said};
use crate::simulation::read_back::{ReadBack, read};

impl World {
    pub(super) fn judge(&mut self, number: u64, said: Said) -> Result<(), String> {
        self.trace.note(&format!("{number}: {said:?}"));
        match said {
            Said::Packet { .. } | Said::Expelled | Said::Superseded | Said::Refused => Ok(()),
            Said::Acked { partition, .. } if self.excused.contains(&partition) => Ok(()),
            Said::Acked { partition, leadership, publish, offset } => {
                let stored = self.stored(number, partition, offset..offset.next())?;
                let stored = stored.as_ref().and_then(|found| found.seen.first()).map(|seen| &seen.value[..]);
                self.rules.offsets.on_ack(partition, offset, &publish.value, stored)?;
                if publish.ack_policy == AckPolicy::All {
                    self.acked_at.insert(partition, self.now);
                    self.rules.acked.on_ack(partition, leadership.epoch, offset, &publish.value)?;
                }
                Ok(())
            }
            Said::Committed { partition, end, durable_end } => self.on_committed(number, partition, end, durable_end),
            Said::Leads { partition, leadership } => self.on_leads(number, partition, leadership),
            Said::Offline { partition, reason } => {
                self.trace.tell(format!("{:?} {partition} is offline on server {number}: {reason}", self.now));
                if reason.starts_with(IRRECONCILABLE) && !self.excused.contains(&partition) {
                    return Err(format!("{partition} on server {number}: {reason}"));
                }
                Ok(())
            }
            Said::Cut { partition, log } => {
                self.trace.tell(format!("{:?} server {number} cuts {log:?} off {partition}", self.now));
                Ok(())
            }
            Said::Applied(applied) => {
                self.rules.agreed.on_applied(number, &applied)?;
                self.rules.changes.on_applied(&applied)
            }
            Said::Decided { request, outcome } => {
                self.on_removal_decided(request, &outcome);
                self.rules.changes.on_answered(request, &outcome)
            }
        }
    }

    fn on_committed(
        &mut self,
        number: u64,
        partition: PartitionKey,
        end: Offset,
        durable_end: Offset,
    ) -> Result<(), String> {
        let before = self.rules.watermarks.on_shown(number, partition, end, durable_end)?;
        let Some(found) = self.stored(number, partition, before..end)? else { return Ok(()) };
        if self.excused.contains(&partition) {
            return Ok(());
        }
        for seen in found.seen {
            self.rules.replicas.on_committed(partition, number, seen.offset, &seen.value)?;
        }
        Ok(())
    }

    fn on_leads(&mut self, number: u64, partition: PartitionKey, leadership: Leadership) -> Result<(), String> {
        let Leadership { epoch, .. } = leadership;
        self.trace.tell(format!("{:?} server {number} leads {partition} in epoch {epoch}", self.now));
        self.rules.leaders.on_leads(partition, leadership)?;
        self.check_kept(number, partition, Some(epoch))
    }

    /// A log has to have what was acknowledged and what was read.
    pub(super) fn check_kept(
        &mut self,
        number: u64,
        partition: PartitionKey,
        before: Option<LeaderEpoch>,
    ) -> Result<(), String> {
        if self.excused.contains(&partition) {
            return Ok(());
        }
        let Some(contents) = self.contents(number, partition)? else { return Ok(()) };
        let of_server = |broken: String| format!("server {number}: {broken}");
        self.rules.acked.check(partition, &contents, before).map_err(of_server)?;
        self.rules.readers.check(partition, &contents, before).map_err(of_server)?;
        Offsets::check(partition, &contents).map_err(of_server)
    }

    /// All that a log holds; `None` where it cannot be read.
    pub(super) fn contents(&self, number: u64, partition: PartitionKey) -> Result<Option<Contents>, String> {
        let Some(found) = self.stored(number, partition, Offset::ZERO..Offset::MAX)? else { return Ok(None) };
        let replica = self.servers[&number].process.as_ref().and_then(|process| process.replicas().get(&partition));
        let Some(replica) = replica else { return Ok(None) };
        let offsets = replica.log().log_start()..replica.log().log_end();
        let records = found.seen.into_iter().map(|seen| (seen.offset, seen.value)).collect();
        Ok(Some(Contents { offsets, records, damaged: found.damaged }))
    }

    /// What a server's log holds in a range; `None` where that cannot be read because its power failed.
    pub(super) fn stored(
        &self,
        number: u64,
        partition: PartitionKey,
        offsets: Range<Offset>,
    ) -> Result<Option<ReadBack>, String> {
        let Some(server) = self.servers.get(&number).filter(|server| !server.power.is_off()) else { return Ok(None) };
        let replica = server.process.as_ref().and_then(|process| process.replicas().get(&partition));
        let Some(replica) = replica else { return Ok(None) };
        let found = read(&replica.log().view(), offsets.start, offsets.end);
        if server.power.is_off() {
            return Ok(None);
        }
        let found = found.map_err(|nonsense| format!("{partition} on server {number}: {nonsense}"))?;
        // What a failed sync took back was never durable.
        let durable_end = replica.log().durable_end();
        match found.damaged.iter().find(|damaged| damaged.start < durable_end) {
            Some(damaged) if self.rotten != Some(number) => {
                Err(format!("{partition} on server {number} is damaged at {damaged:?}, and nothing flipped a bit"))
            }
            _ => Ok(Some(found)),
        }
    }
}
