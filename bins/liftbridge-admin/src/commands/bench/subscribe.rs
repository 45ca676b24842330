//! `bench subscribe`: catching up with what is stored, or following what is being published.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use liftbridge_client::{AckPolicy, Client, PartitionId, Start, Stop, Subscribe, SubscribeError, Subscription};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::arguments::ConnectionArguments;
use crate::commands::bench::latency::{Latencies, LatencyView};
use crate::commands::bench::load::{Load, STAMP_BYTES, stamp_of};
use crate::commands::bench::pacer::Extent;
use crate::commands::bench::{BenchStream, Throughput, WorkloadArguments};
use crate::failure::Failure;
use crate::output::Output;
use crate::values;

/// How long the last messages of a live measurement are waited for.
const LAST_MESSAGES_WAIT: Duration = Duration::from_secs(5);
/// Messages outstanding while the stream is filled or fed.
const FILL_WINDOW: u32 = 1000;

#[derive(Debug, clap::Args)]
pub(crate) struct SubscribeBenchArguments {
    #[command(flatten)]
    workload: WorkloadArguments,
    /// Messages to read. When the stream has fewer, it is filled up first if it was created for that or is called `bench`. With
    /// --rate: messages to publish and receive.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Fill up a stream that is somebody's, too.
    #[arg(long)]
    fill: bool,
    /// Stop after so long even when messages are left.
    #[arg(long, value_parser = values::duration, value_name = "TIME")]
    duration: Option<Duration>,
    /// Subscribers, spread over the connections; each reads all partitions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    subscribers: u32,
    /// What publishers wait for while the stream is filled or fed.
    #[arg(long, default_value = "leader", value_parser = values::ack_policy)]
    ack: AckPolicy,
    /// Live: publish so many messages a second and measure the time from when each was due to its receipt.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "PER_SECOND")]
    rate: Option<u32>,
}

#[derive(Debug, Serialize)]
struct ReportView {
    stream: String,
    partitions: u32,
    size_bytes: usize,
    connections: u32,
    subscribers: u32,
    /// Messages published a second while reading; none when catching up.
    rate: Option<u32>,
    ack: &'static str,
    #[serde(flatten)]
    throughput: Throughput,
    latency: Option<LatencyView>,
}

/// What subscribers got.
#[derive(Debug)]
struct Received {
    messages: u64,
    bytes: u64,
    latencies: Latencies,
}

pub(super) async fn run(
    arguments: &SubscribeBenchArguments,
    connection: &ConnectionArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let workload = &arguments.workload;
    if arguments.rate.is_some() && workload.size < STAMP_BYTES {
        return Err(Failure::Usage(format!(
            "--rate writes a time into each message: --size is at least {STAMP_BYTES}"
        )));
    }
    let clients = workload.connect(connection).await?;
    let stream = workload.create_stream(&clients[0]).await?;
    let partitions = stream.partitions;
    let (received, elapsed) = match arguments.rate {
        Some(_) => arguments.follow(&clients, partitions).await?,
        None => arguments.catch_up(&clients, stream).await?,
    };
    let report = ReportView {
        stream: workload.stream.clone(),
        partitions,
        size_bytes: workload.size,
        connections: workload.connections,
        subscribers: arguments.subscribers,
        rate: arguments.rate,
        ack: values::ack_policy_name(arguments.ack),
        throughput: Throughput::new(received.messages, received.bytes, elapsed),
        latency: received.latencies.view(),
    };
    output.result(&report, || report.text())
}

impl SubscribeBenchArguments {
    fn load(&self, count: u64) -> Load {
        Load {
            stream: self.workload.stream.clone(),
            value: self.workload.value(),
            ack: self.ack,
            publishers: 1,
            window: FILL_WINDOW,
            rate: self.rate,
            extent: Extent { count: Some(count), duration: None },
            stamp: None,
        }
    }

    /// Reads what is stored, from the earliest message on.
    async fn catch_up(&self, clients: &[Client], stream: BenchStream) -> Result<(Received, Duration), Failure> {
        self.fill(&clients[0], stream.is_ours || self.fill).await?;
        let started = Instant::now();
        let readers = self.begin(clients, stream.partitions, Start::Earliest, Stop::Latest).await?;
        let until = self.duration.map(|duration| started + duration);
        let (_, never) = watch::channel(());
        let received = read_all(readers, self.count, until, None, never).await?;
        Ok((received, started.elapsed()))
    }

    /// Publishes until the stream has as many messages as are to be read, if it may be filled.
    async fn fill(&self, client: &Client, may_fill: bool) -> Result<(), Failure> {
        let metadata = client.fetch_metadata(&[&self.workload.stream]).await?;
        let stream =
            metadata.streams.first().ok_or_else(|| Failure::NoSuchStream { name: self.workload.stream.clone() })?;
        let mut stored = 0;
        for partition in &stream.partitions {
            stored += client.fetch_partition_metadata(&stream.name, partition.id).await?.high_watermark.get();
        }
        let missing = self.count.saturating_sub(stored);
        if missing > 0 && !may_fill {
            return Err(Failure::Usage(format!(
                "stream `{}` has {stored} messages, fewer than --count {}: ask for fewer, or have it filled with random \
                 ones by --fill",
                self.workload.stream, self.count
            )));
        }
        published(&self.load(missing), client).await
    }

