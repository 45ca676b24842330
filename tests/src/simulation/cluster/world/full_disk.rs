//! One full disk in a cluster that is well otherwise. Owns the rule for it: it holds nobody up for long, and nothing but its
//! room has to come back for all to be well again.

use std::time::Duration;

use liftbridge_types::AckPolicy;

use super::World;
use crate::simulation::cluster::server::Server;
use crate::simulation::cluster::words::PartitionKey;

/// Within this time every partition takes messages again; less than a replica may lag.
const ACKED_AGAIN_MAX: Duration = Duration::from_secs(2);
/// How long the disk is full.
const FULL_FOR: Duration = Duration::from_secs(5);
/// From so many replicas on, one can be done without.
const REPLICAS_MIN: usize = 3;
/// Of so many beats one brings a message.
const BEATS_PER_PUBLISH: u64 = 2;

impl World {
    /// Fills the disk of one server for a while; `false` where that cannot be asked for.
    pub(super) fn try_full_disk(&mut self) -> Result<bool, String> {
        // A replica that cannot be read from may be the one that is left.
        let keys = self.replicated_enough();
        if self.rotten.is_some() || keys.is_empty() {
            return Ok(false);
        }
        let Some(number) = self.one_of(Server::is_moving) else { return Ok(false) };
        self.trace.tell(format!("{:?} the disk of server {number} is full", self.now));
        self.servers[&number].power.volume.limit_free_bytes(Some(0));
        let (began, end) = (self.now, self.now + FULL_FOR);
        while self.now < end {
            let pause = Duration::from_micros(2000 + self.dice.below(12_000));
            self.beat(pause)?;
            if self.dice.below(BEATS_PER_PUBLISH) == 0 {
                let key = keys[self.dice.index(keys.len())];
                self.publish_to(key)?;
            }
            let is_late = self.now > began + ACKED_AGAIN_MAX;
            let waits = |key: &&PartitionKey| self.acked_at.get(key).is_none_or(|at| *at < self.now - ACKED_AGAIN_MAX);
            if is_late && let Some(key) = keys.iter().find(waits) {
                let shown = self.shown(*key);
                return Err(format!("the disk of server {number} is full, and {key} takes nothing: {shown}"));
            }
        }
        self.trace.tell(format!("{:?} the disk of server {number} has room again", self.now));
        self.servers[&number].mend_volume();
        Ok(true)
    }

    /// The partitions that one replica less does not stop.
    fn replicated_enough(&self) -> Vec<PartitionKey> {
        let Some(state) = self.furthest_state() else { return Vec::new() };
        let mut keys = Vec::new();
        for stream in state.streams().iter() {
            let numbered = stream.numbered_partitions();
            let enough = numbered.filter(|(_, partition)| partition.replicas.len() >= REPLICAS_MIN);
            keys.extend(enough.map(|(id, _)| PartitionKey { stream: stream.id, partition: id }));
        }
        keys.retain(|key| !self.excused.contains(key));
        keys
    }

    /// How a partition stands on every server.
    fn shown(&self, key: PartitionKey) -> String {
        let replica = |server: &Server| Some(server.process.as_ref()?.replicas().get(&key)?.shown());
        let standing =
            |server: &Server| server.process.as_ref().map(crate::simulation::cluster::process::Process::shown);
        let shown = self.servers.values().map(|server| (server.number, standing(server), replica(server)));
        format!("{:#?}", shown.collect::<Vec<_>>())
    }

    fn publish_to(&mut self, key: PartitionKey) -> Result<(), String> {
        let leads = |server: &Server| {
            let replica = server.process.as_ref().and_then(|process| process.replicas().get(&key));
            server.is_moving() && replica.is_some_and(|replica| replica.leadership().is_some())
        };
        let Some(number) = self.one_of(leads) else { return Ok(()) };
        let mut publish = self.new_message(number, key);
        (publish.ack_policy, publish.expected_offset) = (AckPolicy::All, None);
        self.with(number, |process| process.publish(key, vec![publish]))
    }
}
