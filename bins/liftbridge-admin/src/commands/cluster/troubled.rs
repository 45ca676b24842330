//! The partitions that are not as they should be, as commands list them.

use liftbridge_client::{ClusterStatus, TroubledPage, TroubledPartition};
use serde::Serialize;

use crate::output::table;

/// How much of a long list is wanted.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct TroubledArguments {
    /// How many partitions in trouble are listed; the worst come first. The server lists at most 1000 at once.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// How many of them are left out before.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    skip: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct TroubledView {
    stream: String,
    partition: u32,
    leader: Option<String>,
    replicas: Vec<String>,
    isr: Vec<String>,
    isr_min: u32,
    without_leader: bool,
    at_minimum: bool,
    under_replicated: bool,
}

impl TroubledArguments {
    pub(super) fn page(self) -> TroubledPage {
        TroubledPage { skipped: self.skip, max: self.limit }
    }
}

impl TroubledView {
    pub(super) fn all(status: &ClusterStatus) -> Vec<Self> {
        status.troubled.iter().map(Self::of).collect()
    }

    fn of(partition: &TroubledPartition) -> Self {
        Self {
            stream: partition.stream.clone(),
            partition: partition.partition.get(),
            leader: partition.leader.clone(),
            replicas: partition.replicas.clone(),
            isr: partition.in_sync.clone(),
            isr_min: partition.in_sync_min,
            without_leader: partition.leaderless,
            at_minimum: partition.at_minimum,
            under_replicated: partition.under_replicated,
        }
    }

    fn troubles(&self) -> String {
        let troubles = [
            self.without_leader.then_some("no leader"),
            self.at_minimum.then_some(if self.is_below_minimum() { "below minimum" } else { "at minimum" }),
            self.under_replicated.then_some("under-replicated"),
        ];
        troubles.into_iter().flatten().collect::<Vec<&str>>().join(", ")
    }

    fn is_below_minimum(&self) -> bool {
        u32::try_from(self.isr.len()).is_ok_and(|count| count < self.isr_min)
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.stream.clone(),
            self.partition.to_string(),
            self.leader.clone().unwrap_or_else(|| "-".to_owned()),
            self.replicas.join(","),
            self.isr.join(","),
            self.isr_min.to_string(),
            self.troubles(),
        ]
    }
}

/// The list; nothing where nothing is wrong.
pub(super) fn text(troubled: &[TroubledView]) -> String {
    if troubled.is_empty() {
        return String::new();
    }
    let header = ["STREAM", "PARTITION", "LEADER", "REPLICAS", "IN SYNC", "MINIMUM", "TROUBLE"];
    format!(
        "\n\n{}\n\nwhy: liftbridge-admin partitions explain STREAM PARTITION",
        table(&header, troubled.iter().map(TroubledView::cells))
    )
}
