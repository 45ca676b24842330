//! `cluster status`: the members, and whether every partition is led and fully replicated.

use liftbridge_client::{Client, ClusterStatus};
use serde::Serialize;

use super::members::{MemberView, short_table};
use super::troubled::{TroubledArguments, TroubledView, text};
use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Serialize)]
struct StatusView {
    cluster: String,
    feature_level: u32,
    controller: Option<String>,
    answered_by: String,
    /// Whether who answered has lost touch with the others.
    cut_off: bool,
    members: Vec<MemberView>,
    streams: u32,
    partitions: u32,
    partitions_without_leader: u32,
    partitions_at_minimum: u32,
    partitions_under_replicated: u32,
    partitions_paused: u32,
    partitions_readonly: u32,
    troubled: Vec<TroubledView>,
}

pub(super) async fn run(arguments: &TroubledArguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let status = StatusView::of(&client.cluster_status(arguments.page()).await?);
    output.result(&status, || status.text())
}

impl StatusView {
    fn of(status: &ClusterStatus) -> Self {
        let counts = status.counts;
        Self {
            cluster: status.cluster_id.clone(),
            feature_level: status.feature_level,
            controller: status.controller.clone(),
            answered_by: status.answered_by.clone(),
            cut_off: status.cut_off,
            members: MemberView::all(status),
            streams: counts.streams,
            partitions: counts.partitions,
            partitions_without_leader: counts.leaderless,
            partitions_at_minimum: counts.at_minimum,
            partitions_under_replicated: counts.under_replicated,
            partitions_paused: counts.paused,
            partitions_readonly: counts.readonly,
            troubled: TroubledView::all(status),
        }
    }

    fn text(&self) -> String {
        let controller = self.controller.as_deref().unwrap_or("none");
        let cut_off = match self.cut_off {
            true => format!("\n`{}` answered and does not hear from the controller: this may be old", self.answered_by),
            false => String::new(),
        };
        format!(
            "cluster     {}, feature level {}\ncontroller  {controller}{cut_off}\n\n{}\n\n{} streams, {} partitions: \
             {} without a leader, {} at or below their minimum of in-sync replicas, {} under-replicated, {} paused, \
             {} read-only{}",
            self.cluster,
            self.feature_level,
            short_table(&self.members),
            self.streams,
            self.partitions,
            self.partitions_without_leader,
            self.partitions_at_minimum,
            self.partitions_under_replicated,
            self.partitions_paused,
            self.partitions_readonly,
            text(&self.troubled),
        )
    }
}
