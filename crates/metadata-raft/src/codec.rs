//! How decisions look as bytes: in the log and in snapshots. Owns the translation between the domain's words and the
//! protobuf messages of `liftbridge.v1`, which are known nowhere else in this crate; never what a command means.
//!
//! Bytes come from disk, later from other servers: decoding trusts no length, number or name, and every refusal is typed.

mod command;
mod membership;
mod overrides;
mod raft_message;
mod raft_record;
mod rejection;
mod state;

use liftbridge_types::{BrokerId, InvalidName, InvalidSubject, PartitionId};
use thiserror::Error;

use crate::command::Command;
use crate::node_id::{DirectoryId, RaftId};
use crate::rejection::Rejection;

pub(crate) use command::{decode_command, encode_command};
pub(crate) use membership::{
    JoinedMember, decode_member, decode_membership_change, encode_member, encode_membership_change,
};
pub(crate) use raft_message::{decode_message, encode_message};
pub(crate) use raft_record::{RaftRecord, decode_record, encode_entry, encode_hard_state, encode_reset};
pub(crate) use rejection::{decode_rejection, encode_rejection};
pub(crate) use state::{SnapshotContents, decode_snapshot, encode_snapshot};

impl Command {
    /// The command as it travels to the server that proposes it, and as it stands in the log.
    pub fn encode(self) -> Vec<u8> {
        encode_command(self)
    }

    /// The command these bytes hold.
    ///
    /// # Errors
    /// When they are none that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_command(bytes)
    }
}

impl Rejection {
    /// The rejection as it travels to the server that asked for the command.
    pub fn encode(self) -> Vec<u8> {
        encode_rejection(self)
    }

    /// The rejection these bytes hold.
    ///
    /// # Errors
    /// When they are none that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_rejection(bytes)
    }
}

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Not the protobuf message expected there.
    #[error("malformed message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Written by a newer version of this software.
    #[error("`{message}` has version {version}, this server reads up to {supported}: upgrade it before starting")]
    NewerVersion {
        /// What was read.
        message: &'static str,
        /// Its version.
        version: u32,
        /// The newest version known here.
        supported: u32,
    },
    /// A kind of command, record or entry that this version does not know.
    #[error("unknown kind of {message}: written by a newer version of this server, upgrade it before starting")]
    UnknownKind {
        /// What was read.
        message: &'static str,
    },
    /// A part that must be there is not.
    #[error("`{field}` is missing")]
    Missing {
        /// Which part.
        field: &'static str,
    },
    /// A number outside its range.
    #[error("`{field}` is {value}, out of range")]
    OutOfRange {
        /// Which number.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A text that cannot be a name.
    #[error("`{field}` is no name: {source}")]
    Name {
        /// Which text.
        field: &'static str,
        /// Why not.
        source: InvalidName,
    },
    /// A text that cannot be a subject.
    #[error("stream subject: {0}")]
    Subject(#[from] InvalidSubject),
    /// Names that must be unique and ascending are not.
    #[error("`{field}` are not in order")]
    OutOfOrder {
        /// Which names.
        field: &'static str,
    },
}

/// Refuses what a newer version wrote and what no version wrote.
fn check_version(message: &'static str, version: u32, supported: u32) -> Result<(), DecodeError> {
    match version {
        0 => Err(DecodeError::Missing { field: "version" }),
        _ if version > supported => Err(DecodeError::NewerVersion { message, version, supported }),
        _ => Ok(()),
    }
}

fn partition_id(number: u32) -> Result<PartitionId, DecodeError> {
    PartitionId::new(number).ok_or(DecodeError::OutOfRange { field: "partition", value: number.into() })
}

fn broker_id(text: &str) -> Result<BrokerId, DecodeError> {
    BrokerId::new(text).map_err(|source| DecodeError::Name { field: "broker id", source })
}

fn directory_id(text: &str) -> Result<DirectoryId, DecodeError> {
    DirectoryId::new(text).map_err(|source| DecodeError::Name { field: "directory", source })
}

fn raft_id(number: u64) -> Result<RaftId, DecodeError> {
    RaftId::new(number).ok_or(DecodeError::OutOfRange { field: "raft id", value: number })
}

fn port(number: u32) -> Result<u16, DecodeError> {
    u16::try_from(number).map_err(|_| DecodeError::OutOfRange { field: "port", value: number.into() })
}
