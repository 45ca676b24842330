//! One of three servers goes, killed or asked to stop, while all partitions are published to: how long that is felt.
//!
//! Figures without a reference: what they are made of is time-outs, not work. A third of all partitions is led by each server;
//! publishers write to some of those of the one that goes, one message after the other, each until it is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use liftbridge_client::{AckPolicy, Client, Outgoing, PartitionId};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::{create, in_sync, number_of, start_cluster};
use crate::figures::to_f64;
use crate::process::ServerProcess;
use crate::table::{Bound, Row, Unit};
use crate::{Failure, Scale, directory};

const STREAM: &str = "led";
const REPLICAS: u32 = 3;
/// Partitions of the server that goes which are published to.
const PUBLISHED: usize = 8;
/// How long is published before the server goes.
const BEFORE: Duration = Duration::from_secs(1);
/// How long a publisher waits for an ack, and before it tries again what failed.
const ACK_TIME_MAX: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// The longest that is waited for anything.
const TIME_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Measures a kill and a stop.
///
/// # Errors
/// When servers do not become a cluster, or partitions stay without a leader.
pub(super) fn measure(scale: &Scale) -> Result<Vec<Row>, Failure> {
    let killed = leave(scale.led_partitions, ServerProcess::kill)?;
    let stopped = leave(scale.led_partitions, ServerProcess::terminate)?;
    let led = killed.led;
    Ok(vec![
        Row::new(format!("cluster: a server that leads {led} is killed, no ack for"), killed.pause_s, Unit::Seconds)
            .bound(Bound::AtMost(3.0)),
        Row::new(format!("cluster: the {led} partitions are all led again after"), killed.led_again_s, Unit::Seconds)
            .bound(Bound::AtMost(5.0)),
        Row::new(
            format!("cluster: a server that leads {} is stopped, no ack for", stopped.led),
            stopped.pause_s * 1e3,
            Unit::Milliseconds,
        )
        .bound(Bound::AtMost(500.0)),
        Row::new("cluster: publishes that fail meanwhile", stopped.failed, Unit::Count).bound(Bound::AtMost(0.0)),
    ])
}

/// What it was like that a server left.
struct Left {
    /// Partitions it led.
    led: usize,
    /// The longest time in which one of its partitions gave no ack.
    pause_s: f64,
    /// From when it was to go until others led all its partitions.
    led_again_s: f64,
    /// Publishes that failed.
    failed: f64,
}

/// Starts a cluster and has one server leave it.
fn leave(led: u32, go: impl FnOnce(ServerProcess) -> Result<(), Failure>) -> Result<Left, Failure> {
    let directory = directory::scratch()?;
    let runtime = Runtime::new()?;
    let mut cluster = start_cluster(directory.path())?;
    let addresses: Vec<String> = cluster.iter().map(|server| server.address().to_string()).collect();
    let client = runtime.block_on(Client::builder(addresses.clone()).connect())?;
    runtime.block_on(create(&client, STREAM, led * REPLICAS, REPLICAS))?;
    runtime.block_on(in_sync(&client, STREAM, 3))?;
    let metadata = runtime.block_on(client.fetch_metadata(&[STREAM]))?;
    let partitions = || metadata.streams.iter().flat_map(|stream| &stream.partitions);
    // The last one: the founder may decide about metadata, and another one is elected for that at the same time.
    let leaving = cluster.len() - 1;
    let is_leaving = |id: &str| number_of(id, &metadata, &cluster).is_ok_and(|number| number == leaving);
    let id = metadata.brokers.iter().find(|broker| is_leaving(&broker.id)).ok_or("a server is unknown")?.id.clone();
    let mine: Vec<PartitionId> =
        partitions().filter(|partition| partition.leader.as_ref() == Some(&id)).map(|partition| partition.id).collect();

    let over = watch::Sender::new(false);
    let failed = Arc::new(AtomicU64::new(0));
    let servers = addresses.iter().take(leaving).cloned().collect::<Vec<_>>();
    let publishing: Vec<_> = mine
        .iter()
        .take(PUBLISHED)
        .map(|partition| {
            let publisher = publish(addresses.clone(), *partition, Arc::clone(&failed), over.subscribe());
            runtime.spawn(publisher)
        })
        .collect();
    std::thread::sleep(BEFORE);
    let begun = Instant::now();
    let server = cluster.remove(leaving);
    let going = std::thread::scope(|scope| {
        let led_again = scope.spawn(|| runtime.block_on(led_by_others(&servers, &id)));
        go(server)?;
        led_again.join().map_err(|_| "watching the leaders failed")?
    });
    let led_again = going?;
    std::thread::sleep(BEFORE);
    over.send_replace(true);
    let mut pause = Duration::ZERO;
    for acks in runtime.block_on(try_join_all(publishing))? {
        pause = pause.max(longest_gap(&acks?, begun)?);
    }
    Ok(Left {
        led: mine.len(),
        pause_s: pause.as_secs_f64(),
        led_again_s: led_again.saturating_duration_since(begun).as_secs_f64(),
        failed: to_f64(failed.load(Ordering::Relaxed)),
    })
}

/// Publishes to one partition until it is over; when each message was acknowledged.
async fn publish(
    servers: Vec<String>,
    partition: PartitionId,
    failed: Arc<AtomicU64>,
    over: watch::Receiver<bool>,
) -> Result<Vec<Instant>, Failure> {
    let client = Client::builder(servers).ack_timeout(ACK_TIME_MAX).request_timeout(ACK_TIME_MAX).connect().await?;
    let mut acks = Vec::new();
    while !*over.borrow() {
        let message = Outgoing::new("on").partition(partition).ack(AckPolicy::All);
        match client.publish(STREAM, message).await {
            Ok(_) => acks.push(Instant::now()),
            Err(_) => {
                failed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
    Ok(acks)
}

/// When servers that stay first said that others than `id` lead everything.
async fn led_by_others(servers: &[String], id: &str) -> Result<Instant, Failure> {
    let client = Client::builder(servers.iter().cloned()).connect().await?;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let until = Instant::now() + TIME_MAX;
    while Instant::now() < until {
        looks.tick().await;
        let Ok(metadata) = client.fetch_metadata(&[STREAM]).await else { continue };
        let mut partitions = metadata.streams.iter().flat_map(|stream| &stream.partitions).peekable();
        let others_lead = |leader: &Option<String>| leader.as_ref().is_some_and(|leader| leader != id);
        if partitions.peek().is_some() && partitions.all(|partition| others_lead(&partition.leader)) {
            return Ok(Instant::now());
        }
    }
    Err("partitions stay without a leader".into())
}

/// The longest time between two acks, of which the later one came after `begun`.
fn longest_gap(acks: &[Instant], begun: Instant) -> Result<Duration, Failure> {
    let gaps = acks.windows(2).filter(|pair| pair[1] > begun).map(|pair| pair[1] - pair[0]);
    Ok(gaps.max().ok_or("nothing was acknowledged any more")?)
}
