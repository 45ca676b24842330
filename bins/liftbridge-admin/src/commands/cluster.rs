//! `cluster`: who is in it, whether all is well, and taking a server out that will not come back.

mod health;
mod members;
mod remove;
mod servers;
mod status;
mod troubled;

use clap::Subcommand;
use liftbridge_client::Client;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show the members, and the partitions that are not as they should be.
    Status(troubled::TroubledArguments),
    /// Show everything about the members.
    Members,
    /// Say whether all is well, in the exit code too.
    ///
    /// Every member is asked how its own files are: of those the others do not know.
    ///
    /// Exit codes:
    ///   0 all is well
    ///   1 something is degraded: partitions lack in-sync replicas, stored messages are known to be
    ///     damaged, or a member is not heard of or could not be asked
    ///   2 something is unavailable: partitions have no leader or are offline because their storage
    ///     failed, a metadata log failed, or the cluster has no controller
    ///   3 no broker could be reached
    #[command(verbatim_doc_comment)]
    Health(troubled::TroubledArguments),
    /// Take a server out of the cluster that will never come back: others keep what it kept.
    Remove(remove::RemoveArguments),
}

pub(crate) async fn run(command: &ClusterCommand, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match command {
        ClusterCommand::Status(arguments) => status::run(arguments, client, output).await,
        ClusterCommand::Members => members::run(client, output).await,
        ClusterCommand::Health(arguments) => health::run(arguments, client, output).await,
        ClusterCommand::Remove(arguments) => remove::run(arguments, client, output).await,
    }
}
