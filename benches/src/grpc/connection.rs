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
            let request = api::CreateStreamRequest {
                subject: name.to_owned(),
                name: name.to_owned(),
                replication_factor: 1,
                partitions,
                ..Default::default()
            };
            self.client.clone().create_stream(request).await?;
        }
        Ok(())
    }
}
