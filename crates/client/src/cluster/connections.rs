//! One connection per broker, made when first used and made again when it breaks. Owns the transport's settings; never knows
//! which broker should be asked.

use std::collections::HashMap;
use std::time::Duration;

use liftbridge_proto::api::api_client;
use parking_lot::Mutex;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::builder::{Limits, TlsOptions};
use crate::cluster::Address;
use crate::error::ConnectError;

/// The generated client over a shared connection.
pub(crate) type ApiClient = api_client::ApiClient<Channel>;

/// Connections kept for brokers that are not asked for any more, before they are dropped all at once.
const CONNECTIONS_MAX: usize = 1024;
/// How much one subscription may have on its way to a slow reader, in bytes.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The same for a whole connection. Much more than one stream's share, so that a slow reader does not hold up acks.
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;
/// How often an idle connection is probed. By TCP and not by HTTP/2 pings: Go servers close connections that ping more
/// often than every five minutes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// The connections of one client.
#[derive(Debug)]
pub(crate) struct Connections {
    channels: Mutex<HashMap<Address, Channel>>,
    tls: Option<ClientTlsConfig>,
    connect_timeout: Duration,
    message_bytes_max: usize,
}

impl Connections {
    pub(crate) fn new(tls: Option<&TlsOptions>, limits: &Limits) -> Result<Self, ConnectError> {
        let connections = Self {
            channels: Mutex::default(),
            tls: tls.map(TlsOptions::to_config).transpose()?,
            connect_timeout: limits.connect_timeout,
            message_bytes_max: limits.message_bytes_max,
        };
        // Certificates that cannot be used show here, once, and not with the first call.
        connections.endpoint(&Address::new("localhost", 1))?;
        Ok(connections)
    }

    /// The client for the broker at `address`.
    pub(crate) fn to(&self, address: &Address) -> Result<ApiClient, ConnectError> {
        Ok(self.api(self.channel(address)?))
    }

    /// The API over a connection.
    pub(crate) fn api(&self, channel: Channel) -> ApiClient {
        ApiClient::new(channel).max_decoding_message_size(self.message_bytes_max)
    }

    /// The connection to the broker at `address`. Connecting happens with the first call and may fail then.
    pub(crate) fn channel(&self, address: &Address) -> Result<Channel, ConnectError> {
        let mut channels = self.channels.lock();
        let channel = match channels.get(address) {
            Some(channel) => channel.clone(),
            None => {
                let channel = self.endpoint(address)?.connect_lazy();
                if channels.len() >= CONNECTIONS_MAX {
                    channels.clear();
                }
                channels.insert(address.clone(), channel.clone());
                channel
            }
        };
        Ok(channel)
    }

    fn endpoint(&self, address: &Address) -> Result<Endpoint, ConnectError> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(|_| ConnectError::InvalidAddress { address: address.to_string() })?
            .connect_timeout(self.connect_timeout)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        match &self.tls {
            None => Ok(endpoint),
            Some(tls) => {
                endpoint.tls_config(tls.clone()).map_err(|error| ConnectError::Tls { reason: reason_of(&error) })
            }
        }
    }
}

/// The innermost text: tonic's own is only "transport error".
fn reason_of(error: &tonic::transport::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
