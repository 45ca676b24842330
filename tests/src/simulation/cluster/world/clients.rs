//! Clients: publishers, consumers, and who creates and deletes streams.

use liftbridge_metadata_raft::{Command, CreateStream, DeleteStream, MoveLeader, PartitionName, ReplicaCount};
use liftbridge_types::{AckPolicy, SettingOverrides, StreamName, Subject};

use super::{Step, World};
use crate::simulation::cluster::checkers::{AgreedOrder, Change};
use crate::simulation::cluster::replica::Replica;
use crate::simulation::cluster::server::Server;
use crate::simulation::cluster::words::{PartitionKey, Publish};

/// Names of streams: few, so that they are used again.
const NAMES: u64 = 4;
/// Messages that arrive together, and bytes of one, at most.
const TOGETHER_MAX: u64 = 5;
const VALUE_BYTES_MAX: usize = 120;

impl World {
    /// Messages arrive at somebody who takes the lead of a partition for its own.
    pub(super) fn publish(&mut self) -> Step {
        let Some((number, key)) = self.some_replica(|replica| replica.leadership().is_some()) else {
            return Ok("nobody leads".to_owned());
        };
        let publishes: Vec<Publish> =
            (0..=self.dice.below(TOGETHER_MAX)).map(|_| self.new_message(number, key)).collect();
        let told = format!("{} to {key} on server {number}", publishes.len());
        self.with(number, |process| process.publish(key, publishes))?;
        Ok(told)
    }

    pub(super) fn new_message(&mut self, number: u64, key: PartitionKey) -> Publish {
        self.published += 1;
        let mut value = self.published.to_be_bytes().to_vec();
        value.resize(8 + self.dice.index(VALUE_BYTES_MAX), b'.');
        let ack_policy = match self.dice.below(10) {
            0..7 => AckPolicy::All,
            7..9 => AckPolicy::Leader,
            _ => AckPolicy::None,
        };
        let process = self.servers[&number].process.as_ref();
        let log_end = process.and_then(|process| process.replicas().get(&key)).map(|replica| replica.log().log_end());
        let expected_offset = log_end.filter(|_| self.dice.percent(5));
        Publish { value, ack_policy, expected_offset }
    }

    /// A consumer reads what some server shows.
    pub(super) fn read(&mut self) -> Step {
        let Some((number, key)) = self.some_replica(Replica::is_readable) else {
            return Ok("nobody can be read from".to_owned());
        };
        let process = self.servers[&number].process.as_ref();
        let Some(replica) = process.and_then(|process| process.replicas().get(&key)) else { return Ok(String::new()) };
        let (start, end, epoch) =
            (replica.log().log_start(), replica.high_watermark(), replica.assignment().leader_epoch);
        let from = start.plus(self.dice.below(1 + end.get().saturating_sub(start.get())));
        self.rules.watermarks.check_read(number, key, end)?;
        let Some(found) = self.stored(number, key, from..end)? else { return Ok("the power fails".to_owned()) };
        for damaged in &found.damaged {
            self.with(number, |process| process.note_damage(key, damaged.clone()))?;
        }
        if self.excused.contains(&key) {
            return Ok("what was given up".to_owned());
        }
        let mut next = from;
        for seen in &found.seen {
            if next < seen.offset && !found.damaged.iter().any(|damaged| damaged.contains(&next)) {
                return Err(format!("{key} on server {number} has no offset {next}"));
            }
            self.rules.readers.on_read(key, epoch, seen.offset, &seen.value)?;
            next = seen.offset.next();
        }
        Ok(format!("{from} to {end} of {key} from server {number}"))
    }

