//! `streams`: everything about streams but their messages.

mod change;
mod create;
mod describe;
mod list;

use clap::Subcommand;
use liftbridge_client::Client;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum StreamsCommand {
    /// List all streams.
    List,
    /// Create a stream.
    Create(create::CreateArguments),
    /// Show a stream's partitions.
    Describe(describe::DescribeArguments),
    /// Delete a stream and everything in it.
    Delete(change::DeleteArguments),
    /// Pause partitions until the next publish to them.
    Pause(change::PauseArguments),
    /// Make partitions refuse publishes, or take them again.
    SetReadonly(change::SetReadonlyArguments),
}

pub(crate) async fn run(command: StreamsCommand, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match command {
        StreamsCommand::List => list::run(client, output).await,
        StreamsCommand::Create(arguments) => create::run(arguments, client, output).await,
        StreamsCommand::Describe(arguments) => describe::run(&arguments, client, output).await,
        StreamsCommand::Delete(arguments) => change::delete(&arguments, client, output).await,
        StreamsCommand::Pause(arguments) => change::pause(arguments, client, output).await,
        StreamsCommand::SetReadonly(arguments) => change::set_readonly(arguments, client, output).await,
    }
}
