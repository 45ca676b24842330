//! The end of the accidents: everything is mended, and has to become well by itself, with nothing lost.

use std::collections::BTreeSet;
use std::time::Duration;

use liftbridge_metadata_raft::ClusterState;

use super::World;
use crate::simulation::cluster::accident::Accident;
use crate::simulation::cluster::checkers::AgreedOrder;
use crate::simulation::cluster::network::Weather;
use crate::simulation::cluster::process::Process;
use crate::simulation::cluster::server::Server;
use crate::simulation::cluster::words::{PartitionKey, broker, server};

/// How long publishers go on, and how long it may take from there.
const PUBLISHING: Duration = Duration::from_secs(4);
const HEALING_MAX: Duration = Duration::from_secs(180);
/// Of so many beats one brings a message while publishers go on.
const BEATS_PER_PUBLISH: u64 = 8;

impl World {
    /// Mends everything, waits until all is well, and looks at everything.
    pub(in crate::simulation::cluster) fn heal(&mut self) -> Result<(), String> {
        self.trace.tell(format!("{:?} everything is mended", self.now));
        self.healing = true;
        self.network.mend();
        self.network.weather = Weather::FAIR;
        for server in self.servers.values_mut() {
            server.paused = false;
            server.mend_volume();
        }
        self.become_well()?;
        if self.try_full_disk()? {
            self.become_well()?;
        }
        self.check_end()
    }

    /// Publishers go on for a while, and then everything comes to rest.
    fn become_well(&mut self) -> Result<(), String> {
        let (publishing_end, end) = (self.now + PUBLISHING, self.now + HEALING_MAX);
        loop {
            let pause = Duration::from_micros(2000 + self.dice.below(12_000));
            self.beat(pause)?;
            self.keep_running()?;
            if self.now < publishing_end {
                if self.dice.below(BEATS_PER_PUBLISH) == 0 {
                    self.publish()?;
                }
                continue;
            }
            let amiss = match self.dice.below(20) {
                0 => self.what_is_amiss(),
                _ => continue,
            };
            match amiss {
                None => return Ok(()),
                Some(amiss) if self.now > end => return Err(format!("never well again: {amiss}")),
                Some(_) => {}
            }
        }
    }

    /// Whatever is down or damaged is started anew; retention goes on.
    fn keep_running(&mut self) -> Result<(), String> {
        if self.dice.percent(5) {
            self.happen(Accident::Clean)?;
        }
        let is_lame = |server: &Server| server.process.as_ref().is_some_and(Process::is_lame);
        for number in self.numbers(is_lame) {
            if self.dice.percent(5) {
                self.servers[&number].mend_volume();
                self.end(number);
            }
        }
        for number in self.numbers(|server| server.process.is_none()) {
            if self.dice.percent(10) {
                self.renew_if_expelled(number);
                self.start(number)?;
            }
        }
        Ok(())
    }

    /// What is not as it should be; `None` when all is well.
    pub(super) fn what_is_amiss(&self) -> Option<String> {
        let state = self.furthest_state()?;
        for server in self.servers.values() {
            let number = server.number;
            let Some(process) = &server.process else { return Some(format!("server {number} is down")) };
            if !process.serves || server.is_to_be_removed {
                let removal = server.is_to_be_removed;
                return Some(format!(
                    "server {number} does not serve, to be removed: {removal}; {}; {:?}",
                    process.shown(),
                    state.nodes()
                ));
            }
            let broker = state.brokers().get(&broker(number));
            if broker.is_none_or(|broker| broker.fenced) {
                return Some(format!("server {number} is fenced"));
            }
            if process.state().as_ref() != Some(&state) {
                return Some(format!("server {number} has applied {}", process.applied()));
            }
        }
        let streams = state.streams().iter();
        let mut partitions = streams.flat_map(|stream| {
            stream
                .numbered_partitions()
                .map(|(id, partition)| (PartitionKey { stream: stream.id, partition: id }, partition))
        });
        partitions.find_map(|(key, partition)| self.what_is_amiss_with(key, partition))
    }

    fn what_is_amiss_with(&self, key: PartitionKey, agreed: &liftbridge_metadata_raft::Partition) -> Option<String> {
        if self.excused.contains(&key) {
            return None;
        }
        let Some(leader) = &agreed.leader else { return Some(format!("{key} has no leader: {agreed:?}")) };
        let log = |number: u64| self.servers.get(&number)?.process.as_ref()?.replicas().get(&key);
        let Some(led) = log(server(leader)) else { return Some(format!("{key} is not open on server {leader}")) };
        // Whoever lost a part of the only whole copy cannot give it to others.
        if self.rotten == Some(server(leader)) && !led.is_offline() {
            return None;
        }
        let in_sync: BTreeSet<_> = agreed.isr.iter().collect();
        if led.leadership().is_none() {
            return Some(format!("{key} is not led by server {leader}"));
        }
        for id in agreed.replicas.iter() {
            let Some(replica) = log(server(id)) else { return Some(format!("{key} is not open on server {id}")) };
            let (end, shown) = (replica.log().log_end(), replica.high_watermark());
            if replica.is_offline() || !in_sync.contains(id) {
                let (own, led) = (replica.shown(), led.shown());
                return Some(format!("{key} is not in sync on server {id}, {own}; the leader has {led}: {agreed:?}"));
            }
            if end != led.log().log_end() || shown != end {
                let led = led.log().log_end();
                return Some(format!("{key} ends at {end} on server {id}, committed to {shown}; at {led} on {leader}"));
            }
        }
        None
    }

    fn check_end(&mut self) -> Result<(), String> {
        let Some(state) = self.furthest_state() else { return Err("nobody knows what was agreed on".to_owned()) };
        self.rules.changes.check_end(&state)?;
        self.check_states(&state)?;
        for stream in state.streams().iter() {
            for (id, partition) in stream.numbered_partitions() {
                let key = PartitionKey { stream: stream.id, partition: id };
                // Who follows somebody whose log is damaged may lack what is.
                let leader = partition.leader.as_ref().map(server);
                let follows_rot = self.rotten.is_some() && self.rotten == leader;
                for id in partition.replicas.iter().filter(|id| !follows_rot || Some(server(id)) == leader) {
                    self.check_kept(server(id), key, None)?;
                    self.check_committed(server(id), key)?;
                }
            }
        }
        Ok(())
    }

    fn check_states(&self, state: &ClusterState) -> Result<(), String> {
        for server in self.servers.values() {
            if let Some(own) = server.process.as_ref().and_then(|process| process.state()) {
                AgreedOrder::check_states((server.number, &own), (0, state))?;
            }
        }
        Ok(())
    }

    /// In the end all of a log is committed, and the same everywhere.
    fn check_committed(&mut self, number: u64, key: PartitionKey) -> Result<(), String> {
        if self.excused.contains(&key) {
            return Ok(());
        }
        let Some(contents) = self.contents(number, key)? else { return Ok(()) };
        for (offset, value) in contents.records {
            self.rules.replicas.on_committed(key, number, offset, &value)?;
        }
        Ok(())
    }
}
