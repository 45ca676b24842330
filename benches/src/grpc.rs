//! PublishAsync and Subscribe through gRPC, against a server that answers the same messages and does nothing. Owns the
//! client that both servers get.

mod load;

use std::path::Path;

use tokio::runtime::Runtime;

use crate::comparison::{Comparison, Effort, take_turns};
use crate::process::Server;

pub use load::{publish_pipelined, publish_synced};

/// Size of a message's value.
pub const VALUE_BYTES: usize = 256;
/// Messages per turn, over all connections.
const MESSAGES: usize = 200_000;
/// Less than this of what gRPC alone does would be ours to explain.
const AT_LEAST: f64 = 0.6;

/// Both directions, over one connection and over four.
///
/// # Panics
/// When a server does not start or answer.
pub fn measure(effort: Effort) -> Vec<Comparison> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let runtime = Runtime::new().expect("a runtime");
    let mut comparisons = Vec::new();
    for connections in [1, 4] {
        comparisons.extend(measure_with(
            effort,
            connections,
            &directory.path().join(connections.to_string()),
            &runtime,
        ));
    }
    comparisons
}

fn measure_with(effort: Effort, connections: usize, data: &Path, runtime: &Runtime) -> [Comparison; 2] {
    let (ours, nothing) = (Server::liftbridged(data), Server::doing_nothing());
    let each = (effort.of(MESSAGES) / connections).max(1);
    runtime.block_on(load::create(&ours.address, connections));
    let publish = |server: &Server| runtime.block_on(load::publish_all(&server.address, connections, each));
    let (mut our_rate, mut bare_rate) = take_turns(effort, || publish(&ours), || publish(&nothing));
    let what = |direction: &str| format!("grpc: {direction} 256 B, {connections} connection(s)");
    let publishing = Comparison::of_rates(&what("PublishAsync"), "messages/s", our_rate, bare_rate, AT_LEAST);
    let subscribe = |server: &Server| runtime.block_on(load::subscribe_all(&server.address, connections, each));
    (our_rate, bare_rate) = take_turns(effort, || subscribe(&ours), || subscribe(&nothing));
    let subscribing = Comparison::of_rates(&what("Subscribe"), "messages/s", our_rate, bare_rate, AT_LEAST);
    [publishing, subscribing]
}
