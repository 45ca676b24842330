//! Who a server is, and whether its data is its own. Owns the refusals of data that belongs to another; never what the data
//! says.

use std::sync::Arc;

use liftbridge_metadata_raft::{DirectoryId, Metadata, Presence, RaftId, metadata_presence};
use liftbridge_types::BrokerId;

use crate::begun_logs::BegunLogs;
use crate::config::{BrokerConfig, StartError};
use crate::start::unusable;
use crate::{clean_stop, directories, directory_id, server_id};

/// Who this server is, and what its volume holds.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) id: BrokerId,
    pub(crate) directory: DirectoryId,
    pub(crate) presence: Presence,
    pub(crate) had_streams: bool,
    /// Whether everything that was reported as durable in an earlier life is there, as far as the sync policy goes.
    pub(crate) kept_log: bool,
    pub(crate) begun_logs: Arc<BegunLogs>,
}

/// Reads, or makes, what says who this server is. Blocks on file I/O.
pub(crate) fn identify(config: &BrokerConfig) -> Result<Identity, StartError> {
    let volume = &*config.volume;
    let had_streams = directories::any_stream(volume).map_err(unusable)?;
    let id = server_id::load_or_create(volume, &config.server_id)?;
    let directory = directory_id::load_or_create(volume)?;
    let presence = metadata_presence(volume).map_err(|error| StartError::Metadata { reason: error.to_string() })?;
    let kept_log = clean_stop::begin(volume, config.sync, config.boot_id.as_deref()).map_err(unusable)?;
    let begun_logs = Arc::new(BegunLogs::open(volume).map_err(unusable)?);
    Ok(Identity { id, directory, presence, had_streams, kept_log, begun_logs })
}

/// A server under another id than its data was written under would find none of its partitions.
pub(crate) fn check_identity(metadata: &Metadata, identity: &Identity, raft_id: RaftId) -> Result<(), StartError> {
    let (state, id) = (metadata.state(), &identity.id);
    if let Some((known, node)) = state.nodes().of_broker(id)
        && known != raft_id
        && node.directory == identity.directory
    {
        let reason = format!(
            "the metadata knows this directory as member {known}, and `raft/member` does not: run `liftbridge-admin cluster \
             remove {id}` and let the server join again with an empty data directory"
        );
        return Err(StartError::Storage { reason });
    }
    if let Some(node) = state.nodes().get(raft_id)
        && node.broker == *id
        && node.directory != identity.directory
    {
        let known = node.directory.as_str();
        let reason = format!(
            "the file `directory-id` was damaged or replaced: the metadata knows this directory as `{known}`; write that into \
             the file if this is all that the server `{id}` had"
        );
        return Err(StartError::Storage { reason });
    }
    let known: Vec<&str> = match state.nodes().get(raft_id) {
        Some(node) => vec![node.broker.as_str()],
        // One that was sent nothing yet, or was removed, or whose metadata knows of no others.
        None if raft_id != RaftId::FOUNDER => return Ok(()),
        None => state.brokers().iter().map(|(known, _)| known.as_str()).collect(),
    };
    if known.is_empty() || known.contains(&id.as_str()) {
        return Ok(());
    }
    let known = known.join("`, `");
    let reason =
        format!("this server is called `{id}`, but the data belongs to `{known}`: write that id into `server-id`");
    Err(StartError::Storage { reason })
}
