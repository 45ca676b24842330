//! What a data directory that joined a cluster was told: raft's number for it, and the cluster. Owns the file `raft/member`,
//! written once before the server takes part; never who let it in.
//!
//! A directory without this file is the founder's, whose number is always the same.

use std::io;

use liftbridge_commitlog::{LogError, Storage, Volume};
use thiserror::Error;

use crate::codec::{JoinedMember, decode_member, encode_member};
use crate::framed_file::{FramedReadError, read_framed, write_framed};
use crate::node_id::RaftId;
use crate::raft_storage::{LOG_DIRECTORY, OpenMetadataError, SNAPSHOT_DIRECTORY};

const MAGIC: [u8; 4] = *b"LBMM";
const FILE: &str = "member";
const UNFINISHED: &str = "member.unfinished";

/// What is on a volume before anything is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// No metadata: a cluster can be founded or joined.
    Nothing,
    /// What a cluster told this directory when it let it in, and nothing of its state yet.
    Joined {
        /// Raft's number for it.
        raft_id: RaftId,
        /// The cluster.
        cluster_id: String,
    },
    /// A state, founded here or sent here.
    State,
}

/// A joined cluster could not be noted down.
#[derive(Debug, Error)]
pub enum NoteJoinedError {
    /// There is metadata already.
    #[error("there is metadata of a cluster already")]
    NotEmpty,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] LogError),
    /// What is there could not be looked at.
    #[error(transparent)]
    Open(#[from] OpenMetadataError),
}

/// Looks whether there is metadata on the volume.
///
/// # Errors
/// When the storage fails or the file `raft/member` is damaged.
pub fn metadata_presence(volume: &dyn Volume) -> Result<Presence, OpenMetadataError> {
    let files = |directory: &str| -> Result<Vec<String>, OpenMetadataError> {
        let listed = volume.directory(directory).list();
        let listed = listed.map_err(crate::framed_file::failed("list", directory))?;
        Ok(listed.into_iter().map(|file| file.name).collect())
    };
    let any_snapshot = files(SNAPSHOT_DIRECTORY)?.iter().any(|name| name.ends_with(".snapshot"));
    let joined = load(&*volume.directory(LOG_DIRECTORY))?;
    let any_entry = files(LOG_DIRECTORY)?.iter().any(|name| name.ends_with(".log"));
    Ok(match (any_snapshot, joined) {
        (true, _) => Presence::State,
        (false, Some(JoinedMember { raft_id, cluster_id })) => Presence::Joined { raft_id, cluster_id },
        // A log without a snapshot is damage, which opening reports.
        (false, None) if any_entry => Presence::State,
        (false, None) => Presence::Nothing,
    })
}

/// Notes down which cluster this directory belongs to from now on and under which number, durably. It has to happen before
/// the metadata is opened.
///
/// # Errors
/// When there is metadata already, or the storage fails.
pub fn note_joined(volume: &dyn Volume, raft_id: RaftId, cluster_id: &str) -> Result<(), NoteJoinedError> {
    if metadata_presence(volume)? != Presence::Nothing {
        return Err(NoteJoinedError::NotEmpty);
    }
    let member = JoinedMember { raft_id, cluster_id: cluster_id.to_owned() };
    let body = encode_member(&member);
    Ok(write_framed(&*volume.directory(LOG_DIRECTORY), MAGIC, UNFINISHED, FILE, &body)?)
}

/// What the directory was told; `None` in the founder's.
pub(crate) fn load(storage: &dyn Storage) -> Result<Option<JoinedMember>, OpenMetadataError> {
    match read_framed(storage, MAGIC, FILE) {
        Ok(body) => decode_member(&body).map(Some).map_err(|_| OpenMetadataError::Member),
        Err(FramedReadError::Damaged { .. }) => Err(OpenMetadataError::Member),
        Err(FramedReadError::Storage(error)) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_commitlog::FaultyVolume;

    use super::*;
    use crate::test_commands::raft_id;

    #[test]
    fn a_directory_joins_once() {
        let volume = FaultyVolume::new(1);
        assert_eq!(metadata_presence(&volume).unwrap(), Presence::Nothing);
        note_joined(&volume, raft_id(3), "c1").unwrap();
        volume.crash();
        let joined = Presence::Joined { raft_id: raft_id(3), cluster_id: "c1".to_owned() };
        assert_eq!(metadata_presence(&volume).unwrap(), joined);
        let member = JoinedMember { raft_id: raft_id(3), cluster_id: "c1".to_owned() };
        assert_eq!(load(&*volume.directory(LOG_DIRECTORY)).unwrap(), Some(member));
        assert!(matches!(note_joined(&volume, raft_id(4), "c1"), Err(NoteJoinedError::NotEmpty)));
    }

    #[test]
    fn a_damaged_file_is_never_taken_for_none_and_the_way_out_is_told() {
        let volume = FaultyVolume::new(2);
        note_joined(&volume, raft_id(3), "c1").unwrap();
        volume.flip_bit("raft/member", 25, 1).unwrap();
        let damaged = metadata_presence(&volume).unwrap_err();
        assert!(matches!(damaged, OpenMetadataError::Member));
        assert!(damaged.to_string().contains("liftbridge-admin cluster remove"), "{damaged}");
    }
}
