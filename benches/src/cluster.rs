//! Three servers beside one: what it costs that every message is on three disks before it is acknowledged.
//!
//! All servers share this machine and its one disk, so the ratio is of what a message costs in all, not of what three
//! machines would give.

mod catch_up;
mod failover;

use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;
use liftbridge_client::{Client, ClusterMetadata, NewStream, ReplicationFactor};
use tokio::runtime::Runtime;

use crate::figures::medians;
use crate::process::ServerProcess;
use crate::publish::{Pace, STREAM, publish_from_all};
use crate::table::{Bound, Row, Unit};
use crate::{Failure, Scale, directory};

/// Publishers that each wait for `ALL`, each with a connection of its own.
const PUBLISHERS: usize = 256;
/// The longest that is waited for all replicas to be in sync.
const IN_SYNC_TIME_MAX: Duration = Duration::from_secs(120);
/// A stream that nobody uses.
const IDLE_STREAM: &str = "idle";
const IDLE_PARTITIONS: u32 = 1000;

/// Measures 256 publishers of 1 KiB with one replica and with three.
///
/// # Errors
/// When servers do not become a cluster or refuse a message.
pub fn measure(scale: &Scale) -> Result<Vec<Row>, Failure> {
    let directory = directory::scratch()?;
    let runtime = Runtime::new()?;
    let single = ServerProcess::liftbridged(&directory.path().join("single"))?;
    let cluster = start_cluster(directory.path())?;
    let of_single = runtime.block_on(connect(&[single.address().to_string()], 1))?;
    let addresses: Vec<String> = cluster.iter().map(|server| server.address().to_string()).collect();
    let of_cluster = runtime.block_on(connect(&addresses, 3))?;

    let [rate, p99, single_rate, single_p99] = medians(scale.rounds, || {
        let ours: Pace = runtime.block_on(publish_from_all(&of_cluster, scale.publish_time))?;
        let one: Pace = runtime.block_on(publish_from_all(&of_single, scale.publish_time))?;
        Ok([ours.rate, ours.p99_ms, one.rate, one.p99_ms])
    })?;
    let Some(client) = of_cluster.first() else { return Err("there are no publishers".into()) };
    runtime.block_on(create(client, IDLE_STREAM, IDLE_PARTITIONS, 3))?;
    let idle = busy_while_idle(&cluster, scale.idle_time)?;
    drop((of_cluster, of_single, cluster, single));
    let mut rows = vec![
        Row::new("cluster: 256 wait for ALL on three, 1 KiB", rate, Unit::MessagesPerSecond)
            .beside(single_rate)
            .bound(Bound::AtLeast(0.25)),
        Row::new("cluster: 256 wait for ALL on three, p99", p99, Unit::Milliseconds)
            .beside(single_p99)
            .bound(Bound::AtMost(4.0)),
        Row::new("cluster: 1000 idle partitions on three, processor in 10s", idle, Unit::Milliseconds)
            .bound(Bound::AtMost(100.0)),
    ];
    rows.push(catch_up::measure(scale)?);
    rows.extend(failover::measure(scale)?);
    Ok(rows)
}

/// The server with this id, among these; by its port, which nobody else has.
fn number_of(id: &str, metadata: &ClusterMetadata, servers: &[ServerProcess]) -> Result<usize, Failure> {
    let port = metadata.brokers.iter().find(|broker| broker.id == id).map(|broker| broker.port);
    let number = servers.iter().position(|server| Some(server.address().port()) == port);
    Ok(number.ok_or_else(|| format!("no server is `{id}`"))?)
}

/// What the busiest of the servers takes of the processors in ten seconds, while nobody uses them.
fn busy_while_idle(servers: &[ServerProcess], time: Duration) -> Result<f64, Failure> {
    let before = servers.iter().map(ServerProcess::processor_time).collect::<Result<Vec<_>, _>>()?;
    std::thread::sleep(time);
    let mut busiest = Duration::ZERO;
    for (server, before) in servers.iter().zip(before) {
        busiest = busiest.max(server.processor_time()?.saturating_sub(before));
    }
    Ok(busiest.as_secs_f64() * 1e3 * 10.0 / time.as_secs_f64())
}

fn start_cluster(directory: &Path) -> Result<Vec<ServerProcess>, Failure> {
    let founder = ServerProcess::member(&directory.join("member-0"), None)?;
    let seed = founder.peer_address()?;
    let mut servers = vec![founder];
    for number in 1..3 {
        servers.push(ServerProcess::member(&directory.join(format!("member-{number}")), Some(seed))?);
    }
    Ok(servers)
}

async fn connect(servers: &[String], replicas: u32) -> Result<Vec<Client>, Failure> {
    let connecting = (0..PUBLISHERS).map(|_| Client::builder(servers.iter().cloned()).connect());
    let clients = try_join_all(connecting).await?;
    let Some(client) = clients.first() else { return Err("there are no publishers".into()) };
    create(client, STREAM, 1, replicas).await?;
    Ok(clients)
}

/// Creates a stream with all its replicas in sync.
async fn create(client: &Client, name: &str, partitions: u32, replicas: u32) -> Result<(), Failure> {
    let stream = NewStream::new(name).partitions(partitions);
    client.create_stream(stream.replication_factor(ReplicationFactor::Count(replicas))).await?;
    let wanted = usize::try_from(replicas)?;
    in_sync(client, name, wanted).await
}

/// Waits until every partition of a stream has so many replicas in sync.
async fn in_sync(client: &Client, name: &str, wanted: usize) -> Result<(), Failure> {
    let in_sync = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        loop {
            looks.tick().await;
            let metadata = client.fetch_metadata(&[name]).await?;
            let partitions = metadata.streams.iter().flat_map(|stream| &stream.partitions);
            let mut isr_counts = partitions.map(|partition| partition.isr.len()).peekable();
            if isr_counts.peek().is_some() && isr_counts.all(|count| count == wanted) {
                return Ok::<_, Failure>(());
            }
        }
    };
    tokio::time::timeout(IN_SYNC_TIME_MAX, in_sync).await.map_err(|_| "the replicas never were all in sync")?
}
