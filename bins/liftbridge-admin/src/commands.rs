//! The commands, one file each.

mod bench;
mod cluster;
mod completions;
mod log;
mod partitions;
mod publish;
mod streams;
mod subscribe;

use clap::Subcommand;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create, list, describe, change and delete streams.
    #[command(subcommand)]
    Streams(streams::StreamsCommand),
    /// Publish messages: one, or one for each line of a file or of standard input.
    Publish(publish::PublishArguments),
    /// Read messages from a stream.
    Subscribe(subscribe::SubscribeArguments),
    /// Look at the cluster itself, and take servers out of it.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Look at single partitions.
    #[command(subcommand)]
    Partitions(partitions::PartitionsCommand),
    /// Measure how fast a cluster takes or delivers messages.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Look into the log files of a stopped server. Changes nothing.
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArguments),
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { connection, format, command } = arguments;
    let mut output = Output::new(format);
    match command {
        Command::Streams(command) => streams::run(command, &connection.connect().await?, &mut output).await,
        Command::Publish(command) => publish::run(command, &connection, &mut output).await,
        Command::Subscribe(command) => subscribe::run(command, &connection, &mut output).await,
        Command::Cluster(command) => cluster::run(&command, &connection.connect().await?, &mut output).await,
        Command::Partitions(command) => partitions::run(&command, &connection.connect().await?, &mut output).await,
        Command::Bench(command) => bench::run(command, &connection, &mut output).await,
        Command::Log(command) => log::run(&command, &mut output),
        Command::Completions(command) => completions::run(&command, &mut output),
    }
}
