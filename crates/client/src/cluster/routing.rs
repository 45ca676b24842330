//! Which broker a call goes to, and where it goes when that one does not answer. Owns the retries; never knows what a call does.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use liftbridge_proto::api as wire;
use liftbridge_types::PartitionId;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tracing::debug;

use crate::builder::Limits;
use crate::cluster::{Address, ApiClient, ClusterMetadata, Connections, MetadataCache, StreamInfo};
use crate::convert;
use crate::error::{CallError, ConnectError, RouteError};

/// Who may answer a read of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Only its leader.
    Leader,
    /// Any of its in-sync replicas.
    InSyncReplica,
}

/// Sends calls to the right broker.
#[derive(Debug)]
pub(crate) struct Router {
    connections: Connections,
    cache: MetadataCache,
    limits: Limits,
    /// Position, among the addresses, of the broker that answered last.
    preferred: AtomicUsize,
}

impl Router {
    pub(crate) fn new(seeds: Vec<Address>, connections: Connections, limits: Limits) -> Self {
        Self { connections, cache: MetadataCache::new(seeds), limits, preferred: AtomicUsize::new(0) }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn cache(&self) -> &MetadataCache {
        &self.cache
    }

    /// The client for the broker at `address`.
    pub(crate) fn client(&self, address: &Address) -> Result<ApiClient, CallError> {
        self.connections.to(address).map_err(|error| unusable(address, &error))
    }

    /// One call of the API to one broker, within the request timeout.
    pub(crate) async fn call_at<Q, R, F>(
        &self,
        address: &Address,
        request: Q,
        call: impl FnOnce(ApiClient, Request<Q>) -> F,
    ) -> Result<R, CallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        self.reach(address, request, |channel, request| call(self.connections.api(channel), request)).await
    }

    /// One call of any service to one broker, within the request timeout.
    pub(crate) async fn reach<Q, R, F>(
        &self,
        address: &Address,
        request: Q,
        call: impl FnOnce(Channel, Request<Q>) -> F,
    ) -> Result<R, CallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let channel = self.connections.channel(address).map_err(|error| unusable(address, &error))?;
        let mut request = Request::new(request);
        request.set_timeout(self.limits.request_timeout);
        match tokio::time::timeout(self.limits.request_timeout, call(channel, request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(CallError::from_status(&address.to_string(), &status)),
            Err(_) => Err(CallError::timed_out(&address.to_string(), "no answer in time")),
        }
    }

    /// A call of the API that any broker can answer, tried at one after the other while they are unavailable.
    pub(crate) async fn call_any<Q, R, F>(
        &self,
        request: Q,
        call: impl Fn(ApiClient, Request<Q>) -> F,
    ) -> Result<(R, Address), CallError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        self.reach_any(request, |channel, request| call(self.connections.api(channel), request)).await
    }

    /// The same for a call of any service.
    pub(crate) async fn reach_any<Q, R, F>(
        &self,
        request: Q,
        call: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<(R, Address), CallError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let retries = self.limits.any_retries;
        let mut number = 0;
        loop {
            let (address, position) = self.any_address(number);
            match self.reach(&address, request.clone(), &call).await {
                Ok(response) => {
                    self.preferred.store(position, Ordering::Relaxed);
                    return Ok((response, address));
                }
                Err(error) if worth_another_broker(&error) && retries.goes_on_after(number) => {
                    debug!(%address, %error, try_number = number, "trying another broker");
                    retries.pause_after(number).await;
                    number += 1;
                }
                Err(error) => {
                    if error.code == Code::DeadlineExceeded {
                        // Whatever is asked next is asked elsewhere.
                        self.preferred.store(position + 1, Ordering::Relaxed);
                    }
                    return Err(error);
                }
            }
        }
    }

    fn any_address(&self, try_number: u32) -> (Address, usize) {
        let addresses = self.cache.addresses();
        let tried = usize::try_from(try_number).unwrap_or(usize::MAX);
        let position = self.preferred.load(Ordering::Relaxed).wrapping_add(tried) % addresses.len();
        (addresses[position].clone(), position)
    }

    /// The broker at `address` does not answer, or does not lead what it was said to lead: what is known of leaders is out of
    /// date, and another broker is asked first. This one may be cut off from the others and not know it.
    pub(crate) fn turn_away_from(&self, address: &Address) {
        self.cache.forget_streams();
        let addresses = self.cache.addresses();
        let preferred = self.preferred.load(Ordering::Relaxed) % addresses.len();
        if addresses.get(preferred) == Some(address) {
            self.preferred.store(preferred + 1, Ordering::Relaxed);
        }
    }

    /// Whether the broker at `address` answers; what it says is remembered.
    pub(crate) async fn probe(&self, address: &Address, stream: &str) -> Result<(), CallError> {
        let asked = vec![stream.to_owned()];
        let request = wire::FetchMetadataRequest { streams: asked.clone(), groups: Vec::new() };
        let response = self
            .call_at(address, request, |mut client, request| async move { client.fetch_metadata(request).await })
            .await?;
        self.cache.update(&convert::cluster_metadata(response), &asked, address);
        Ok(())
    }

    /// Asks for `streams` (none listed: all) and remembers the answer.
    pub(crate) async fn fetch_metadata(&self, streams: Vec<String>) -> Result<ClusterMetadata, CallError> {
        let request = wire::FetchMetadataRequest { streams: streams.clone(), groups: Vec::new() };
        let (response, source) =
            self.call_any(request, |mut client, request| async move { client.fetch_metadata(request).await }).await?;
        let metadata = convert::cluster_metadata(response);
        self.cache.update(&metadata, &streams, &source);
        Ok(metadata)
    }

    /// Asks for one stream again.
    pub(crate) async fn refresh(&self, stream: &str) -> Result<(), CallError> {
        self.fetch_metadata(vec![stream.to_owned()]).await.map(|_| ())
    }

    /// What is known of a stream, asking when nothing is; `None` when it does not exist.
    pub(crate) async fn stream(&self, name: &str) -> Result<Option<Arc<StreamInfo>>, CallError> {
        if let Some(stream) = self.cache.stream(name) {
            return Ok(Some(stream));
        }
        self.refresh(name).await?;
        Ok(self.cache.stream(name))
    }

    /// Who reads of a partition go to.
    pub(crate) async fn read_address(
        &self,
        stream: &str,
        partition: PartitionId,
        read: Read,
    ) -> Result<Address, RouteError> {
        self.stream(stream).await?;
        match read {
            Read::Leader => self.cache.leader(stream, partition),
            Read::InSyncReplica => self.cache.in_sync_replica(stream, partition),
        }
    }

    /// Who publishes to a partition go to: its leader or, while none is known, any broker, which passes them on.
    pub(crate) async fn publish_address(&self, stream: &str, partition: PartitionId) -> Result<Address, CallError> {
        self.stream(stream).await?;
        Ok(self.cache.leader(stream, partition).unwrap_or_else(|_| self.any_address(0).0))
    }
}

/// Whether another broker, or the same a little later, may do what this one could not. A deadline is not: it was waited for
/// in full, and what was asked may have been done.
fn worth_another_broker(error: &CallError) -> bool {
    error.retryable() && error.code != Code::DeadlineExceeded
}

fn unusable(address: &Address, error: &ConnectError) -> CallError {
    CallError {
        address: address.to_string(),
        code: Code::InvalidArgument,
        message: error.to_string(),
        never_sent: true,
    }
}
