//! Accepting connections: how many, how they are encrypted, and what becomes of those that are too many.
//!
//! Owns the accept loop, which never waits for a client. It never knows what is served on a connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::connection::Connection;
use crate::lifetime::Lifetime;
use crate::metrics::{CONNECTIONS_REFUSED, Counted};
use crate::tls::{Protocol, Tls};

/// How long a TLS handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// How long accepting rests after the system could not hand out a connection, for example for want of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on `{address}` for {purpose}: {error}")]
pub struct BindError {
    /// The address.
    pub address: String,
    /// What was to be served there.
    pub purpose: &'static str,
    /// Why not.
    #[source]
    pub error: io::Error,
}

/// What is served on a listener's connections.
pub(crate) trait Serve: Clone + Send + Sync + 'static {
    /// Serves one connection to its end, or until `lifetime` says so.
    fn serve(&self, connection: Connection, lifetime: Lifetime) -> impl Future<Output = ()> + Send;
}

/// What a listener is for and how many it lets in.
#[derive(Clone, Debug)]
pub(crate) struct ListenerConfig {
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) connections_max: usize,
    /// What a client that is one too many is told before it is hung up on, where nothing is encrypted.
    pub(crate) refusal: &'static [u8],
    pub(crate) tls: Option<Arc<Tls>>,
}

/// A bound address.
#[derive(Debug)]
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    config: ListenerConfig,
    free: Arc<Semaphore>,
}

impl Listener {
    /// Binds `address`; from then on clients queue until [`Listener::run`] lets them in.
    pub(crate) async fn bind(address: &str, config: ListenerConfig) -> Result<Self, BindError> {
        let failed = |error| BindError { address: address.to_owned(), purpose: config.name, error };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        let free = Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)));
        Ok(Self { tcp, address, config, free })
    }

    /// The address that was bound, with its real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets connections in until the server stops.
    pub(crate) async fn run(self, lifetime: Lifetime, server: impl Serve) {
        loop {
            let accepted = tokio::select! {
                () = lifetime.stopping.cancelled() => return,
                accepted = self.tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &lifetime, &server),
                Err(error) => {
                    warn!(listener = self.config.name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, lifetime: &Lifetime, server: &impl Serve) {
        let name = self.config.name;
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            counter!(CONNECTIONS_REFUSED, "listener" => name, "reason" => "limit").increment(1);
            debug!(listener = name, %peer, limit = self.config.connections_max, "too many connections");
            if self.config.tls.is_none() {
                // Best effort: a client whose socket is full already does not get to know.
                let _ = stream.try_write(self.config.refusal);
            }
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(listener = name, %peer, %error, "cannot turn off Nagle's algorithm");
        }
        let (server, tls, protocol) = (server.clone(), self.config.tls.clone(), self.config.protocol);
        let serving = lifetime.clone();
        lifetime.tasks.spawn(async move {
            let _permit = permit;
            let stopping = serving.stopping.clone();
            let opened = match tls {
                None => Some(Connection::plain(stream, stopping)),
                Some(tls) => {
                    let shaken = stopping.run_until_cancelled(handshake(stream, &tls, protocol, name, peer)).await;
                    shaken.flatten().map(|stream| Connection::encrypted(stream, stopping))
                }
            };
            if let Some(connection) = opened {
                let _counted = Counted::connection(name);
                server.serve(connection, serving).await;
            }
        });
    }
}

async fn handshake(
    stream: TcpStream,
    tls: &Tls,
    protocol: Protocol,
    listener: &'static str,
    peer: SocketAddr,
) -> Option<TlsStream<TcpStream>> {
    let reason = match tokio::time::timeout(HANDSHAKE_TIME_MAX, tls.acceptor(protocol).accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => {
            debug!(listener, %peer, %error, "TLS handshake failed");
            "handshake_failed"
        }
        Err(_) => "handshake_timeout",
    };
    counter!(CONNECTIONS_REFUSED, "listener" => listener, "reason" => reason).increment(1);
    None
}

#[cfg(test)]
mod tests;
