//! This server's place among the servers of its cluster: bind, serve, stop. Owns the order of these; never what is said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_broker::Peers;

use crate::grpc;
use crate::lifetime::Lifetime;
use crate::listener::{BindError, Listener, ListenerConfig};
use crate::peer::dial::Dialer;
use crate::peer::greeting::GreetingService;
use crate::peer::inbox::Inbox;
use crate::peer::links::Links;
use crate::peer::local::LocalPeer;
use crate::peer::pairs::Pairs;
use crate::peer::peers::LinkedPeers;
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
    address: SocketAddr,
    pub(crate) peers: LinkedPeers,
    lifetime: Lifetime,
}

impl PeerNetwork {
    /// Binds the listener and lets other servers in. They are told to ask again until the broker has introduced itself and
    /// opened its inbox.
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
        let address = listener.address();
        let lifetime = Lifetime::default();
        let trust = Arc::new(Trust { secret: config.secret.clone(), certificates: config.tls.is_some() });
        let local = Arc::new(LocalPeer::new(config.namespace));
        let dialer =
            Dialer { local: Arc::clone(&local), secret: config.secret, tls: config.tls, lifetime: lifetime.clone() };
        let inbox = Inbox::default();
        let telling = inbox.clone();
        let pairs = Arc::new(Pairs::new(move |peer, event| telling.on_link(peer, event)));
        let links = Arc::new(Links::new(dialer, Arc::clone(&pairs)));
        let peers = LinkedPeers { local: Arc::clone(&local), inbox: inbox.clone(), links: Arc::clone(&links) };
        let service = PeerService { inbox, pairs, links, stopping: lifetime.stopping.clone() };
        let server = PeerListenerServer::new(GreetingService { local, trust, misled: Arc::default() }, service);
        lifetime.tasks.spawn(listener.run(lifetime.clone(), server));
        Ok(Self { address, peers, lifetime })
    }

    /// Where other servers are listened for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The broker's way to the other servers.
    pub fn peers(&self) -> Arc<dyn Peers> {
        Arc::new(self.peers.clone())
    }

    /// Lets nobody in any more and ends what is open; what is not over after `grace` is cut off.
    pub async fn stop(&self, grace: Duration) {
        self.lifetime.end(grace).await;
    }
}
