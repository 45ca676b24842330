//! How a server sees the partitions. Owns asking within a short time, since whoever is asked may be hurt; changes nothing.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::transport::Endpoint;

use crate::api::{Client, wire};

/// How long one server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A partition as one server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartitionView {
    pub(super) leader: Option<String>,
    pub(super) replicas: Vec<String>,
    pub(super) in_sync: Vec<String>,
    /// The end of what is committed in this server's own copy.
    pub(super) committed_end: u64,
}

/// A connection to a server, made with the first call.
pub(super) fn client(address: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI");
    Client::new(endpoint.connect_timeout(ANSWER_MAX).connect_lazy())
}

/// The partitions of a stream as the server at `address` sees them, by number; `None` when it does not say in time.
pub(super) async fn view(address: SocketAddr, stream: &str) -> Option<Vec<PartitionView>> {
    let request = wire::FetchMetadataRequest { streams: vec![stream.to_owned()], ..Default::default() };
    let mut client = client(address);
    let answer = tokio::time::timeout(ANSWER_MAX, client.fetch_metadata(request)).await.ok()?.ok()?;
    let stream = answer.into_inner().stream_metadata.into_iter().find(|told| told.name == stream)?;
    let mut partitions: Vec<_> = stream.partitions.into_values().collect();
    partitions.sort_by_key(|partition| partition.id);
    Some(partitions.into_iter().map(PartitionView::from).collect())
}

impl PartitionView {
    /// Whether it is led and every replica has everything committed.
    pub(super) fn is_whole(&self) -> bool {
        self.leader.is_some() && self.in_sync.len() == self.replicas.len()
    }
}

impl From<wire::PartitionMetadata> for PartitionView {
    fn from(told: wire::PartitionMetadata) -> Self {
        Self {
            leader: (!told.leader.is_empty()).then_some(told.leader),
            replicas: told.replicas,
            in_sync: told.isr,
            // The API names the last committed offset, -1 for none.
            committed_end: u64::try_from(told.high_watermark + 1).unwrap_or(0),
        }
    }
}
