//! What happens to servers, disks, clocks and the network.

use std::io;
use std::time::Duration;

use liftbridge_commitlog::{CommitLog, FaultyVolume, Volume};
use liftbridge_metadata_raft::{Command, Partition, ProposalOutcome, ProposeError, Rejection, RemoveBroker};
use liftbridge_types::BrokerId;

use super::{SERVERS_MAX, Step, World};
use crate::simulation::cluster::accident::Accident;
use crate::simulation::cluster::network::Weather;
use crate::simulation::cluster::outbox::Power;
use crate::simulation::cluster::process::Process;
use crate::simulation::cluster::replica::directory;
use crate::simulation::cluster::server::Server;
use crate::simulation::cluster::words::{PartitionKey, broker};
use crate::simulation::rot;

/// Most operations of a volume before a planned fault strikes, and the time after which a planned power cut strikes anyhow.
const FAULT_DISTANCE_MAX: u64 = 30;
const POWER_LASTS_MAX: Duration = Duration::from_millis(300);
/// Most bytes that a disk running full still has.
const FREE_BYTES_MAX: u64 = 1500;
/// How far a clock is set, in nanoseconds.
const CLOCK_STEP_MAX: i64 = 60_000_000_000;
/// The longest that nothing happens, in milliseconds.
const WAIT_MAX: u64 = 3000;

impl World {
    pub(super) fn happen(&mut self, accident: Accident) -> Step {
        match accident {
            Accident::Publish => self.publish(),
            Accident::Read => self.read(),
            Accident::Create => self.create(),
            Accident::Delete => self.delete(),
            Accident::Compare => self.compare(),
            Accident::Clean => self.keep_up(|process, key| process.clean(key)),
            Accident::Checkpoint => self.keep_up(|process, key| process.checkpoint(key)),
            Accident::CutPower => Ok(self.cut_power()),
            Accident::CutAllPower => Ok(self.cut_all_power()),
            Accident::Kill => Ok(self.with_running(|world, number| world.end(number))),
            Accident::Stop => self.stop(),
            Accident::Start => self.start_one(),
            Accident::Pause => Ok(self.with_running(|world, number| world.set_paused(number, true))),
            Accident::Resume => Ok(self.resume()),
            Accident::CutOneWay => Ok(self.cut_one_way()),
            Accident::Isolate => Ok(self.isolate()),
            Accident::MendNetwork => {
                self.network.mend();
                Ok(String::new())
            }
            Accident::ChangeWeather => {
                self.network.weather = Weather::roll(&mut self.dice);
                Ok(format!("{:?}", self.network.weather))
            }
            Accident::FailOperation => Ok(self.fail_operation()),
            Accident::FailSyncs => {
                Ok(self.with_disk(|server, _| server.power.volume.fail_syncs(Some(io::ErrorKind::Other))))
            }
            Accident::FillDisk => Ok(self.with_disk(|server, dice| {
                server.power.volume.limit_free_bytes(Some(dice.below(FREE_BYTES_MAX)));
            })),
            Accident::FreeDisk => Ok(self.with_disk(|server, _| server.mend_volume())),
            Accident::FlipBit => Ok(self.flip_bit()),
            Accident::SetClock => Ok(self.with_disk(|server, dice| {
                let step = i64::try_from(dice.below(CLOCK_STEP_MAX.unsigned_abs())).expect("it is small");
                server.clock_off = step - CLOCK_STEP_MAX / 2;
            })),
            Accident::LoseDisk => Ok(self.lose_disk()),
            Accident::LoseFiles => Ok(self.lose_files()),
            Accident::Join => self.join(),
            Accident::MoveLeader => self.move_leader(),
            Accident::Resign => self.resign(),
            Accident::Wait => self.wait(),
        }
    }

    fn keep_up(&mut self, act: impl FnOnce(&mut Process, PartitionKey)) -> Step {
        let Some((number, key)) = self.some_replica(|replica| !replica.is_offline()) else { return Ok(String::new()) };
        self.with(number, |process| act(process, key))?;
        Ok(format!("{key} on server {number}"))
    }

