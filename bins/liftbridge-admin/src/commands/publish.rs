//! `publish`: one message, or one per line or CSV record. Owns what is sent where and the count of acks; `input` owns reading.

mod csv_records;
mod input;
mod lines;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ArgGroup;
use liftbridge_client::{AckFuture, AckPolicy, Outgoing, PartitionId, Partitioner, Producer, PublishError, RoundRobin};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::arguments::ConnectionArguments;
use crate::commands::publish::input::{Entry, Input};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress;
use crate::values;

/// Acks on their way to be counted. What is outstanding is bounded by the producer's window.
const ACKS_QUEUED_MAX: usize = 4096;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "liftbridge-admin publish [OPTIONS] <STREAM> <MESSAGE|--stdin|--file <FILE>>",
    group = ArgGroup::new("source").required(true).args(["message", "stdin", "file"]),
    group = ArgGroup::new("placement").args(["partition", "by_key", "round_robin"])
)]
pub(crate) struct PublishArguments {
    /// Stream to publish to.
    stream: String,
    /// The message.
    message: Option<String>,
    /// Publish each line of standard input.
    #[arg(long)]
    stdin: bool,
    /// Publish each line of a file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The lines are CSV with a header row, which is not published. Each record is published as it stands.
    #[arg(long, conflicts_with = "message")]
    csv: bool,
    /// Take the key of each CSV record from this column.
    #[arg(long, requires = "csv", conflicts_with = "key", value_name = "NAME")]
    key_column: Option<String>,
    /// Key of every message.
    #[arg(long)]
    key: Option<String>,
    /// Header of every message; repeat it for more.
    #[arg(long = "header", value_parser = values::header, value_name = "NAME=VALUE")]
    headers: Vec<(String, String)>,
    /// Publish to this partition.
    #[arg(long, value_parser = values::partition, value_name = "NUMBER")]
    partition: Option<PartitionId>,
    /// Publish to the partition that belongs to the key. The default for messages with a key.
    #[arg(long)]
    by_key: bool,
    /// Publish to one partition after the other. The default for messages without a key.
    #[arg(long)]
    round_robin: bool,
    /// What to wait for: `leader`, `all` in-sync replicas, or `none`.
    #[arg(long, default_value = "leader", value_parser = values::ack_policy)]
    ack: AckPolicy,
}

#[derive(Debug, Serialize)]
struct PublishedView {
    published: u64,
    acknowledged: u64,
    bytes: u64,
    seconds: f64,
    messages_per_second: f64,
    ack: &'static str,
}

pub(crate) async fn run(
    arguments: PublishArguments,
    connection: &ConnectionArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut input = Input::open(&arguments)?;
    let client = connection.connect().await?;
    let bar = if arguments.message.is_none() { progress::messages(None) } else { indicatif::ProgressBar::hidden() };
    let started = Instant::now();
    let (acks, queue) = mpsc::channel(ACKS_QUEUED_MAX);
    let counting = tokio::spawn(count_acks(queue, bar.clone()));
    let mut sent = Sent::default();
    let stopped = publish_all(&arguments, &mut input, &client.producer(), &acks, &mut sent).await;
    drop(acks);
    // Counting neither panics nor is it aborted; if it were, nothing would count as acknowledged.
    let counted = counting.await.unwrap_or_default();
    client.close().await;
    bar.finish_and_clear();
    let view = PublishedView::new(&sent, &counted, started.elapsed(), arguments.ack);
    output.result(&view, || view.text())?;
    match counted.first_error {
        // Messages behind a hopeless one were sent but their acks not waited for.
        Some(first) => {
            let failed = (sent.messages - counted.acknowledged).max(counted.failed);
            let rest_unsent = sent.gave_up || stopped.is_err();
            Err(Failure::NotAcknowledged { failed, attempted: sent.messages, first, rest_unsent })
        }
        None => stopped,
    }
}

/// What was handed over.
#[derive(Debug, Default)]
struct Sent {
    messages: u64,
    bytes: u64,
    /// Whether there was more.
    gave_up: bool,
}

/// What became of it.
#[derive(Debug, Default)]
struct Counted {
    acknowledged: u64,
    failed: u64,
    first_error: Option<PublishError>,
}

async fn publish_all(
    arguments: &PublishArguments,
    input: &mut Input,
    producer: &Producer,
    acks: &mpsc::Sender<AckFuture>,
    sent: &mut Sent,
) -> Result<(), Failure> {
    let turns = RoundRobin::new();
    while let Some(entry) = input.next().await? {
        let bytes = u64::try_from(entry.value.len()).unwrap_or(u64::MAX);
        let message = arguments.message_from(entry, &turns);
        let ack = producer.publish(&arguments.stream, message).await?;
        sent.messages += 1;
        sent.bytes += bytes;
        // The counter is gone when the stream takes no more messages at all.
        if acks.send(ack).await.is_err() {
            sent.gave_up = true;
            break;
        }
    }
    Ok(())
}

/// Counts until nothing follows, or until it is clear that no other message will fare better.
async fn count_acks(mut queue: mpsc::Receiver<AckFuture>, bar: indicatif::ProgressBar) -> Counted {
    let mut counted = Counted::default();
    while let Some(ack) = queue.recv().await {
        match ack.await {
            Ok(_) => counted.acknowledged += 1,
            Err(error) => {
                let hopeless = concerns_all(&error);
                counted.failed += 1;
                counted.first_error.get_or_insert(error);
                if hopeless {
                    break;
                }
            }
        }
        bar.inc(1);
    }
    counted
}

fn concerns_all(error: &PublishError) -> bool {
    matches!(
        error,
        PublishError::NotFound { .. }
            | PublishError::Readonly { .. }
            | PublishError::PermissionDenied { .. }
            | PublishError::Refused(_)
            | PublishError::Closed
    )
}

fn per_second(count: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let count = count as f64;
    count / seconds
}

impl PublishedView {
    fn new(sent: &Sent, counted: &Counted, elapsed: Duration, ack: AckPolicy) -> Self {
        let seconds = elapsed.as_secs_f64().max(f64::EPSILON);
        let taken = counted.acknowledged;
        Self {
            published: sent.messages,
            acknowledged: if ack == AckPolicy::None { 0 } else { taken },
            bytes: sent.bytes,
            seconds,
            messages_per_second: per_second(taken, seconds),
            ack: values::ack_policy_name(ack),
        }
    }

    fn text(&self) -> String {
        let Self { published, acknowledged, bytes, seconds, messages_per_second, ack } = self;
        let acks = if *ack == "none" { String::new() } else { format!(", {acknowledged} acknowledged") };
        format!(
            "sent {published} messages{acks} (ack: {ack}), {bytes} bytes in {seconds:.3} s, {messages_per_second:.0} messages/s"
        )
    }
}

impl PublishArguments {
    fn message_from(&self, entry: Entry, turns: &RoundRobin) -> Outgoing {
        let key = entry.key.or_else(|| self.key.clone().map(Into::into));
        let partitioner = match self.partition {
            Some(partition) => Partitioner::Fixed(partition),
            None if self.by_key || (key.is_some() && !self.round_robin) => Partitioner::ByKey,
            None => Partitioner::RoundRobin(turns.clone()),
        };
        let mut message = Outgoing::new(entry.value).ack(self.ack).partitioner(partitioner);
        if let Some(key) = key {
            message = message.key(key);
        }
        for (name, value) in &self.headers {
            message = message.header(name.clone(), value.clone());
        }
        message
    }
}

#[cfg(test)]
mod tests;
