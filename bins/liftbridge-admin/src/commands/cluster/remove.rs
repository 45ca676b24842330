//! `cluster remove`: a server that will never come back.

use liftbridge_client::Client;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArguments {
    /// Id of the server. It must not run.
    id: String,
    /// Remove it even if it alone has everything committed of some partitions. They lose what only it has.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct RemovedView<'a> {
    member: &'a str,
    change: &'static str,
}

pub(super) async fn run(arguments: &RemoveArguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    client.remove_member(&arguments.id, arguments.force).await?;
    let removed = RemovedView { member: &arguments.id, change: "removed" };
    output.result(&removed, || format!("removed: member `{}`", arguments.id))
}