    fn with_running(&mut self, act: impl FnOnce(&mut Self, u64)) -> String {
        let Some(number) = self.one_of(|server| server.process.is_some()) else { return "nobody runs".to_owned() };
        act(self, number);
        format!("server {number}")
    }

    fn with_disk(&mut self, act: impl FnOnce(&mut Server, &mut crate::dice::Dice)) -> String {
        let numbers = self.numbers(|_| true);
        let number = numbers[self.dice.index(numbers.len())];
        if let Some(server) = self.servers.get_mut(&number) {
            act(server, &mut self.dice);
        }
        format!("server {number}")
    }

    fn set_paused(&mut self, number: u64, paused: bool) {
        if let Some(server) = self.servers.get_mut(&number) {
            server.paused = paused;
        }
    }

    fn resume(&mut self) -> String {
        let Some(number) = self.one_of(|server| server.paused) else { return "nobody stands still".to_owned() };
        self.set_paused(number, false);
        format!("server {number}")
    }

    fn cut_power(&mut self) -> String {
        let operations = self.dice.below(FAULT_DISTANCE_MAX);
        let deadline = self.now + POWER_LASTS_MAX;
        self.with_running(|world, number| {
            if let Some(server) = world.servers.get_mut(&number)
                && server.power_fails_at.is_none()
            {
                server.power.cut_after(operations);
                server.power_fails_at = Some(deadline);
            }
        })
    }

    fn cut_all_power(&mut self) -> String {
        let deadline = self.now + POWER_LASTS_MAX;
        for server in self.servers.values_mut().filter(|server| server.process.is_some()) {
            if server.power_fails_at.is_none() {
                server.power.cut_after(self.dice.below(FAULT_DISTANCE_MAX));
                server.power_fails_at = Some(deadline);
            }
        }
        String::new()
    }

    /// Machines whose power is off are down.
    pub(super) fn finish_power_cuts(&mut self) {
        let now = self.now;
        let is_due = |server: &Server| server.power.is_off() || server.power_fails_at.is_some_and(|at| now >= at);
        for number in self.numbers(is_due) {
            self.trace.tell(format!("{now:?} the power of server {number} fails"));
            self.end(number);
            if let Some(server) = self.servers.get_mut(&number) {
                server.power.crash();
                server.power_fails_at = None;
            }
        }
    }

    fn stop(&mut self) -> Step {
        let Some(number) = self.one_of(Server::is_moving) else { return Ok("nobody runs".to_owned()) };
        let process = self.servers.get_mut(&number).and_then(Server::take_process);
        if let Some(process) = process {
            // What it says while it ends concerns nobody any more, but who waits hears that it is over.
            drop(process.stop());
        }
        self.end(number);
        Ok(format!("server {number}"))
    }

    fn start_one(&mut self) -> Step {
        let Some(number) = self.one_of(|server| server.process.is_none()) else { return self.restart_lame() };
        self.renew_if_expelled(number);
        self.start(number)?;
        Ok(format!("server {number}"))
    }

    /// A process with something broken is started anew, its disk mended or not.
    fn restart_lame(&mut self) -> Step {
        let is_lame = |server: &Server| server.is_moving() && server.process.as_ref().is_some_and(Process::is_lame);
        let Some(number) = self.one_of(is_lame) else { return Ok("all run".to_owned()) };
        if self.dice.percent(70) {
            self.servers[&number].mend_volume();
        }
        self.end(number);
        self.start(number)?;
        Ok(format!("server {number} anew"))
    }

    /// Whoever was expelled comes back with nothing, as somebody new.
    pub(super) fn renew_if_expelled(&mut self, number: u64) {
        let seed = self.dice.number();
        let Some(server) = self.servers.get_mut(&number).filter(|server| server.expelled) else { return };
        server.expelled = false;
        server.disks += 1;
        server.power = Power::new(FaultyVolume::new(seed));
        server.power_fails_at = None;
        server.is_to_be_removed = true;
        server.lost.clear();
        if self.rotten == Some(number) {
            self.rotten = None;
        }
    }

    fn cut_one_way(&mut self) -> String {
        let numbers = self.numbers(|_| true);
        let from = numbers[self.dice.index(numbers.len())];
        let to = self.somebody_else(from);
        self.network.cut(from, to);
        format!("from server {from} to {to}")
    }

