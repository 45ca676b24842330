//! `streams create`, with every setting the API knows.

use std::time::Duration;

use liftbridge_client::{Client, NewStream, ReplicationFactor, SettingOverrides};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;
use crate::values;

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArguments {
    /// Name of the stream.
    #[arg(long)]
    name: String,
    /// Subject the stream is attached to; `*` stands for one token, a last `>` for one or more. Default: the name.
    #[arg(long)]
    subject: Option<String>,
    /// Load-balance group: of the streams of a group on one subject, one gets each message.
    #[arg(long, default_value = "")]
    group: String,
    /// Number of partitions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    partitions: u32,
    /// Servers that keep each partition: a number, or `all`.
    #[arg(long, default_value = "1", value_parser = replication_factor)]
    replication_factor: ReplicationFactor,
    #[command(flatten)]
    settings: SettingArguments,
}

/// What is not given is up to the server's configuration.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings of the stream; what is not given is up to the server")]
struct SettingArguments {
    /// Most bytes a partition keeps, as in 10GiB; 0 lifts the limit.
    #[arg(long, value_parser = values::size, value_name = "SIZE")]
    retention_max_bytes: Option<u64>,
    /// Most messages a partition keeps; 0 lifts the limit.
    #[arg(long, value_name = "COUNT")]
    retention_max_messages: Option<u64>,
    /// How long messages are kept, as in 7days; 0 lifts the limit.
    #[arg(long, value_parser = values::duration, value_name = "TIME")]
    retention_max_age: Option<Duration>,
    /// How often retention runs, as in 5min.
    #[arg(long, value_parser = values::duration, value_name = "TIME")]
    cleaner_interval: Option<Duration>,
    /// Size at which a new log file is begun, as in 256MiB.
    #[arg(long, value_parser = values::size, value_name = "SIZE")]
    segment_max_bytes: Option<u64>,
    /// Age at which a new log file is begun, as in 1day.
    #[arg(long, value_parser = values::duration, value_name = "TIME")]
    segment_max_age: Option<Duration>,
    /// Keep only the newest message of each key.
    #[arg(long, value_name = "BOOL")]
    compact_enabled: Option<bool>,
    /// Workers that compaction may use.
    #[arg(long, value_name = "COUNT")]
    compact_max_goroutines: Option<u32>,
    /// Pause a partition after so long without a publish, as in 1h; 0 never does.
    #[arg(long, value_parser = values::duration, value_name = "TIME")]
    auto_pause_time: Option<Duration>,
    /// Do not pause a partition by itself while it is being read.
    #[arg(long, value_name = "BOOL")]
    auto_pause_disable_if_subscribers: Option<bool>,
    /// Fewest in-sync replicas that may commit a message.
    #[arg(long, value_name = "COUNT")]
    min_isr: Option<u32>,
    /// Refuse publishes that do not name the offset they expect.
    #[arg(long, value_name = "BOOL")]
    optimistic_concurrency_control: Option<bool>,
    /// Encrypt messages at rest.
    #[arg(long, value_name = "BOOL")]
    encryption: Option<bool>,
}

#[derive(Debug, Serialize)]
struct CreatedView<'a> {
    created: &'a str,
    partitions: u32,
}

pub(super) async fn run(arguments: CreateArguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let CreateArguments { name, subject, group, partitions, replication_factor, settings } = arguments;
    let mut stream = NewStream::new(&name)
        .group(group)
        .partitions(partitions)
        .replication_factor(replication_factor)
        .settings(settings.into());
    if let Some(subject) = subject {
        stream = stream.subject(subject);
    }
    client.create_stream(stream).await?;
    output.result(&CreatedView { created: &name, partitions }, || {
        format!("created stream `{name}`, partitions: {partitions}")
    })
}

fn replication_factor(text: &str) -> Result<ReplicationFactor, String> {
    match text {
        "all" => Ok(ReplicationFactor::EveryServer),
        _ => text.parse().map(ReplicationFactor::Count).map_err(|_| "it is a number, or `all`".to_owned()),
    }
}

impl From<SettingArguments> for SettingOverrides {
    fn from(given: SettingArguments) -> Self {
        Self {
            retention_max_bytes: given.retention_max_bytes,
            retention_max_messages: given.retention_max_messages,
            retention_max_age: given.retention_max_age,
            cleaner_interval: given.cleaner_interval,
            segment_max_bytes: given.segment_max_bytes,
            segment_max_age: given.segment_max_age,
            compact_max_goroutines: given.compact_max_goroutines,
            compact_enabled: given.compact_enabled,
            auto_pause_time: given.auto_pause_time,
            auto_pause_disable_if_subscribers: given.auto_pause_disable_if_subscribers,
            min_isr: given.min_isr,
            optimistic_concurrency_control: given.optimistic_concurrency_control,
            encryption: given.encryption,
        }
    }
}
