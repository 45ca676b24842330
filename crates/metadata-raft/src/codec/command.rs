//! Commands as bytes: the data of one entry of the metadata log.

use liftbridge_proto::v1::{self, metadata_command::Command as Wire};
use liftbridge_types::{BrokerId, PartitionId, StreamName, Subject, Timestamp};
use prost::Message;

use super::{DecodeError, check_version, overrides, partition_id, port};
use crate::command::{
    Command, CreateStream, DeleteStream, PauseStream, RegisterBroker, ReplicaCount, ResumeStream, SetReadonly,
};

/// The version of commands written here, and the newest one understood.
const VERSION: u32 = 1;

/// The command as the data of an entry.
pub(crate) fn encode_command(command: Command) -> Vec<u8> {
    let command = match command {
        Command::RegisterBroker(RegisterBroker { id, host, port }) => {
            Wire::RegisterBroker(v1::RegisterBrokerCommand { id: id.as_str().to_owned(), host, port: port.into() })
        }
        Command::CreateStream(command) => Wire::CreateStream(encode_create(command)),
        Command::DeleteStream(DeleteStream { name }) => {
            Wire::DeleteStream(v1::DeleteStreamCommand { name: name.as_str().to_owned() })
        }
        Command::PauseStream(PauseStream { name, partitions, resume_all, at }) => {
            Wire::PauseStream(v1::PauseStreamCommand {
                name: name.as_str().to_owned(),
                partitions: numbers(&partitions),
                resume_all,
                at: at.as_nanos(),
            })
        }
        Command::ResumeStream(ResumeStream { name, partitions, at }) => Wire::ResumeStream(v1::ResumeStreamCommand {
            name: name.as_str().to_owned(),
            partitions: numbers(&partitions),
            at: at.as_nanos(),
        }),
        Command::SetReadonly(SetReadonly { name, partitions, readonly, at }) => {
            Wire::SetReadonly(v1::SetReadonlyCommand {
                name: name.as_str().to_owned(),
                partitions: numbers(&partitions),
                readonly,
                at: at.as_nanos(),
            })
        }
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