    fn isolate(&mut self) -> String {
        let numbers = self.numbers(|_| true);
        let side: Vec<u64> = numbers.iter().copied().filter(|_| self.dice.percent(35)).collect();
        for from in &numbers {
            for to in &numbers {
                if side.contains(from) != side.contains(to) {
                    self.network.cut(*from, *to);
                }
            }
        }
        format!("servers {side:?}")
    }

    fn fail_operation(&mut self) -> String {
        let after = self.dice.below(FAULT_DISTANCE_MAX);
        let kind = if self.dice.percent(50) { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
        let told = format!("{kind:?} after {after} on ");
        told + &self.with_disk(|server, _| server.power.volume.fail_operation(after, kind))
    }

    fn flip_bit(&mut self) -> String {
        let Some((number, key)) = self.some_replica(|replica| !replica.is_offline()) else { return String::new() };
        // Two servers that lose data at once may hold all there is of it.
        let others_are_whole = self.lost_files.is_empty() && self.servers.values().all(|server| server.disks == 1);
        if self.rotten.is_some_and(|rotten| rotten != number) || !others_are_whole {
            return "one at a time".to_owned();
        }
        let server = &self.servers[&number];
        let replica = server.process.as_ref().and_then(|process| process.replicas().get(&key));
        let Some(replica) = replica else { return String::new() };
        let shown = replica.high_watermark().min(replica.log().durable_end());
        let (volume, path) = (&server.power.volume, directory(key));
        let storage = volume.directory(&path);
        let flipped = rot::flip_in_log(volume, &*storage, &path, shown, &mut self.dice);
        if flipped.is_some() {
            self.rotten = Some(number);
        }
        format!("{flipped:?} of {key} on server {number}")
    }

    fn lose_disk(&mut self) -> String {
        let Some(state) = self.furthest_state() else { return String::new() };
        let numbers = self.numbers(|_| true);
        let number = numbers[self.dice.index(numbers.len())];
        let id = broker(number);
        let mut partitions = state.streams().iter().flat_map(|stream| &stream.partitions);
        let is_needed = !self.lost_files.is_empty() || partitions.any(|agreed| has_the_only_copy(agreed, &id));
        let all_are_members = self.servers.values().all(|server| {
            let known = state.nodes().of_broker(&broker(server.number));
            known.is_some_and(|(_, node)| node.directory == server.directory() && !node.leaving)
                && !server.is_to_be_removed
                && !server.expelled
        });
        // Of two that vote neither can be done without. That a third one votes counts as soon as one of the others has applied
        // it: before, none of them knows that it can be elected without the lost one.
        let can_agree = self.servers.values().filter(|server| server.number != number).any(|server| {
            let Some(state) = server.process.as_ref().and_then(Process::state) else { return false };
            let votes = state.nodes().of_broker(&broker(server.number)).is_some_and(|(_, node)| node.voter);
            votes && state.nodes().iter().filter(|(_, node)| node.voter && node.broker != id).count() >= 2
        });
        if is_needed || !all_are_members || self.rotten.is_some() || !can_agree {
            return format!("not that of server {number} now");
        }
        self.end(number);
        if let Some(server) = self.servers.get_mut(&number) {
            server.expelled = true;
        }
        self.renew_if_expelled(number);
        format!("server {number}")
    }

    fn lose_files(&mut self) -> String {
        let Some(state) = self.furthest_state() else { return String::new() };
        let numbers = self.numbers(|_| true);
        // Two servers that lose data at once may hold all there is of it.
        if self.rotten.is_some() || self.servers.values().any(|server| server.disks > 1 || server.expelled) {
            return "nobody can afford it".to_owned();
        }
        let number = numbers[self.dice.index(numbers.len())];
        let id = broker(number);
        let mut keys = Vec::new();
        for stream in state.streams().iter() {
            for (partition, agreed) in stream.numbered_partitions() {
                let key = PartitionKey { stream: stream.id, partition };
                let is_of_others = self.lost_files.get(&key).is_some_and(|of| *of != number);
                if agreed.replicas.contains(&id) && !is_of_others && !has_the_only_copy(agreed, &id) {
                    keys.push(key);
                }
            }
        }
        if keys.is_empty() {
            return format!("not those of server {number} now");
        }
        let key = keys[self.dice.index(keys.len())];
        self.end(number);
        let Some(server) = self.servers.get_mut(&number) else { return String::new() };
        let (volume, path) = (&server.power.volume, directory(key));
        let had_files = CommitLog::is_in(&*volume.directory(&path)).is_ok_and(|is_there| is_there);
        if !had_files || volume.remove_directory(&path).is_err() {
            return format!("server {number} has none of {key}");
        }
        server.lost.insert(key);
        self.lost_files.insert(key, number);
        format!("server {number} those of {key}")
    }

    /// The operator has former selves removed, until that is done.
    pub(super) fn pursue_removals(&mut self) -> Result<(), String> {
        for server in self.servers.values_mut() {
            // Let in with the disk it has: the answer got lost.
            let serves = server.process.as_ref().is_some_and(|process| process.serves);
            server.is_to_be_removed &= !serves;
        }
        for number in self.numbers(|server| server.is_to_be_removed) {
            if self.removals.contains_key(&number) || !self.dice.percent(2) {
                continue;
            }
            let forced = self.removal_forced.contains(&number);
            let before = self.requests;
            self.ask(Command::RemoveBroker(RemoveBroker { id: broker(number), forced }), None)?;
            if self.requests > before {
                self.removals.insert(number, self.requests);
            }
        }
        // An answer that whoever was asked took with it does not come.
        if self.dice.percent(1) {
            self.removals.clear();
        }
        Ok(())
    }

    pub(super) fn on_removal_decided(&mut self, request: u64, outcome: &ProposalOutcome) {
        let Some(number) = self.removals.iter().find(|(_, of)| **of == request).map(|(number, _)| *number) else {
            return;
        };
        self.removals.remove(&number);
        self.trace.tell(format!("{:?} removal of server {number}: {outcome:?}", self.now));
        match outcome {
            Ok(_) | Err(ProposeError::Rejected(Rejection::BrokerNotFound)) => {
                self.removal_forced.remove(&number);
                if let Some(server) = self.servers.get_mut(&number) {
                    server.is_to_be_removed = false;
                }
            }
            Err(ProposeError::Rejected(Rejection::LastInSync { .. })) => {
                self.excuse(number);
                self.removal_forced.insert(number);
            }
            Err(_) => {}
        }
    }

    /// What only this server has whole is given up.
    fn excuse(&mut self, number: u64) {
        let Some(state) = self.furthest_state() else { return };
        for stream in state.streams().iter() {
            for (id, partition) in stream.numbered_partitions() {
                if *partition.isr == [broker(number)] {
                    let key = PartitionKey { stream: stream.id, partition: id };
                    self.excused.insert(key);
                }
            }
        }
    }

    fn join(&mut self) -> Step {
        let number = u64::try_from(self.servers.len()).expect("there are few") + 1;
        if number > SERVERS_MAX {
            return Ok("there is no other".to_owned());
        }
        let options = self.servers[&1].log_options;
        let server = Server::new(number, self.dice.number(), options);
        self.servers.insert(number, server);
        self.start(number)?;
        Ok(format!("server {number}"))
    }

    fn resign(&mut self) -> Step {
        let controls =
            |server: &Server| server.is_moving() && server.process.as_ref().is_some_and(|process| process.controls());
        let Some(number) = self.one_of(controls) else { return Ok("nobody controls".to_owned()) };
        self.with(number, |process| process.resign())?;
        Ok(format!("server {number}"))
    }

    fn wait(&mut self) -> Step {
        let end = self.now + Duration::from_millis(self.dice.below(WAIT_MAX));
        while self.now < end {
            let pause = Duration::from_micros(1000 + self.dice.below(20_000));
            self.beat(pause)?;
        }
        Ok(format!("until {:?}", self.now))
    }
}

/// Whether nobody else is known to have everything of this partition.
fn has_the_only_copy(agreed: &Partition, id: &BrokerId) -> bool {
    let mut electable = agreed.isr.iter().chain(agreed.eligible.iter());
    electable.clone().any(|other| other == id) && !electable.any(|other| other != id)
}
