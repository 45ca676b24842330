//! The edges of the server: the Liftbridge API over gRPC, health and metrics over HTTP, and what servers say to each other.
//!
//! Owns listeners, connections, TLS, the conversion between wire and domain, and the gate every request passes. It never
//! knows files, segments or how anything is stored or agreed on: it hands requests to the broker and answers with what
//! the broker says.

mod connection;
mod gate;
mod grpc;
mod http;
mod http2;
mod lifetime;
mod listener;
mod metrics;
mod metrics_page;
mod peer;
mod server;
#[cfg(test)]
mod testing;
mod tls;

pub use listener::BindError;
pub use metrics_page::{MetricsPage, RecorderInstalled};
pub use peer::{ClusterSecret, PeerConfig, PeerNetwork, PeerTls, PeerTlsFiles, SECRET_BYTES_MIN, ShortSecret};
pub use server::{Server, ServerConfig};
pub use tls::{ClientAuthorities, Tls, TlsError, TlsFiles};
