//! This server's place among the servers of its cluster: bind, serve, stop. Owns the order of these; never what is said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::grpc;
use crate::lifetime::Lifetime;
use crate::listener::{BindError, Listener, ListenerConfig};
use crate::peer::dial::Dialer;
use crate::peer::greeting::GreetingService;
use crate::peer::handler::Handler;
use crate::peer::links::Links;
use crate::peer::local::LocalPeer;
use crate::peer::pairs::Pairs;
use crate::peer::secret::ClusterSecret;
use crate::peer::serve::PeerListenerServer;
use crate::peer::service::PeerService;
use crate::peer::session::Trust;
use crate::peer::tls::PeerTls;
use crate::tls::Protocol;

/// Most connections of other servers at once: far more than a cluster has.
const CONNECTIONS_MAX: usize = 1024;

/// Where other servers find this one, and how they are told from strangers.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Where other servers are listened for, `host:port`; port 0 lets the system choose.
    pub address: String,
    /// The name of the cluster people chose.
    pub namespace: String,
    /// What every server of the cluster knows.
    pub secret: Option<ClusterSecret>,
    /// The certificates servers show each other.
    pub tls: Option<Arc<PeerTls>>,
}

/// The listener for other servers and the links to them.
#[derive(Debug)]
pub struct PeerNetwork {
    /// Taken when serving begins.
    listener: Option<Listener>,
    address: SocketAddr,
    trust: Arc<Trust>,
    pub(crate) dialer: Dialer,
    lifetime: Lifetime,
}

impl PeerNetwork {
    /// Binds the listener. Other servers queue until this one serves them.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(config: PeerConfig) -> Result<Self, BindError> {
        let listener_config = ListenerConfig {
            name: "peer",
            protocol: Protocol::Http2,
            connections_max: CONNECTIONS_MAX,
            refusal: grpc::REFUSAL,
            tls: config.tls.as_ref().map(|tls| tls.listening()),
        };
        let listener = Listener::bind(&config.address, listener_config).await?;
        let lifetime = Lifetime::default();
        let trust = Trust { secret: config.secret.clone(), certificates: config.tls.is_some() };
        let dialer = Dialer {
            local: Arc::new(LocalPeer::new(config.namespace)),
            secret: config.secret,
            tls: config.tls,
            lifetime: lifetime.clone(),
        };
        Ok(Self { address: listener.address(), listener: Some(listener), trust: Arc::new(trust), dialer, lifetime })
    }

    /// Where other servers are listened for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to let other servers in and to hand what they say to `handler`. Does nothing the second time.
    pub(crate) fn serve(&mut self, handler: Arc<dyn Handler>) -> Option<Arc<Links>> {
        let listener = self.listener.take()?;
        let telling = Arc::clone(&handler);
        let pairs = Arc::new(Pairs::new(move |peer, event| telling.on_link(peer, event)));
        let links = Arc::new(Links::new(self.dialer.clone(), Arc::clone(&pairs)));
        let greeting = GreetingService { local: Arc::clone(&self.dialer.local), trust: Arc::clone(&self.trust) };
        let service = PeerService {
            handler,
            pairs,
            links: Arc::clone(&links),
            stopping: self.lifetime.stopping.clone(),
        };
        let server = PeerListenerServer::new(greeting, service);
        self.lifetime.tasks.spawn(listener.run(self.lifetime.clone(), server));
        Some(links)
    }

    /// Lets nobody in any more and ends what is open; what is not over after `grace` is cut off.
    pub async fn stop(&self, grace: Duration) {
        self.lifetime.end(grace).await;
    }
}
