//! Commands as bytes: the data of one entry of the metadata log.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::time::Duration;

use liftbridge_proto::v1::{self, metadata_command::Command as Wire};
use liftbridge_types::{
    BrokerId, BrokerIncarnation, LeaderEpoch, PartitionEpoch, PartitionId, StreamId, StreamName, Subject, Timestamp,
};
use prost::Message;

use super::{DecodeError, broker_id, check_version, directory_id, overrides, partition_id, port, raft_id};
use crate::command::{
    BrokerLife, ChangeInSync, Command, CreateStream, DeleteStream, ElectUnclean, Member, MoveLeader, PartitionName,
    PauseStream, RegisterBroker, RemoveBroker, ReplicaCount, ResumeStream, SetReadonly,
};

/// The version of commands written here, and the newest one understood.
const VERSION: u32 = 1;

/// The command as the data of an entry.
pub(crate) fn encode_command(command: Command) -> Vec<u8> {
    let command = match command {
        Command::RegisterBroker(RegisterBroker { id, host, port, member }) => {
            let (id, port, member) = (id.as_str().to_owned(), port.into(), member.map(encode_member));
            Wire::RegisterBroker(v1::RegisterBrokerCommand { id, host, port, member })
        }
        Command::CreateStream(command) => Wire::CreateStream(encode_create(command)),
        Command::DeleteStream(DeleteStream { name }) => {
            Wire::DeleteStream(v1::DeleteStreamCommand { name: name.as_str().to_owned() })
        }
        Command::PauseStream(PauseStream { name, partitions, resume_all, at }) => {
            let (name, partitions, at) = (name.as_str().to_owned(), numbers(&partitions), at.as_nanos());
            Wire::PauseStream(v1::PauseStreamCommand { name, partitions, resume_all, at })
        }
        Command::ResumeStream(ResumeStream { name, partitions, at }) => {
            let (name, partitions, at) = (name.as_str().to_owned(), numbers(&partitions), at.as_nanos());
            Wire::ResumeStream(v1::ResumeStreamCommand { name, partitions, at })
        }
        Command::SetReadonly(SetReadonly { name, partitions, readonly, at }) => {
            let (name, partitions, at) = (name.as_str().to_owned(), numbers(&partitions), at.as_nanos());
            Wire::SetReadonly(v1::SetReadonlyCommand { name, partitions, readonly, at })
        }
        Command::FenceBroker(life) => Wire::FenceBroker(encode_life(&life)),
        Command::UnfenceBroker(life) => Wire::UnfenceBroker(encode_life(&life)),
        Command::ChangeInSync(command) => Wire::ChangeInSync(v1::ChangeInSyncCommand {
            partition: Some(encode_partition(&command.partition)),
            leader_epoch: command.leader_epoch.get(),
            epoch: command.epoch.get(),
            in_sync: command.in_sync.iter().map(encode_life).collect(),
            damaged: command.damaged.iter().map(|id| id.as_str().to_owned()).collect(),
        }),
        Command::MoveLeader(MoveLeader { partition, epoch, to, leaves }) => Wire::MoveLeader(v1::MoveLeaderCommand {
            partition: Some(encode_partition(&partition)),
            epoch: epoch.get(),
            to: to.as_str().to_owned(),
            leaves,
        }),
        Command::ElectUnclean(ElectUnclean { partition, to }) => Wire::ElectUnclean(v1::ElectUncleanCommand {
            partition: Some(encode_partition(&partition)),
            to: to.map(|id| id.as_str().to_owned()),
        }),
        Command::RemoveBroker(RemoveBroker { id, forced }) => {
            Wire::RemoveBroker(v1::RemoveBrokerCommand { id: id.as_str().to_owned(), forced })
        }
        Command::SetFeatureLevel(level) => Wire::SetFeatureLevel(v1::SetFeatureLevelCommand { level }),
    };
    v1::MetadataCommand { version: VERSION, command: Some(command) }.encode_to_vec()
}

