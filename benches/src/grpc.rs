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

use crate::figures::{medians, per_second, to_f64};
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
    for call in [Call::PublishAsync, Call::Subscribe] {
        for count in [1, connections.len()] {
            let measured = medians(scale.rounds, || {
                let round = |server: usize| {
                    let before = servers[server].processor_time()?;
                    let rate = runtime.block_on(call.round(&connections[..count], server, scale.grpc_messages))?;
                    let busy = servers[server].processor_time()?.saturating_sub(before);
                    Ok::<_, Failure>([rate, busy.as_secs_f64() * 1e6 / to_f64(scale.grpc_messages * count as u64)])
                };
                let ([ours, our_busy], [reference, reference_busy]) = (round(0)?, round(1)?);
                Ok([ours, reference, our_busy, reference_busy])
            })?;
            rows.extend(call.rows(count, measured));
        }
    }
    Ok(rows)
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
enum Call {
    PublishAsync,
    Subscribe,
}

impl Call {
    /// Messages acknowledged or received each second, over all connections.
    async fn round(self, connections: &[[Connection; 2]], server: usize, messages: u64) -> Result<f64, Failure> {
        let start = Instant::now();
        let tasks = connections.iter().map(|pair| {
            let connection = pair[server].clone();
            tokio::spawn(async move {
                match self {
                    Self::PublishAsync => publish::publish(connection, connection::WRITTEN, messages).await,
                    Self::Subscribe => subscribe::subscribe(connection, messages).await,
                }
            })
        });
        for outcome in try_join_all(tasks).await? {
            outcome?;
        }
        Ok(per_second(messages * connections.len() as u64, start.elapsed()))
    }

    /// The rates, and below them what a message takes of the server's processors, which says where a ratio comes from.
    fn rows(self, count: usize, [ours, reference, our_busy, reference_busy]: [f64; 4]) -> [Row; 2] {
        let plural = if count == 1 { "" } else { "s" };
        let name = format!("grpc: {self:?}, 256 B, {count} connection{plural}");
        let busy = Row::new(format!("{name}, server's processor time"), our_busy, Unit::Microseconds);
        let rate = Row::new(name, ours, Unit::MessagesPerSecond);
        [rate.beside(reference).bound(BOUND), busy.beside(reference_busy)]
    }
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
