//! Metrics that are read, not counted: sizes, lags, what is wrong. Owns when they are read and over what they are summed up;
//! `metrics` has their names.
//!
//! What every server knows alike is shown by one of them, so that the sum over the servers is the cluster's: a partition's troubles
//! by its leader, what nobody leads by the controller. What only one server knows, how its own files are, it shows itself.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_metadata_raft::Stream;

use crate::administration::PartitionTrouble;
use crate::broker::Broker;
use crate::metrics::{NodeTroubles, StreamGauges, describe_streams, show_stream};
use crate::node::Node;

impl Broker {
    /// Brings metrics that are read, not counted, up to date, but for those by stream; called before each scrape.
    pub fn refresh_metrics(&self) {
        let node = &self.node;
        node.host.refresh_metrics();
        let is_controller = node.controller().as_ref() == Some(&node.id);
        let mut troubles = NodeTroubles { is_controller, ..NodeTroubles::default() };
        // Taken first and looked at afterwards: the state is not held on to.
        let agreed: Vec<Arc<Stream>> = node.metadata.state().streams().iter().cloned().collect();
        for stream in agreed {
            node.add_troubles(&stream, &mut troubles);
        }
        let in_trouble = node.replicas_in_trouble();
        troubles.offline = in_trouble.offline.len() as u64;
        troubles.damaged = in_trouble.damaged.len() as u64;
        node.host.metrics().show_troubles(&troubles);
    }

    /// Shows what is read of each stream that is here to the recorder of this thread. A new one at each scrape, which
    /// has never heard of the streams that are gone.
    pub fn show_streams(&self) {
        describe_streams();
        let node = &self.node;
        let agreed: Vec<Arc<Stream>> = node.metadata.state().streams().iter().cloned().collect();
        for stream in agreed {
            if let Some(gauges) = node.gauges(&stream) {
                show_stream(&stream.name, &gauges);
            }
        }
    }
}

impl Node {
    fn add_troubles(&self, stream: &Stream, troubles: &mut NodeTroubles) {
        let min_isr = self.min_isr(stream);
        for agreed in &stream.partitions {
            let trouble = PartitionTrouble::of(agreed, stream.replicas_wanted(), min_isr);
            let is_led_here = agreed.leader.as_ref() == Some(&self.id);
            troubles.leaderless += u64::from(trouble.is_leaderless && troubles.is_controller);
            troubles.under_replicated += u64::from(trouble.is_under_replicated && is_led_here);
            troubles.at_minimum += u64::from(trouble.is_at_minimum && is_led_here);
        }
    }

    /// What a stream's partitions here show; `None` for one that is being made or removed.
    fn gauges(&self, stream: &Stream) -> Option<StreamGauges> {
        let here = self.streams.get_life(&stream.name, stream.id)?;
        let statuses = here.replicas().map(|replica| replica.status());
        let led = here.partitions.iter().filter_map(|partition| partition.leading_replica());
        Some(StreamGauges {
            uncommitted: statuses.map(|status| status.log_end.since(status.high_watermark)).sum(),
            isr_count: stream.partitions.iter().map(|partition| partition.isr.len()).min().unwrap_or(0),
            replication_lag: led.map(|replica| replica.replication_lag()).max().unwrap_or(Duration::ZERO),
        })
    }
}
