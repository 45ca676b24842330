//! The handle everything is asked through. Owns what its clones share; each operation has a file of its own.

use std::sync::Arc;

use crate::builder::{ClientBuilder, Limits};
use crate::cluster::{Address, ClusterMetadata, Connections, Router};
use crate::error::{CallError, ConnectError};
use crate::publish::Publisher;

/// The stream asked about when a client connects. A request that names no stream would be answered with all of them, and a
/// cluster may have tens of thousands.
const PROBE_STREAM: &str = "__cursors";

/// A connection to a cluster. Cheap to clone; clones share connections, metadata and publish streams.
#[derive(Clone, Debug)]
pub struct Client {
    router: Arc<Router>,
    publisher: Arc<Publisher>,
}

impl Client {
    /// Begins to set up a client that finds its cluster through these addresses (`host:port`; the port defaults to 9292).
    pub fn builder<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> ClientBuilder {
        ClientBuilder::new(addresses)
    }

    pub(crate) async fn connect(
        seeds: Vec<Address>,
        connections: Connections,
        limits: Limits,
    ) -> Result<Self, ConnectError> {
        let tried = seeds.len();
        let router = Arc::new(Router::new(seeds.clone(), connections, limits));
        let mut last = None;
        for seed in &seeds {
            match router.probe(seed, PROBE_STREAM).await {
                Ok(()) => {
                    let publisher = Arc::new(Publisher::new(Arc::clone(&router)));
                    return Ok(Self { router, publisher });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or(ConnectError::NoAddresses, |last| ConnectError::Unreachable { tried, last }))
    }

    pub(crate) fn router(&self) -> &Arc<Router> {
        &self.router
    }

    pub(crate) fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }

    /// What the cluster says of its brokers and of `streams`; of all streams when none is named. Streams that do not exist
    /// are missing from the answer.
    ///
    /// # Errors
    /// When no broker answers, or the one that does refuses.
    pub async fn fetch_metadata(&self, streams: &[&str]) -> Result<ClusterMetadata, CallError> {
        self.router.fetch_metadata(streams.iter().map(|&name| name.to_owned()).collect()).await
    }

    /// Waits until everything that was published is acknowledged or given up, and ends the connections' publish streams. Messages
    /// published with [`crate::AckPolicy::None`] are certain to have left this process only after this.
    pub async fn close(self) {
        self.publisher.close().await;
    }
}
