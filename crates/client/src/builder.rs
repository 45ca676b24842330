//! How a client is set up: addresses, TLS and every limit. Owns the defaults; never a connection.

mod tls;

use std::time::Duration;

pub use tls::TlsOptions;

use crate::client::Client;
use crate::cluster::{Address, Connections};
use crate::error::ConnectError;
use crate::publish::ProducerWindow;
use crate::retry::RetryPlan;

/// Everything that bounds a client.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
    pub ack_timeout: Duration,
    pub resubscribe_window: Duration,
    pub message_bytes_max: usize,
    pub window: ProducerWindow,
    pub leader_retries: RetryPlan,
    pub any_retries: RetryPlan,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(5),
            resubscribe_window: Duration::from_secs(30),
            message_bytes_max: 16 * 1024 * 1024,
            window: ProducerWindow::default(),
            leader_retries: RetryPlan::LEADER,
            any_retries: RetryPlan::ANY,
        }
    }
}

/// Sets up a [`Client`].
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before `connect`"]
pub struct ClientBuilder {
    addresses: Vec<String>,
    tls: Option<TlsOptions>,
    limits: Limits,
}

impl ClientBuilder {
    pub(crate) fn new<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> Self {
        Self { addresses: addresses.into_iter().map(Into::into).collect(), tls: None, limits: Limits::default() }
    }

    /// Encrypts every connection. Without this, connections are plain text.
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.tls = Some(options);
        self
    }

    /// How long one connection attempt may take. Default: 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout;
        self
    }

    /// How long one call may take, and how long a subscription waits for the server's first answer. Default: 10 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.request_timeout = timeout;
        self
    }

    /// How long an ack is waited for. Default: 5 s.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.limits.ack_timeout = timeout;
        self
    }

    /// For how long a subscription that lost its server tries to go on elsewhere. Default: 30 s.
    pub fn resubscribe_window(mut self, window: Duration) -> Self {
        self.limits.resubscribe_window = window;
        self
    }

    /// The largest answer that is accepted from a server, in bytes. Default: 16 MiB.
    pub fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.message_bytes_max = bytes;
        self
    }

    /// How much [`Client::publish`] and producers made without a window of their own may have outstanding.
    pub fn window(mut self, window: ProducerWindow) -> Self {
        self.limits.window = window;
        self
    }

    /// Connects to the first of the addresses that answers and learns the cluster from it.
    ///
    /// # Errors
    /// When no address answers, or an address or TLS setting makes no sense.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let seeds = self.addresses.iter().map(|text| Address::parse(text)).collect::<Result<Vec<_>, _>>()?;
        if seeds.is_empty() {
            return Err(ConnectError::NoAddresses);
        }
        let connections = Connections::new(self.tls.as_ref(), &self.limits)?;
        Client::connect(seeds, connections, self.limits).await
    }

    #[cfg(test)]
    pub(crate) fn impatient(mut self) -> Self {
        let quick = |tries_max| RetryPlan { tries_max, pause: Duration::from_millis(1), pause_step: Duration::ZERO };
        self.limits.leader_retries = quick(RetryPlan::LEADER.tries_max);
        self.limits.any_retries = quick(RetryPlan::ANY.tries_max);
        self
    }
}

#[cfg(test)]
mod tests;