    pub(super) fn create(&mut self) -> Step {
        let name = self.some_name();
        let replicas = match self.dice.below(4) {
            0 => ReplicaCount::Exactly(2),
            1 => ReplicaCount::EveryBroker,
            _ => ReplicaCount::Exactly(3),
        };
        let command = Command::CreateStream(CreateStream {
            name: StreamName::new(&name).expect("a legal name"),
            subject: Subject::new(&name).expect("a legal subject"),
            group: None,
            partitions: 1 + u32::try_from(self.dice.below(3)).expect("it is small"),
            replicas,
            overrides: SettingOverrides::default(),
            at: self.servers[&1].wall(self.now),
        });
        self.ask(command, Some(Change::Create(name)))
    }

    pub(super) fn delete(&mut self) -> Step {
        let name = self.some_name();
        let command = Command::DeleteStream(DeleteStream { name: StreamName::new(&name).expect("a legal name") });
        self.ask(command, Some(Change::Delete(name)))
    }

    pub(super) fn move_leader(&mut self) -> Step {
        let Some((number, key)) = self.some_replica(|replica| replica.leadership().is_some()) else {
            return Ok("nobody leads".to_owned());
        };
        let Some(state) = self.furthest_state() else { return Ok(String::new()) };
        let Some(stream) = state.streams().iter().find(|stream| stream.id == key.stream) else {
            return Ok("it is gone".to_owned());
        };
        let Some(partition) = stream.partition(key.partition) else { return Ok(String::new()) };
        let electable: Vec<_> = partition.isr.iter().chain(partition.eligible.iter()).collect();
        if electable.is_empty() {
            return Ok(format!("nobody has all of {key}"));
        }
        let to = electable[self.dice.index(electable.len())].clone();
        let (name, epoch) = (stream.name.clone(), partition.epoch);
        let partition = PartitionName { stream: name, stream_id: key.stream, partition: key.partition };
        let told = format!("{key} from server {number} to {to}: ");
        Ok(told + &self.ask(Command::MoveLeader(MoveLeader { partition, epoch, to, leaves: false }), None)?)
    }

    /// Somebody asks any server for a change.
    pub(super) fn ask(&mut self, command: Command, change: Option<Change>) -> Step {
        let serves =
            |server: &Server| server.is_moving() && server.process.as_ref().is_some_and(|process| process.serves);
        let Some(number) = self.one_of(serves) else { return Ok("nobody to ask".to_owned()) };
        self.requests += 1;
        let (request, told) = (self.requests, format!("{command:?} at server {number}"));
        if let Some(change) = change {
            self.rules.changes.on_asked(request, change);
        }
        self.with(number, |process| process.request(request, command))?;
        Ok(told)
    }

    /// Two servers that have applied the same have the same state.
    pub(super) fn compare(&mut self) -> Step {
        let mut compared = 0;
        let processes: Vec<(u64, &crate::simulation::cluster::process::Process)> = self
            .servers
            .values()
            .filter_map(|server| server.process.as_ref().map(|process| (server.number, process)))
            .filter(|(_, process)| process.has_metadata())
            .collect();
        for pair in processes.windows(2) {
            if let [(one, a), (other, b)] = pair
                && a.applied() == b.applied()
                && let (Some(state), Some(same)) = (a.state(), b.state())
            {
                AgreedOrder::check_states((*one, &state), (*other, &same))?;
                compared += 1;
            }
        }
        Ok(format!("{compared} pairs"))
    }

    /// A replica of some server that moves.
    pub(super) fn some_replica(&mut self, which: impl Fn(&Replica) -> bool) -> Option<(u64, PartitionKey)> {
        let mut found = Vec::new();
        for server in self.servers.values().filter(|server| server.is_moving()) {
            let replicas = server.process.iter().flat_map(|process| process.replicas());
            found.extend(replicas.filter(|(_, replica)| which(replica)).map(|(key, _)| (server.number, *key)));
        }
        if found.is_empty() { None } else { Some(found[self.dice.index(found.len())]) }
    }

    fn some_name(&mut self) -> String {
        format!("s{}", self.dice.below(NAMES))
    }
}
