//! `bench`: how fast a cluster takes and delivers messages. Owns the workload's options; `latency` owns what is said about times.
//!
//! Closed loop: each publisher keeps a window of messages outstanding. Open loop (`--rate`): messages are due at fixed times, and
//! latency counts from when a message was due, not from when it could be sent, so that a server that stalls is not flattered.

mod latency;
mod load;
mod pacer;
mod publish;
mod subscribe;

use std::time::Duration;

use bytes::Bytes;
use clap::Subcommand;
use liftbridge_client::{Client, CreateStreamError, NewStream};

use crate::arguments::ConnectionArguments;
use crate::failure::Failure;
use crate::output::Output;
use crate::values;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure publishing: throughput, and the time until the ack.
    Publish(publish::PublishBenchArguments),
    /// Measure delivery: throughput from the beginning of the stream or, with --rate, the time from publish to receipt.
    Subscribe(subscribe::SubscribeBenchArguments),
}

pub(crate) async fn run(
    command: BenchCommand,
    connection: &ConnectionArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        BenchCommand::Publish(arguments) => publish::run(&arguments, connection, output).await,
        BenchCommand::Subscribe(arguments) => subscribe::run(&arguments, connection, output).await,
    }
}

/// The stream that is there for measurements.
const DEFAULT_STREAM: &str = "bench";

/// The stream that is measured.
#[derive(Clone, Copy, Debug)]
struct BenchStream {
    partitions: u32,
    /// Whether nobody else can have messages in it.
    is_ours: bool,
}

/// What both measurements need to know.
#[derive(Debug, clap::Args)]
struct WorkloadArguments {
    /// Stream to use; created when it does not exist, never deleted.
    #[arg(long, default_value = DEFAULT_STREAM)]
    stream: String,
    /// Partitions of the stream when it is created.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    partitions: u32,
    /// Size of each value.
    #[arg(long, default_value = "256", value_parser = message_size, value_name = "SIZE")]
    size: usize,
    /// Connections to spread over.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
}

impl WorkloadArguments {
    async fn connect(&self, connection: &ConnectionArguments) -> Result<Vec<Client>, Failure> {
        let mut clients = Vec::new();
        for _ in 0..self.connections {
            clients.push(connection.connect().await?);
        }
        Ok(clients)
    }

    /// Makes sure that the stream exists.
    async fn create_stream(&self, client: &Client) -> Result<BenchStream, Failure> {
        let stream = NewStream::new(&self.stream).partitions(self.partitions);
        match client.create_stream(stream).await {
            Ok(()) => return Ok(BenchStream { partitions: self.partitions, is_ours: true }),
            Err(CreateStreamError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let metadata = client.fetch_metadata(&[&self.stream]).await?;
        let stream = metadata.streams.first().ok_or_else(|| Failure::NoSuchStream { name: self.stream.clone() })?;
        let partitions = u32::try_from(stream.partitions.len()).unwrap_or(u32::MAX);
        Ok(BenchStream { partitions, is_ours: self.stream == DEFAULT_STREAM })
    }

    /// A value of the size asked for, which no compression makes smaller.
    fn value(&self) -> Bytes {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        });
        noise.take(self.size).collect()
    }
}

/// Largest value a bench sends, in bytes.
const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;

fn message_size(text: &str) -> Result<usize, String> {
    let size = values::size(text)?;
    if size > MESSAGE_BYTES_MAX {
        return Err(format!("at most {MESSAGE_BYTES_MAX} bytes"));
    }
    usize::try_from(size).map_err(|_| "too large".to_owned())
}

/// Messages and bytes a second.
#[derive(Debug, serde::Serialize)]
struct Throughput {
    messages: u64,
    seconds: f64,
    messages_per_second: f64,
    megabytes_per_second: f64,
}

impl Throughput {
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    fn new(messages: u64, bytes: u64, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64().max(f64::EPSILON);
        Self {
            messages,
            seconds,
            messages_per_second: messages as f64 / seconds,
            megabytes_per_second: bytes as f64 / 1e6 / seconds,
        }
    }

    fn text(&self) -> String {
        let Self { messages, seconds, messages_per_second, megabytes_per_second } = self;
        format!(
            "{messages} messages in {seconds:.3} s: {messages_per_second:.0} messages/s, {megabytes_per_second:.2} MB/s"
        )
    }
}
