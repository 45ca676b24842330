//! `bench publish`.

use std::time::{Duration, Instant};

use liftbridge_client::AckPolicy;
use serde::Serialize;

use crate::arguments::ConnectionArguments;
use crate::commands::bench::latency::LatencyView;
use crate::commands::bench::load::Load;
use crate::commands::bench::pacer::Extent;
use crate::commands::bench::{Throughput, WorkloadArguments};
use crate::failure::Failure;
use crate::output::Output;
use crate::values;

/// How long a bench runs that was given neither end.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct PublishBenchArguments {
    #[command(flatten)]
    workload: WorkloadArguments,
    /// Stop after so many messages.
    #[arg(long, visible_alias = "messages", value_name = "MESSAGES")]
    count: Option<u64>,
    /// Stop after so long. Default, without --count: 10s.
    #[arg(long, value_parser = values::duration, value_name = "TIME")]
    duration: Option<Duration>,
    /// Publishers, spread over the connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    publishers: u32,
    /// What to wait for: `leader`, `all` in-sync replicas, or `none`.
    #[arg(long, default_value = "leader", value_parser = values::ack_policy)]
    ack: AckPolicy,
    /// Open loop: messages a second altogether, whether the server keeps up or not.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "PER_SECOND")]
    rate: Option<u32>,
    /// Messages each publisher may have outstanding; 1 waits for each ack before the next message.
    #[arg(long, visible_alias = "batch", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..), value_name = "MESSAGES")]
    window: u32,
}

#[derive(Debug, Serialize)]
struct ReportView {
    stream: String,
    partitions: u32,
    ack: &'static str,
    size_bytes: usize,
    connections: u32,
    publishers: u32,
    window: u32,
    /// Messages a second of an open loop; none for a closed one.
    rate: Option<u32>,
    #[serde(flatten)]
    throughput: Throughput,
    errors: u64,
    /// From when a message was due (open loop) or offered (closed loop, waiting for the window included) to its ack.
    latency: Option<LatencyView>,
}

pub(super) async fn run(
    arguments: &PublishBenchArguments,
    connection: &ConnectionArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let workload = &arguments.workload;
    let clients = workload.connect(connection).await?;
    let partitions = workload.create_stream(&clients[0]).await?.partitions;
    let load = arguments.load();
    let started = Instant::now();
    let outcome = load.run(&clients).await?;
    let mut elapsed = started.elapsed();
    for client in clients {
        client.close().await;
    }
    let wants_acks = arguments.ack != AckPolicy::None;
    if !wants_acks {
        // Without acks, messages are out of the way only when the streams have ended.
        elapsed = started.elapsed();
    }
    let bytes = outcome.acknowledged * u64::try_from(workload.size).unwrap_or(u64::MAX);
    let report = ReportView {
        stream: workload.stream.clone(),
        partitions,
        ack: values::ack_policy_name(arguments.ack),
        size_bytes: workload.size,
        connections: workload.connections,
        publishers: arguments.publishers,
        window: arguments.window,
        rate: arguments.rate,
        throughput: Throughput::new(outcome.acknowledged, bytes, elapsed),
        errors: outcome.sent - outcome.acknowledged,
        latency: outcome.latencies.view().filter(|_| wants_acks),
    };
    output.result(&report, || report.text())?;
    match outcome.first_error {
        Some(first) => {
            Err(Failure::NotAcknowledged { failed: report.errors, attempted: outcome.sent, first, rest_unsent: false })
        }
        None => Ok(()),
    }
}

impl PublishBenchArguments {
    fn load(&self) -> Load {
        let duration_default = self.count.is_none().then_some(DURATION_DEFAULT);
        Load {
            stream: self.workload.stream.clone(),
            value: self.workload.value(),
            ack: self.ack,
            publishers: usize::try_from(self.publishers).unwrap_or(usize::MAX),
            window: self.window,
            rate: self.rate,
            extent: Extent { count: self.count, duration: self.duration.or(duration_default) },
            stamp: None,
        }
    }
}

impl ReportView {
    fn text(&self) -> String {
        let Self { stream, partitions, ack, size_bytes, connections, publishers, window, .. } = self;
        let mode = match self.rate {
            Some(rate) => format!("open loop at {rate}/s, latency from when a message was due"),
            None => format!("closed loop, window {window}, latency from when a message was offered"),
        };
        let latency = self.latency.as_ref().map_or_else(|| "not measured without acks".to_owned(), LatencyView::text);
        format!(
            "stream {stream}, partitions {partitions}, {size_bytes} B, connections {connections}, publishers {publishers}\n\
             {mode}\n\
             throughput (ack: {ack})  {}\n\
             latency (ack: {ack})     {latency}\n\
             errors                {}",
            self.throughput.text(),
            self.errors
        )
    }
}