/// The command an entry's data holds.
pub(crate) fn decode_command(data: &[u8]) -> Result<Command, DecodeError> {
    let message = v1::MetadataCommand::decode(data)?;
    check_version("MetadataCommand", message.version, VERSION)?;
    let command = message.command.ok_or(DecodeError::UnknownKind { message: "command" })?;
    Ok(match command {
        Wire::RegisterBroker(wire) => Command::RegisterBroker(RegisterBroker {
            id: BrokerId::new(&wire.id).map_err(|source| DecodeError::Name { field: "id", source })?,
            host: wire.host,
            port: port(wire.port)?,
            member: wire.member.map(decode_member).transpose()?,
        }),
        Wire::CreateStream(wire) => Command::CreateStream(decode_create(wire)?),
        Wire::DeleteStream(wire) => Command::DeleteStream(DeleteStream { name: stream_name(&wire.name)? }),
        Wire::PauseStream(wire) => Command::PauseStream(PauseStream {
            name: stream_name(&wire.name)?,
            partitions: partition_ids(&wire.partitions)?,
            resume_all: wire.resume_all,
            at: Timestamp::from_nanos(wire.at),
        }),
        Wire::ResumeStream(wire) => Command::ResumeStream(ResumeStream {
            name: stream_name(&wire.name)?,
            partitions: partition_ids(&wire.partitions)?,
            at: Timestamp::from_nanos(wire.at),
        }),
        Wire::SetReadonly(wire) => Command::SetReadonly(SetReadonly {
            name: stream_name(&wire.name)?,
            partitions: partition_ids(&wire.partitions)?,
            readonly: wire.readonly,
            at: Timestamp::from_nanos(wire.at),
        }),
        Wire::FenceBroker(wire) => Command::FenceBroker(decode_life(&wire)?),
        Wire::UnfenceBroker(wire) => Command::UnfenceBroker(decode_life(&wire)?),
        Wire::ChangeInSync(wire) => Command::ChangeInSync(ChangeInSync {
            partition: decode_partition(wire.partition)?,
            leader_epoch: LeaderEpoch::new(wire.leader_epoch),
            epoch: PartitionEpoch::new(wire.epoch),
            in_sync: wire.in_sync.iter().map(decode_life).collect::<Result<_, _>>()?,
            damaged: wire.damaged.iter().map(|id| broker_id(id)).collect::<Result<_, _>>()?,
        }),
        Wire::MoveLeader(wire) => Command::MoveLeader(MoveLeader {
            partition: decode_partition(wire.partition)?,
            epoch: PartitionEpoch::new(wire.epoch),
            to: broker_id(&wire.to)?,
            leaves: wire.leaves,
        }),
        Wire::ElectUnclean(wire) => Command::ElectUnclean(ElectUnclean {
            partition: decode_partition(wire.partition)?,
            to: wire.to.as_deref().map(broker_id).transpose()?,
        }),
        Wire::RemoveBroker(wire) => {
            Command::RemoveBroker(RemoveBroker { id: broker_id(&wire.id)?, forced: wire.forced })
        }
        Wire::SetFeatureLevel(wire) => Command::SetFeatureLevel(wire.level),
    })
}

fn encode_member(member: Member) -> v1::BrokerMember {
    let Member { raft_id, directory, peer_address, rack, feature_level, .. } = member;
    let Member { kept_log, in_sync_min, session_timeout, lost, .. } = member;
    let (raft_id, directory) = (raft_id.get(), directory.as_str().to_owned());
    let in_sync_min = in_sync_min.map_or(0, NonZero::get);
    let session_timeout_ms = encode_timeout(session_timeout);
    let mut lost_of: Vec<v1::LostPartitions> = Vec::new();
    for (stream, partition) in lost {
        match lost_of.last_mut().filter(|last| last.stream_id == stream.get()) {
            Some(last) => last.partitions.push(partition.get()),
            None => lost_of.push(v1::LostPartitions { stream_id: stream.get(), partitions: vec![partition.get()] }),
        }
    }
    v1::BrokerMember {
        raft_id,
        directory,
        peer_address,
        rack,
        feature_level,
        kept_log,
        in_sync_min,
        lost: lost_of,
        session_timeout_ms,
    }
}

