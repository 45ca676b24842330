//! The server as its composer sees it: bind, serve, stop. Owns the order of these; never what is served.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use liftbridge_auth::Authorizer;
use liftbridge_broker::Broker;
use tokio::sync::Semaphore;

use crate::gate::Gate;
use crate::grpc::{self, ApiService, GrpcServer};
use crate::http::{self, HttpServer, HttpState};
use crate::lifetime::Lifetime;
use crate::listener::{BindError, Listener, ListenerConfig};
use crate::metrics_page::MetricsPage;
use crate::tls::{Protocol, Tls};

/// Where and within which bounds clients are served.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where the API is served, `host:port`; port 0 lets the system choose.
    pub grpc_address: String,
    /// Where health and metrics are served; `None` = nowhere.
    pub http_address: Option<String>,
    /// Certificates of both listeners; `None` = nothing is encrypted.
    pub tls: Option<Arc<Tls>>,
    /// Most API connections at once.
    pub connections_max: usize,
    /// Most bytes of key, value and headers in one message.
    pub message_bytes_max: usize,
    /// What is counted.
    pub metrics: MetricsPage,
}

/// The listeners and everything behind them.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    /// Taken when serving begins.
    grpc_listener: Option<Listener>,
    grpc_address: SocketAddr,
    grpc: Option<GrpcServer>,
    http_address: Option<SocketAddr>,
    broker: Arc<OnceLock<Broker>>,
    lifetime: Lifetime,
}

impl Server {
    /// Binds the listeners. From here on health and metrics are answered; API clients queue until [`Server::serve`].
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let grpc_config = ListenerConfig {
            name: "grpc",
            protocol: Protocol::Http2,
            connections_max: config.connections_max,
            refusal: grpc::REFUSAL,
            tls: config.tls.clone(),
        };
        let grpc_listener = Listener::bind(&config.grpc_address, grpc_config).await?;
        let mut server = Self {
            grpc_address: grpc_listener.address(),
            grpc_listener: Some(grpc_listener),
            grpc: None,
            http_address: None,
            broker: Arc::default(),
            lifetime: Lifetime::default(),
            config,
        };
        server.serve_http().await?;
        Ok(server)
    }

    async fn serve_http(&mut self) -> Result<(), BindError> {
        let Some(address) = &self.config.http_address else { return Ok(()) };
        let config = ListenerConfig {
            name: "http",
            protocol: Protocol::Http1,
            connections_max: http::CONNECTIONS_MAX,
            refusal: http::REFUSAL,
            tls: self.config.tls.clone(),
        };
        let listener = Listener::bind(address, config).await?;
        self.http_address = Some(listener.address());
        let server = HttpServer::new(HttpState {
            broker: Arc::clone(&self.broker),
            lifetime: self.lifetime.clone(),
            page: self.config.metrics.clone(),
            rendering: Arc::new(Semaphore::new(1)),
        });
        self.lifetime.tasks.spawn(listener.run(self.lifetime.clone(), server));
        Ok(())
    }

    /// Where the API is served.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Where health and metrics are served.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Begins to serve the API for this broker. Does nothing the second time.
    pub async fn serve(&mut self, broker: Broker, authorizer: Authorizer) {
        let Some(listener) = self.grpc_listener.take() else { return };
        let service = ApiService::new(broker.clone(), Gate::new(authorizer), self.lifetime.stopping.clone());
        let grpc = GrpcServer::new(service, self.config.message_bytes_max).await;
        self.grpc = Some(grpc.clone());
        self.lifetime.tasks.spawn(listener.run(self.lifetime.clone(), grpc));
        // Only now is it ready.
        self.broker.get_or_init(|| broker);
    }

    /// Begins to stop: health says so, no connection and no request is taken any more, what was begun goes on.
    /// Subscriptions go on until the broker ends them.
    pub async fn begin_stop(&self) {
        if let Some(grpc) = &self.grpc {
            grpc.set_not_serving().await;
        }
        self.lifetime.stopping.cancel();
    }

    /// Ends it. Clients that still are connected after `grace` are cut off.
    pub async fn stop(&self, grace: Duration) {
        self.begin_stop().await;
        self.lifetime.end(grace).await;
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
