//! `partitions`: one partition at a time.

mod explain;

use clap::Subcommand;
use liftbridge_client::Client;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum PartitionsCommand {
    /// Show why a partition commits messages, or why not.
    Explain(explain::ExplainArguments),
}

pub(crate) async fn run(command: &PartitionsCommand, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match command {
        PartitionsCommand::Explain(arguments) => explain::run(arguments, client, output).await,
    }
}
