//! Creating, changing and describing streams. Owns the requests; `convert` knows how they are written.

use liftbridge_proto::api as wire;
use liftbridge_types::{PartitionId, SettingOverrides};
use tonic::Code;

use crate::client::Client;
use crate::cluster::{PartitionInfo, Read};
use crate::convert;
use crate::error::{CallError, ChangeStreamError, CreateStreamError, PartitionInfoError, PartitionName, RouteError};

/// How many servers keep each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationFactor {
    /// So many.
    Count(u32),
    /// Every server of the cluster.
    EveryServer,
}

/// A stream to be created. By default it has one partition with one replica, is attached to the subject of its own name, and
/// takes its settings from the server.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewStream {
    pub(crate) name: String,
    pub(crate) subject: Option<String>,
    pub(crate) group: String,
    pub(crate) partition_count: u32,
    pub(crate) replication_factor: ReplicationFactor,
    pub(crate) settings: SettingOverrides,
}

impl NewStream {
    /// A stream of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            subject: None,
            group: String::new(),
            partition_count: 1,
            replication_factor: ReplicationFactor::Count(1),
            settings: SettingOverrides::default(),
        }
    }

    /// Attaches it to this subject, in which `*` stands for one token and a last `>` for one or more.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Shares the subject's messages with the other streams of this group: each message reaches one of them.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Divides it into so many partitions.
    pub fn partitions(mut self, count: u32) -> Self {
        self.partition_count = count;
        self
    }

    /// How many servers keep each partition.
    pub fn replication_factor(mut self, factor: ReplicationFactor) -> Self {
        self.replication_factor = factor;
        self
    }

    /// What differs from the server's settings.
    pub fn settings(mut self, settings: SettingOverrides) -> Self {
        self.settings = settings;
        self
    }
}

/// Which partitions of a stream an operation is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Partitions {
    /// All of them.
    #[default]
    All,
    /// These.
    Only(Vec<PartitionId>),
}

impl Client {
    /// Creates a stream. While brokers are unavailable this is tried again, so after an outage [`CreateStreamError::Exists`] may
    /// mean the stream of an earlier try.
    ///
    /// # Errors
    /// When the name is taken, the cluster refuses, or no broker answers.
    pub async fn create_stream(&self, stream: NewStream) -> Result<(), CreateStreamError> {
        let name = stream.name.clone();
        let request = convert::create_stream_request(stream);
        let call =
            self.router().call_any(request, |mut client, request| async move { client.create_stream(request).await });
        call.await.map(|_| ()).map_err(|error| match error.code {
            Code::AlreadyExists => CreateStreamError::Exists { name },
            _ => CreateStreamError::Call(error),
        })
    }

    /// Deletes a stream with everything in it.
    ///
    /// # Errors
    /// When there is no such stream, the cluster refuses, or no broker answers.
    pub async fn delete_stream(&self, name: &str) -> Result<(), ChangeStreamError> {
        let request = wire::DeleteStreamRequest { name: name.to_owned() };
        let call =
            self.router().call_any(request, |mut client, request| async move { client.delete_stream(request).await });
        let result = call.await.map(|_| ()).map_err(|error| change_error(name, &Partitions::All, error));
        self.router().cache().forget_streams();
        result
    }

    /// Pauses partitions until the next publish to them; with `resume_all`, a publish to one wakes them all.
    ///
    /// # Errors
    /// When there is no such stream or partition, the cluster refuses, or no broker answers.
    pub async fn pause_stream(
        &self,
        name: &str,
        partitions: &Partitions,
        resume_all: bool,
    ) -> Result<(), ChangeStreamError> {
        let numbers = convert::partitions(partitions);
        let request = wire::PauseStreamRequest { name: name.to_owned(), partitions: numbers, resume_all };
        let call =
            self.router().call_any(request, |mut client, request| async move { client.pause_stream(request).await });
        call.await.map(|_| ()).map_err(|error| change_error(name, partitions, error))
    }

    /// Makes partitions refuse publishes, or take them again.
    ///
    /// # Errors
    /// When there is no such stream or partition, the cluster refuses, or no broker answers.
    pub async fn set_stream_readonly(
        &self,
        name: &str,
        partitions: &Partitions,
        readonly: bool,
    ) -> Result<(), ChangeStreamError> {
        let numbers = convert::partitions(partitions);
        let request = wire::SetStreamReadonlyRequest { name: name.to_owned(), partitions: numbers, readonly };
        let call = self
            .router()
            .call_any(request, |mut client, request| async move { client.set_stream_readonly(request).await });
        call.await.map(|_| ()).map_err(|error| change_error(name, partitions, error))
    }

    /// What the leader of a partition says of it now.
    ///
    /// # Errors
    /// When there is no such stream or partition, nobody leads it, or no broker answers.
    pub async fn fetch_partition_metadata(
        &self,
        stream: &str,
        partition: PartitionId,
    ) -> Result<PartitionInfo, PartitionInfoError> {
        let retries = self.router().limits().leader_retries;
        let mut number = 0;
        loop {
            let error = match self.partition_info_once(stream, partition).await {
                Ok(info) => return Ok(info),
                Err(error) => error,
            };
            // A stream that the cache does not know may have been created a moment ago.
            let unknown = matches!(error, PartitionInfoError::Route(RouteError::UnknownStream { .. }));
            if !(error.retryable() || unknown) || !retries.goes_on_after(number) {
                return Err(error);
            }
            retries.pause_after(number).await;
            number += 1;
            // When this fails too, the next try says so.
            let _ = self.router().refresh(stream).await;
        }
    }

    async fn partition_info_once(
        &self,
        stream: &str,
        partition: PartitionId,
    ) -> Result<PartitionInfo, PartitionInfoError> {
        let address = self.router().read_address(stream, partition, Read::Leader).await?;
        let request = wire::FetchPartitionMetadataRequest { stream: stream.to_owned(), partition: partition.to_wire() };
        let call = self.router().call_at(&address, request, |mut client, request| async move {
            client.fetch_partition_metadata(request).await
        });
        let response = call.await.map_err(|error| match error.code {
            Code::NotFound => PartitionInfoError::NotFound(PartitionName::new(stream, partition)),
            Code::FailedPrecondition => PartitionInfoError::NotLeader(PartitionName::new(stream, partition)),
            _ => PartitionInfoError::Call(error),
        })?;
        let info = response.metadata.and_then(convert::partition_info);
        info.ok_or_else(|| PartitionInfoError::Malformed { address: address.to_string() })
    }
}

fn change_error(name: &str, partitions: &Partitions, error: CallError) -> ChangeStreamError {
    match error.code {
        // Where no partition was named it can only be the stream.
        Code::NotFound if *partitions == Partitions::All => ChangeStreamError::StreamNotFound { name: name.to_owned() },
        Code::NotFound => ChangeStreamError::NotFound { name: name.to_owned(), reason: error.message },
        _ => ChangeStreamError::Call(error),
    }
}

#[cfg(test)]
mod tests;
