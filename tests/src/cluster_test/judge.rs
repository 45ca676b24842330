//! Asking every server for everything it keeps, and its disk. Owns that all copies are read, through the API first and then,
//! with the servers gone, from the disks; what must be true of them is the checker's.

use futures_util::future::join_all;

use super::Failure;
use super::checker::{Copy, Evidence, Judgement};
use super::ledger::Told;
use super::nodes::Nodes;
use super::raw_copy::RawCopy;
use super::read_back::{Identify, Record, read_back};

/// Publishers that repeated until they heard of an ack, and how many messages each had, by partition.
pub(super) type Promised = [Vec<(u16, u32)>];

/// Reads every copy of every partition and weighs it; which copies cannot be read. The servers are killed on the way.
pub(super) async fn judge(
    nodes: &mut Nodes,
    stream: &str,
    told: &Told,
    seen: &[Vec<Record>],
    promised: &Promised,
    identify: &Identify<'_>,
) -> Result<(Judgement, Vec<Failure>), Failure> {
    let view = nodes.view().await.ok_or_else(|| Failure("nobody says who keeps what".to_owned()))?;
    let (mut judgement, mut unreadable) = (Judgement::default(), Vec::new());
    // What every copy of a partition has below its high watermark, by partition.
    let mut committed_ends = Vec::new();
    for (partition, (acked, seen)) in told.acked.iter().zip(seen).enumerate() {
        let keepers = view.get(partition).map(|view| view.replicas.clone()).unwrap_or_default();
        let all = nodes.all.iter().filter(|node| keepers.contains(&node.id));
        let read = join_all(all.map(async |node| {
            let records = read_back(node.address, stream, partition, identify).await?;
            Ok(Copy { node: node.id.clone(), records })
        }));
        let mut copies = Vec::new();
        for copy in read.await {
            match copy {
                Ok(copy) => copies.push(copy),
                Err(failure) => unreadable.push(failure),
            }
        }
        judgement.weigh(&Evidence { partition, acked, copies: &copies, seen });
        if let Some(promised) = promised.get(partition) {
            judgement.weigh_promised(partition, promised, &copies);
        }
        let ends = copies.iter().map(|copy| copy.records.last().map_or(0, |record| record.offset + 1));
        committed_ends.push((keepers, ends.min().unwrap_or(0)));
    }
    for node in &mut nodes.all {
        node.kill().await;
    }
    for (partition, (keepers, end)) in committed_ends.into_iter().enumerate() {
        let keepers = nodes.all.iter().filter(|node| keepers.contains(&node.id));
        let copies: Result<Vec<RawCopy>, Failure> =
            keepers.map(|node| RawCopy::read(&node.id, node.data(), stream, partition, end)).collect();
        match copies {
            Ok(copies) => judgement.weigh_raw(partition, &copies),
            Err(failure) => unreadable.push(failure),
        }
    }
    Ok((judgement, unreadable))
}
