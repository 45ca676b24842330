//! The partitions of one life of a server: opened, assigned, closed and removed as it is agreed on.

use std::collections::{BTreeMap, BTreeSet};

use liftbridge_commitlog::Volume;
use liftbridge_metadata_raft::{ClusterState, LogIndex, Partition, PartitionName};
use liftbridge_replication::{Assignment, BrokerLife};
use liftbridge_types::{BrokerId, StreamId};

use super::Process;
use crate::simulation::cluster::replica::{Around, PeerEvent, Replica};
use crate::simulation::cluster::words::{PartitionKey, Publish, Said};

/// Free bytes from which on a disk that was full has room again: more than what metadata has reserved.
const ROOM_BYTES_MIN: u64 = 1024 * 1024;

/// Where all streams are.
const STREAMS: &str = "streams";

impl Process {
    /// Messages arrive for a partition that this server takes for its own to lead.
    pub(in crate::simulation::cluster) fn publish(&mut self, key: PartitionKey, publishes: Vec<Publish>) {
        self.with_replica(key, |replica, around| replica.publish(publishes, around));
    }

    /// Lets old segments of a partition go.
    pub(in crate::simulation::cluster) fn clean(&mut self, key: PartitionKey) {
        self.with_replica(key, |replica, around| drop(replica.clean(around)));
    }

    /// Writes down how far a partition's log is good.
    pub(in crate::simulation::cluster) fn checkpoint(&mut self, key: PartitionKey) {
        self.with_replica(key, Replica::checkpoint);
    }

    /// A reader met damage.
    pub(in crate::simulation::cluster) fn note_damage(
        &mut self,
        key: PartitionKey,
        offsets: std::ops::Range<liftbridge_types::Offset>,
    ) {
        self.with_replica(key, |replica, _| replica.note_damage(offsets));
    }

    pub(super) fn hear(&mut self, key: PartitionKey, events: Vec<PeerEvent>) {
        self.with_replica(key, |replica, around| replica.take_in(events, around));
    }

    pub(super) fn hear_all(&mut self, event: &PeerEvent) {
        let keys: Vec<PartitionKey> = self.replicas.keys().copied().collect();
        for key in keys {
            self.hear(key, vec![event.clone()]);
        }
    }

    pub(super) fn tick_replicas(&mut self) {
        let keys: Vec<PartitionKey> = self.replicas.keys().copied().collect();
        for key in keys {
            self.with_replica(key, Replica::tick);
        }
    }

    pub(super) fn close_replicas(&mut self) {
        let keys: Vec<PartitionKey> = self.replicas.keys().copied().collect();
        for key in keys {
            self.with_replica(key, Replica::close);
        }
    }

    /// Has what is agreed on carried out here.
    pub(super) fn reconcile(&mut self) {
        let Some(incarnation) = self.incarnation else { return };
        let applied = self.applied;
        if applied == self.carried_out || applied.get() < incarnation.get() {
            return;
        }
        let Some(metadata) = &self.metadata else { return };
        let state = metadata.state().clone();
        let wanted = wanted(&state, &self.id);
        let streams: BTreeSet<StreamId> = state.streams().iter().map(|stream| stream.id).collect();
        self.let_go(&wanted, &streams);
        for (name, assignment) in wanted.into_values() {
            self.place(name, assignment);
        }
        self.serves = true;
        if self.remove_orphans(&streams) {
            self.carried_out = LogIndex::new(applied.get());
        }
    }

    /// Closes what is not to be kept here any more.
    fn let_go(&mut self, wanted: &BTreeMap<PartitionKey, (PartitionName, Assignment)>, streams: &BTreeSet<StreamId>) {
        let gone: Vec<PartitionKey> = self.replicas.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in gone {
            if streams.contains(&key.stream) {
                self.with_replica(key, Replica::close);
            } else {
                self.with_replica(key, Replica::delete);
            }
            self.replicas.remove(&key);
        }
    }

    fn place(&mut self, name: PartitionName, assignment: Assignment) {
        let key = PartitionKey::of(&name);
        if self.replicas.contains_key(&key) {
            return self.with_replica(key, |replica, around| replica.assign(assignment, around));
        }
        let (me, options) = (self.life(), self.beginning.log_options);
        let volume = self.beginning.power.volume.clone();
        let opened = self.around(|around| Replica::open(&volume, options, name, me, assignment, around));
        match opened {
            Ok(replica) => drop(self.replicas.insert(key, replica)),
            Err(reason) => self.outbox.say(Said::Offline { partition: key, reason }),
        }
    }

    /// Removes the files of streams that there are no more; `false` when some are left.
    fn remove_orphans(&self, streams: &BTreeSet<StreamId>) -> bool {
        let volume = &self.beginning.power.volume;
        let Ok(found) = volume.list_directories(STREAMS) else { return false };
        let is_gone = |name: &&String| name.parse().is_ok_and(|id| !streams.contains(&StreamId::new(id)));
        let gone: Vec<&String> = found.iter().filter(is_gone).collect();
        gone.into_iter().all(|name| volume.remove_directory(&format!("{STREAMS}/{name}")).is_ok())
    }

    fn with_replica(&mut self, key: PartitionKey, act: impl FnOnce(&mut Replica, &mut Around<'_>)) {
        // Taken out, so that it can be given the rest of the server.
        if let Some(mut replica) = self.replicas.remove(&key) {
            self.around(|around| act(&mut replica, around));
            self.replicas.insert(key, replica);
        }
    }

    fn around<T>(&mut self, act: impl FnOnce(&mut Around<'_>) -> T) -> T {
        let mut around = Around {
            elapsed: self.now,
            wall: self.wall,
            outbox: &self.outbox,
            linked: &self.linked,
            lapsed: self.lapsed,
            wishes: &mut self.wishes,
            has_room: self.beginning.power.volume.free_bytes().is_none_or(|free| free >= ROOM_BYTES_MIN),
        };
        act(&mut around)
    }
}

/// The partitions that this broker keeps, as agreed on.
fn wanted(state: &ClusterState, me: &BrokerId) -> BTreeMap<PartitionKey, (PartitionName, Assignment)> {
    let mut wanted = BTreeMap::new();
    for stream in state.streams().iter() {
        for (id, partition) in stream.numbered_partitions().filter(|(_, partition)| partition.replicas.contains(me)) {
            let name = PartitionName { stream: stream.name.clone(), stream_id: stream.id, partition: id };
            wanted.insert(PartitionKey::of(&name), (name, assignment(state, partition)));
        }
    }
    wanted
}

fn assignment(state: &ClusterState, partition: &Partition) -> Assignment {
    let life = |id: &BrokerId| {
        let incarnation = state.brokers().get(id).map(|broker| broker.incarnation);
        BrokerLife { id: id.clone(), incarnation: incarnation.unwrap_or_default() }
    };
    Assignment {
        leader: partition.leader.clone(),
        leader_epoch: partition.leader_epoch,
        epoch: partition.epoch,
        replicas: partition.replicas.iter().map(life).collect(),
        in_sync: partition.isr.to_vec(),
        eligible: partition.eligible.to_vec(),
        in_sync_min: None,
    }
}
