//! Publishing and subscribing through gRPC, beside a server that answers the same messages without doing anything.
//!
//! Both servers are processes of their own, and the client, which shares the machine with them, does as little as it can
//! and the same for both. So the ratio is one of whole systems: what a user gets of what the transport would give.

mod connection;
mod publish;
mod subscribe;

use std::time::Instant;

use futures_util::future::try_join_all;
use tokio::runtime::Runtime;

use crate::figures::{medians, per_second};
use crate::process::ServerProcess;
use crate::table::{Bound, Row, Unit};
use crate::{Failure, Scale, directory};
use connection::Connection;

/// Most connections at once; each has a partition to itself.
const CONNECTIONS_MAX: i32 = 4;
const BOUND: Bound = Bound::AtLeast(0.6);

/// Measures one connection and four.
///
/// # Errors
/// When a server does not start or refuses anything.
pub fn measure(scale: &Scale) -> Result<Vec<Row>, Failure> {
    let directory = directory::scratch()?;
    let runtime = Runtime::new()?;
    let servers = [ServerProcess::liftbridged(directory.path())?, ServerProcess::noop()?];
    let connections = runtime.block_on(prepare(&servers, scale.grpc_messages))?;
    let mut rows = Vec::new();
    for count in [1, connections.len()] {
        let connections = &connections[..count];
        let [ours, reference] = medians(scale.rounds, || {
            let round = |server: usize| runtime.block_on(publish_round(connections, server, scale.grpc_messages));
            Ok([round(0)?, round(1)?])
        })?;
        rows.push(row("PublishAsync", count, ours, reference));
    }
    for count in [1, connections.len()] {
        let connections = &connections[..count];
        let [ours, reference] = medians(scale.rounds, || {
            let round = |server: usize| runtime.block_on(subscribe_round(connections, server, scale.grpc_messages));
            Ok([round(0)?, round(1)?])
        })?;
        rows.push(row("Subscribe", count, ours, reference));
    }
    Ok(rows)
}

fn row(call: &str, count: usize, ours: f64, reference: f64) -> Row {
    let plural = if count == 1 { "" } else { "s" };
    let name = format!("grpc: {call}, 256 B, {count} connection{plural}");
    Row::new(name, ours, Unit::MessagesPerSecond).beside(reference).bound(BOUND)
}

/// Connections to both servers, one pair for each partition, and what will be read from it.
async fn prepare(servers: &[ServerProcess; 2], messages: u64) -> Result<Vec<[Connection; 2]>, Failure> {
    let mut connections = Vec::new();
    for partition in 0..CONNECTIONS_MAX {
        let [ours, noop] = servers.each_ref().map(|server| Connection::open(server.address(), partition));
        connections.push([ours.await?, noop.await?]);
    }
    for connection in connections.iter().flatten().take(2) {
        connection.create_streams(CONNECTIONS_MAX).await?;
    }
    for [ours, _] in &connections {
        publish::publish(ours.clone(), connection::READ, messages).await?;
    }
    Ok(connections)
}

/// Messages acknowledged each second, over all connections.
async fn publish_round(connections: &[[Connection; 2]], server: usize, messages: u64) -> Result<f64, Failure> {
    let start = Instant::now();
    let tasks = connections
        .iter()
        .map(|pair| tokio::spawn(publish::publish(pair[server].clone(), connection::WRITTEN, messages)));
    for outcome in try_join_all(tasks).await? {
        outcome?;
    }
    Ok(per_second(messages * connections.len() as u64, start.elapsed()))
}

/// Messages received each second, over all connections.
async fn subscribe_round(connections: &[[Connection; 2]], server: usize, messages: u64) -> Result<f64, Failure> {
    let start = Instant::now();
    let tasks = connections.iter().map(|pair| tokio::spawn(subscribe::subscribe(pair[server].clone(), messages)));
    for outcome in try_join_all(tasks).await? {
        outcome?;
    }
    Ok(per_second(messages * connections.len() as u64, start.elapsed()))
}
