//! The servers of a cluster among themselves.
//!
//! Owns the listener other servers find this one at, the links to them, and how either end proves to be who it says. It never
//! knows what a message is about: what comes in is handed to the broker, in the domain's words, by [`convert`].

mod backoff;
mod convert;
mod dial;
mod forward;
mod forwarded;
mod greeting;
mod inbox;
mod link;
mod link_body;
mod links;
mod local;
mod network;
mod outbox;
mod pairs;
mod peers;
mod secret;
mod seldom;
mod serve;
mod service;
mod session;
mod tls;

use std::time::Duration;

use crate::http2::Http2Bounds;

pub use network::{PeerConfig, PeerNetwork};
pub use secret::{ClusterSecret, SECRET_BYTES_MIN, ShortSecret};
pub use tls::{PeerTls, PeerTlsFiles};

/// What a connection between two servers may hold. There are few of them and they carry everything, so windows are large;
/// each is watched closely, because a peer that is gone without a word costs an election or the in-sync replicas.
const BOUNDS: Http2Bounds = Http2Bounds {
    streams_max: 1024,
    stream_window_bytes: 8 * 1024 * 1024,
    connection_window_bytes: 16 * 1024 * 1024,
    send_buffer_bytes_max: 1024 * 1024,
    keepalive_interval: Duration::from_secs(2),
    keepalive_timeout: Duration::from_secs(2),
};

/// The largest message: the largest batch a log takes, 128 MiB, and room for what stands around it.
const MESSAGE_BYTES_MAX: usize = 129 * 1024 * 1024;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
