//! One connection with the generated client and nothing above it. Owns the transport's settings, the same for both servers.

use std::net::SocketAddr;

use liftbridge_proto::api;
use liftbridge_proto::api::api_client::ApiClient;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;

/// The stream that is published to.
pub(super) const WRITTEN: &str = "written";
/// The stream that is read.
pub(super) const READ: &str = "read";

/// What is kept of each partition that is published to, in segments of a quarter of it, and how often that is seen to.
const KEPT_BYTES: i64 = 64 * 1024 * 1024;
const CLEANER_INTERVAL_MS: i64 = 500;

const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// A connection, and the partition it is used for.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: ApiClient<Channel>,
    pub(super) partition: i32,
}

impl Connection {
    pub(super) async fn open(server: SocketAddr, partition: i32) -> Result<Self, Failure> {
        let channel = Endpoint::new(format!("http://{server}"))?
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .connect()
            .await?;
        Ok(Self { client: ApiClient::new(channel), partition })
    }

    pub(super) async fn create_streams(&self, partitions: i32) -> Result<(), Failure> {
        for name in [WRITTEN, READ] {
            let mut request = api::CreateStreamRequest {
                subject: name.to_owned(),
                name: name.to_owned(),
                replication_factor: 1,
                partitions,
                ..Default::default()
            };
            if name == WRITTEN {
                bound(&mut request);
            }
            self.client.clone().create_stream(request).await?;
        }
        Ok(())
    }
}

/// Bounds what a stream keeps, as every stream in service is bounded. Without it the log takes a gigabyte of page cache
/// that nothing has used before, and on a virtual machine the first use of a page costs ten times what writing it does:
/// the host has to find it first. Then that is what would be measured.
fn bound(request: &mut api::CreateStreamRequest) {
    let set = |value| Some(api::NullableInt64 { value });
    request.retention_max_bytes = set(KEPT_BYTES);
    request.segment_max_bytes = set(KEPT_BYTES / 4);
    request.cleaner_interval = set(CLEANER_INTERVAL_MS);
}
