//! Creating, deleting, pausing, resuming streams and making them read-only. Owns what is checked before the cluster is asked;
//! never what the cluster then decides.

use std::collections::BTreeSet;

use liftbridge_auth::Authorized;
use liftbridge_metadata_raft as metadata;
use liftbridge_metadata_raft::{Command, PARTITIONS_PER_STREAM_MAX, ProposeError, Rejection, ReplicaCount};
use liftbridge_types::{PartitionId, SettingOverrides, StreamName};

use crate::agreement::unavailable;
use crate::broker::Broker;
use crate::errors::{ChangeStreamError, CreateStreamError, MetadataUnavailable};
use crate::requests::{CreateStream, DeleteStream, PauseStream, ReplicationFactor, SetStreamReadonly};
use crate::streams_here::LocalStream;

/// Streams that belong to the server; clients neither create nor delete them (behaviour spec 2.0).
const RESERVED: [&str; 2] = ["__activity", "__cursors"];

impl Broker {
    /// Creates a stream; returns when its partitions take publishes.
    ///
    /// # Errors
    /// See [`CreateStreamError`].
    pub async fn create_stream(&self, request: Authorized<CreateStream>) -> Result<(), CreateStreamError> {
        let CreateStream { name, subject, group, partitions, replication_factor, overrides } = request.into_request();
        if RESERVED.contains(&name.as_str()) {
            return Err(CreateStreamError::Reserved);
        }
        if let Some(setting) = unsupported(&overrides) {
            return Err(CreateStreamError::Unsupported { setting });
        }
        if !self.node.life.is_running() {
            return Err(CreateStreamError::Metadata(MetadataUnavailable::ShuttingDown));
        }
        let command = Command::CreateStream(metadata::CreateStream {
            name,
            subject,
            // The API cannot tell an empty group from none.
            group: group.filter(|group| !group.is_empty()),
            partitions,
            replicas: match replication_factor {
                ReplicationFactor::Max => ReplicaCount::EveryBroker,
                ReplicationFactor::Count(count) => ReplicaCount::Exactly(count),
            },
            overrides,
            at: self.node.clock.now(),
        });
        self.node.agreement.reach(command).await.map_err(create_refused)
    }

    /// Deletes a stream and its data; running subscriptions end.
    ///
    /// # Errors
    /// See [`ChangeStreamError`].
    pub async fn delete_stream(&self, request: Authorized<DeleteStream>) -> Result<(), ChangeStreamError> {
        let DeleteStream { name } = request.into_request();
        if RESERVED.contains(&name.as_str()) {
            return Err(ChangeStreamError::Reserved);
        }
        let name = StreamName::new(&name).map_err(|_| ChangeStreamError::StreamNotFound)?;
        self.change(Command::DeleteStream(metadata::DeleteStream { name })).await
    }

    /// Pauses partitions; running subscriptions end.
    ///
    /// # Errors
    /// See [`ChangeStreamError`].
    pub async fn pause_stream(&self, request: Authorized<PauseStream>) -> Result<(), ChangeStreamError> {
        let PauseStream { name, partitions, resume_all } = request.into_request();
        let (name, partitions) = self.meant(&name, &partitions)?;
        let at = self.node.clock.now();
        self.change(Command::PauseStream(metadata::PauseStream { name, partitions, resume_all, at })).await
    }

    /// Makes partitions read-only or writable.
    ///
    /// # Errors
    /// See [`ChangeStreamError`].
    pub async fn set_stream_readonly(&self, request: Authorized<SetStreamReadonly>) -> Result<(), ChangeStreamError> {
        let SetStreamReadonly { name, partitions, readonly } = request.into_request();
        let (name, partitions) = self.meant(&name, &partitions)?;
        let at = self.node.clock.now();
        self.change(Command::SetReadonly(metadata::SetReadonly { name, partitions, readonly, at })).await
    }

    /// Resumes a paused partition, and with it every paused one of the stream if that was asked for when pausing. Those who
    /// find it paused together wait for one resumption.
    pub(crate) async fn resume(&self, stream: &LocalStream, partition: PartitionId) -> Result<(), ProposeError> {
        // Cancel safe: whoever stops waiting lets the next one look for itself.
        let _resuming = stream.resuming.lock().await;
        if stream.partition(partition).is_none_or(|partition| !partition.is_pausing()) {
            return Ok(());
        }
        let (name, at) = (stream.name.clone(), self.node.clock.now());
        let command = metadata::ResumeStream { name, partitions: vec![partition], at };
        self.node.agreement.reach(Command::ResumeStream(command)).await
    }

