//! `streams delete`, `streams pause` and `streams set-readonly`.

use liftbridge_client::{Client, PartitionId, Partitions};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;
use crate::values;

#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArguments {
    /// Name of the stream.
    name: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PauseArguments {
    /// Name of the stream.
    name: String,
    #[command(flatten)]
    partitions: PartitionArguments,
    /// A publish to one of them wakes all, not only that one.
    #[arg(long)]
    resume_all: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetReadonlyArguments {
    /// Name of the stream.
    name: String,
    #[command(flatten)]
    partitions: PartitionArguments,
    /// Make them writable again.
    #[arg(long)]
    off: bool,
}

#[derive(Debug, clap::Args)]
struct PartitionArguments {
    /// Only these partitions; repeat it, or separate them by commas. Default: all.
    #[arg(long = "partition", visible_alias = "partitions", value_name = "NUMBER")]
    #[arg(value_parser = values::partition, value_delimiter = ',')]
    numbers: Vec<PartitionId>,
}

#[derive(Debug, Serialize)]
struct ChangedView<'a> {
    stream: &'a str,
    change: &'static str,
}

pub(super) async fn delete(arguments: &DeleteArguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    client.delete_stream(&arguments.name).await?;
    report(&arguments.name, "deleted", output)
}

pub(super) async fn pause(arguments: PauseArguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    client.pause_stream(&arguments.name, &arguments.partitions.into(), arguments.resume_all).await?;
    report(&arguments.name, "paused", output)
}

pub(super) async fn set_readonly(
    arguments: SetReadonlyArguments,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    client.set_stream_readonly(&arguments.name, &arguments.partitions.into(), !arguments.off).await?;
    report(&arguments.name, if arguments.off { "made writable" } else { "made read-only" }, output)
}

fn report(stream: &str, change: &'static str, output: &mut Output) -> Result<(), Failure> {
    output.result(&ChangedView { stream, change }, || format!("{change}: stream `{stream}`"))
}

impl From<PartitionArguments> for Partitions {
    fn from(given: PartitionArguments) -> Self {
        if given.numbers.is_empty() { Self::All } else { Self::Only(given.numbers) }
    }
}
