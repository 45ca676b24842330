//! `cluster status`: the brokers, and whether every partition is led and fully replicated.

use clap::Subcommand;
use liftbridge_client::{Client, ClusterMetadata, PartitionInfo};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, table};

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show the brokers and the health of all partitions.
    Status,
}

#[derive(Debug, Serialize)]
struct StatusView {
    brokers: Vec<BrokerView>,
    streams: usize,
    partitions: usize,
    partitions_without_leader: usize,
    partitions_under_replicated: usize,
    partitions_paused: usize,
    partitions_readonly: usize,
}

#[derive(Debug, Serialize)]
struct BrokerView {
    id: String,
    address: String,
    partitions: u32,
    leaders: u32,
}

pub(crate) async fn run(command: &ClusterCommand, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match command {
        ClusterCommand::Status => {
            let status = StatusView::of(&client.fetch_metadata(&[]).await?);
            output.result(&status, || status.text())
        }
    }
}

impl StatusView {
    fn of(metadata: &ClusterMetadata) -> Self {
        let partitions = || metadata.streams.iter().flat_map(|stream| &stream.partitions);
        let count = |is: fn(&PartitionInfo) -> bool| partitions().filter(|partition| is(partition)).count();
        let brokers = metadata.brokers.iter().map(|broker| BrokerView {
            id: broker.id.clone(),
            address: format!("{}:{}", broker.host, broker.port),
            partitions: broker.partition_count,
            leaders: broker.leader_count,
        });
        Self {
            brokers: brokers.collect(),
            streams: metadata.streams.len(),
            partitions: partitions().count(),
            partitions_without_leader: count(|partition| partition.leader.is_none()),
            partitions_under_replicated: count(|partition| partition.isr.len() < partition.replicas.len()),
            partitions_paused: count(|partition| partition.paused),
            partitions_readonly: count(|partition| partition.readonly),
        }
    }

    fn text(&self) -> String {
        let rows = self.brokers.iter().map(|broker| {
            vec![broker.id.clone(), broker.address.clone(), broker.partitions.to_string(), broker.leaders.to_string()]
        });
        let brokers = table(&["BROKER", "ADDRESS", "PARTITIONS", "LEADS"], rows);
        format!(
            "{brokers}\n\n{} streams, {} partitions: {} without a leader, {} under-replicated, {} paused, {} read-only",
            self.streams,
            self.partitions,
            self.partitions_without_leader,
            self.partitions_under_replicated,
            self.partitions_paused,
            self.partitions_readonly,
        )
    }
}