    async fn change(&self, command: Command) -> Result<(), ChangeStreamError> {
        if !self.node.life.is_running() {
            return Err(ChangeStreamError::Metadata(MetadataUnavailable::ShuttingDown));
        }
        self.node.agreement.reach(command).await.map_err(change_refused)
    }

    /// A request's stream and partitions in the domain's words. What cannot be a name or a number does not exist.
    fn meant(&self, name: &str, numbers: &[i32]) -> Result<(StreamName, Vec<PartitionId>), ChangeStreamError> {
        let no_stream = match numbers {
            [] => ChangeStreamError::NotFoundForAll,
            _ => ChangeStreamError::StreamNotFound,
        };
        let name = StreamName::new(name).map_err(|_| no_stream.clone())?;
        let ids: Option<BTreeSet<PartitionId>> = numbers.iter().map(|number| PartitionId::from_wire(*number)).collect();
        let possible = |id: &PartitionId| id.get() < PARTITIONS_PER_STREAM_MAX;
        match ids {
            Some(ids) if ids.iter().all(possible) => Ok((name, ids.into_iter().collect())),
            // That the stream does not exist is the better answer when it does not.
            _ if self.node.metadata.state().streams().get(name.as_str()).is_none() => Err(no_stream),
            _ => Err(ChangeStreamError::PartitionNotFound),
        }
    }
}

/// The first setting this server cannot honour yet. It is refused: a stream that silently is not encrypted, compacted or
/// paused would be worse than none.
fn unsupported(overrides: &SettingOverrides) -> Option<&'static str> {
    let asked = [
        (overrides.encryption == Some(true), "encryption"),
        (overrides.compact_enabled == Some(true), "compactEnabled"),
        (overrides.auto_pause_time.is_some_and(|time| !time.is_zero()), "autoPauseTime"),
    ];
    asked.into_iter().find_map(|(is_asked, setting)| is_asked.then_some(setting))
}

fn create_refused(error: ProposeError) -> CreateStreamError {
    match error {
        ProposeError::Unavailable(reason) => CreateStreamError::Metadata(unavailable(reason)),
        ProposeError::Rejected(rejection) => match rejection {
            Rejection::NoPartitions => CreateStreamError::NoPartitions,
            Rejection::TooManyPartitions { partitions, limit } => {
                CreateStreamError::TooManyPartitions { partitions, limit }
            }
            Rejection::NoReplicas { factor } => CreateStreamError::NoReplicas { factor: factor.into() },
            Rejection::TooManyReplicas { factor, brokers } => CreateStreamError::TooManyReplicas { factor, brokers },
            Rejection::StreamExists => CreateStreamError::Exists,
            Rejection::NotFoundForAll
            | Rejection::StreamNotFound
            | Rejection::PartitionNotFound
            | Rejection::Stale
            | Rejection::NotEligible { .. }
            | Rejection::NoCandidate
            | Rejection::HasLeader
            | Rejection::BrokerNotFound
            | Rejection::BrokerRunning { .. }
            | Rejection::LastInSync { .. }
            | Rejection::NotAMember { .. }
            | Rejection::FeatureLevel { .. } => CreateStreamError::Metadata(misplaced(&rejection)),
        },
    }
}

fn change_refused(error: ProposeError) -> ChangeStreamError {
    match error {
        ProposeError::Unavailable(reason) => ChangeStreamError::Metadata(unavailable(reason)),
        ProposeError::Rejected(rejection) => match rejection {
            Rejection::NotFoundForAll => ChangeStreamError::NotFoundForAll,
            Rejection::StreamNotFound => ChangeStreamError::StreamNotFound,
            Rejection::PartitionNotFound => ChangeStreamError::PartitionNotFound,
            Rejection::NoPartitions
            | Rejection::TooManyPartitions { .. }
            | Rejection::NoReplicas { .. }
            | Rejection::TooManyReplicas { .. }
            | Rejection::StreamExists
            | Rejection::Stale
            | Rejection::NotEligible { .. }
            | Rejection::NoCandidate
            | Rejection::HasLeader
            | Rejection::BrokerNotFound
            | Rejection::BrokerRunning { .. }
            | Rejection::LastInSync { .. }
            | Rejection::NotAMember { .. }
            | Rejection::FeatureLevel { .. } => ChangeStreamError::Metadata(misplaced(&rejection)),
        },
    }
}

/// A rejection that belongs to another command: the state machine is at fault, and the caller hears what it said.
fn misplaced(rejection: &Rejection) -> MetadataUnavailable {
    MetadataUnavailable::LogFailed { reason: rejection.to_string() }
}