fn decode_member(wire: v1::BrokerMember) -> Result<Member, DecodeError> {
    let (raft_id, directory) = (raft_id(wire.raft_id)?, directory_id(&wire.directory)?);
    let v1::BrokerMember { peer_address, rack, feature_level, kept_log, in_sync_min, lost, .. } = wire;
    let (in_sync_min, session_timeout) = (NonZero::new(in_sync_min), decode_timeout(wire.session_timeout_ms));
    let mut lost_here = BTreeSet::new();
    for v1::LostPartitions { stream_id, partitions } in lost {
        for number in partitions {
            lost_here.insert((StreamId::new(stream_id), partition_id(number)?));
        }
    }
    Ok(Member {
        raft_id,
        directory,
        peer_address,
        rack,
        feature_level,
        kept_log,
        in_sync_min,
        session_timeout,
        lost: lost_here,
    })
}

/// Whole milliseconds, rather one more: nobody is to be fenced while it still trusts its session. 0 = `None`.
pub(super) fn encode_timeout(timeout: Option<Duration>) -> u32 {
    let Some(timeout) = timeout else { return 0 };
    u32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

pub(super) fn decode_timeout(milliseconds: u32) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()))
}

fn encode_life(life: &BrokerLife) -> v1::BrokerLife {
    v1::BrokerLife { id: life.id.as_str().to_owned(), incarnation: life.incarnation.get() }
}

fn decode_life(wire: &v1::BrokerLife) -> Result<BrokerLife, DecodeError> {
    Ok(BrokerLife { id: broker_id(&wire.id)?, incarnation: BrokerIncarnation::new(wire.incarnation) })
}

fn encode_partition(name: &PartitionName) -> v1::PartitionName {
    let (stream, stream_id) = (name.stream.as_str().to_owned(), name.stream_id.get());
    v1::PartitionName { stream, stream_id, partition: name.partition.get() }
}

fn decode_partition(wire: Option<v1::PartitionName>) -> Result<PartitionName, DecodeError> {
    let wire = wire.ok_or(DecodeError::Missing { field: "partition" })?;
    Ok(PartitionName {
        stream: stream_name(&wire.stream)?,
        stream_id: StreamId::new(wire.stream_id),
        partition: partition_id(wire.partition)?,
    })
}

fn encode_create(command: CreateStream) -> v1::CreateStreamCommand {
    v1::CreateStreamCommand {
        name: command.name.as_str().to_owned(),
        subject: command.subject.as_str().to_owned(),
        group: command.group,
        partitions: command.partitions,
        replicas: encode_replicas(command.replicas),
        overrides: Some(overrides::encode(&command.overrides)),
        at: command.at.as_nanos(),
    }
}

fn decode_create(wire: v1::CreateStreamCommand) -> Result<CreateStream, DecodeError> {
    Ok(CreateStream {
        name: stream_name(&wire.name)?,
        subject: Subject::new(&wire.subject)?,
        group: wire.group,
        partitions: wire.partitions,
        replicas: decode_replicas(wire.replicas),
        overrides: overrides::decode(wire.overrides.unwrap_or_default())?,
        at: Timestamp::from_nanos(wire.at),
    })
}

pub(super) fn encode_replicas(replicas: ReplicaCount) -> Option<u32> {
    match replicas {
        ReplicaCount::EveryBroker => None,
        ReplicaCount::Exactly(count) => Some(count),
    }
}

pub(super) fn decode_replicas(count: Option<u32>) -> ReplicaCount {
    count.map_or(ReplicaCount::EveryBroker, ReplicaCount::Exactly)
}

pub(super) fn stream_name(text: &str) -> Result<StreamName, DecodeError> {
    StreamName::new(text).map_err(|source| DecodeError::Name { field: "name", source })
}

fn numbers(partitions: &[PartitionId]) -> Vec<u32> {
    partitions.iter().map(|id| id.get()).collect()
}

fn partition_ids(numbers: &[u32]) -> Result<Vec<PartitionId>, DecodeError> {
    numbers.iter().map(|number| partition_id(*number)).collect()
}

#[cfg(test)]
mod tests;