    /// Reads what is being published.
    async fn follow(&self, clients: &[Client], partitions: u32) -> Result<(Received, Duration), Failure> {
        let readers = self.begin(clients, partitions, Start::NewOnly, Stop::OnCancel).await?;
        let started = Instant::now();
        let mut load = self.load(self.count);
        load.extent.duration = self.duration;
        load.stamp = Some(started);
        let (all_published, published_signal) = watch::channel(());
        let reading = tokio::spawn(read_all(readers, self.count, None, Some(started), published_signal));
        published(&load, &clients[0]).await?;
        drop(all_published);
        let received = reading.await.map_err(|error| Failure::Runtime(error.into()))??;
        Ok((received, started.elapsed()))
    }

    /// A subscription for each subscriber and partition.
    async fn begin(
        &self,
        clients: &[Client],
        partitions: u32,
        start: Start,
        stop: Stop,
    ) -> Result<Vec<Vec<Subscription>>, Failure> {
        let mut readers = Vec::new();
        for (_, client) in (0..self.subscribers).zip(clients.iter().cycle()) {
            let mut subscriptions = Vec::new();
            for partition in (0..partitions).filter_map(PartitionId::new) {
                let subscribe = Subscribe::new(&self.workload.stream).partition(partition).start(start).stop(stop);
                match client.subscribe(subscribe).await {
                    Ok(subscription) => subscriptions.push(subscription),
                    Err(SubscribeError::NothingToRead { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            readers.push(subscriptions);
        }
        Ok(readers)
    }
}

async fn published(load: &Load, client: &Client) -> Result<(), Failure> {
    let outcome = load.run(std::slice::from_ref(client)).await?;
    match outcome.first_error {
        Some(first) => {
            let failed = outcome.sent - outcome.acknowledged;
            Err(Failure::NotAcknowledged { failed, attempted: outcome.sent, first, rest_unsent: false })
        }
        None => Ok(()),
    }
}

/// Lets every reader read `count` messages, until `until`, or a while after `nothing_follows` was dropped.
async fn read_all(
    readers: Vec<Vec<Subscription>>,
    count: u64,
    until: Option<Instant>,
    stamped_since: Option<Instant>,
    nothing_follows: watch::Receiver<()>,
) -> Result<Received, Failure> {
    let mut tasks = JoinSet::new();
    for subscriptions in readers {
        let last_call = last_call(until, stamped_since.is_some(), nothing_follows.clone());
        tasks.spawn(read(subscriptions, count, stamped_since, last_call));
    }
    let mut total = Received { messages: 0, bytes: 0, latencies: Latencies::new() };
    for received in tasks.join_all().await {
        let received = received?;
        total.messages += received.messages;
        total.bytes += received.bytes;
        total.latencies.merge(&received.latencies);
    }
    Ok(total)
}

/// Resolves when reading has to end even though messages are missing.
async fn last_call(until: Option<Instant>, is_live: bool, mut nothing_follows: watch::Receiver<()>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None if is_live => {
            // Nothing is ever sent: this returns when the publisher is done.
            let _ = nothing_follows.changed().await;
            tokio::time::sleep(LAST_MESSAGES_WAIT).await;
        }
        None => std::future::pending().await,
    }
}

async fn read(
    subscriptions: Vec<Subscription>,
    count: u64,
    stamped_since: Option<Instant>,
    last_call: impl Future<Output = ()>,
) -> Result<Received, Failure> {
    let mut messages = futures_util::stream::select_all(subscriptions);
    let mut received = Received { messages: 0, bytes: 0, latencies: Latencies::new() };
    tokio::pin!(last_call);
    while received.messages < count {
        let next = tokio::select! {
            next = messages.next() => next,
            () = &mut last_call => None,
        };
        let Some(message) = next.transpose()? else { break };
        received.messages += 1;
        received.bytes += u64::try_from(message.value.len()).unwrap_or(u64::MAX);
        if let (Some(since), Some(stamp)) = (stamped_since, stamp_of(&message.value)) {
            received.latencies.record(since.elapsed().saturating_sub(stamp));
        }
    }
    Ok(received)
}

impl ReportView {
    fn text(&self) -> String {
        let Self { stream, partitions, size_bytes, connections, subscribers, ack, .. } = self;
        let mode = match self.rate {
            Some(rate) => format!("live at {rate}/s (ack: {ack}), latency from when a message was due to its receipt"),
            None => "catching up from the earliest message".to_owned(),
        };
        let latency =
            self.latency.as_ref().map(|latency| format!("\nlatency     {}", latency.text())).unwrap_or_default();
        format!(
            "stream {stream}, partitions {partitions}, {size_bytes} B, connections {connections}, subscribers {subscribers}\n\
             {mode}\n\
             throughput  {}{latency}",
            self.throughput.text()
        )
    }
}
