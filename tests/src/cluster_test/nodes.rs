//! The servers of one cluster. Owns how they find each other, and questions to whichever of them can answer; hurts nobody by
//! itself.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::Failure;
use super::disk::SmallDisk;
use super::network::Network;
use super::node::Node;
use super::view::{PartitionView, view};
use crate::server::Options;

/// Ports of servers in networks of their own.
const API_PORT: u16 = 9292;
const PEER_PORT: u16 = 9294;
/// Where free ports are looked for on this machine: below those the system gives to connections, so that nothing takes the
/// port of a server while it is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// What the servers prove to each other.
const SECRET: &str = "only the servers of this test know it";
/// How often servers are asked while something is waited for.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What servers can be hurt with besides signals.
#[derive(Debug, Default)]
pub(super) struct Means {
    /// Missing where this machine does not allow it.
    pub(super) network: Option<Network>,
    /// The disk of the last server; missing where this machine does not allow it.
    pub(super) disk: Option<SmallDisk>,
}

/// The servers.
#[derive(Debug)]
pub(super) struct Nodes {
    /// Before what they are hurt with, so that they end before it is taken away.
    pub(super) all: Vec<Node>,
    pub(super) means: Means,
    stream: String,
}

impl Nodes {
    /// Starts so many as one cluster that keeps its data in `folder`; the first founds it.
    pub(super) async fn start(count: usize, folder: &Path, means: Means, stream: &str) -> Result<Self, Failure> {
        let places = places(count, means.network.as_ref())?;
        let seed = places[0].1;
        let mut all = Vec::new();
        for (number, (api, peer)) in places.into_iter().enumerate() {
            let id = format!("node-{number}");
            let mut options = Options::default()
                .with_config("logging.raft: true")
                .with_config(format!("clustering.secret: {SECRET}"));
            let mut arguments = vec![("--id", id.clone()), ("--listen", api.to_string())];
            arguments.push(("--cluster-listen", peer.to_string()));
            if number > 0 {
                arguments.push(("--join", seed.to_string()));
            }
            for (name, value) in arguments {
                options = options.with_argument(name).with_argument(value);
            }
            let namespace = means.network.as_ref().map(|network| network.namespace(number));
            let place = folder.join(&id);
            fs::create_dir_all(&place).map_err(|error| Failure::new(place.display(), error))?;
            all.push(Node::new(id, api, options, &place, namespace));
        }
        let mut nodes = Self { all, means, stream: stream.to_owned() };
        nodes.all[0].start().await?;
        let others: Vec<usize> = (1..count).collect();
        nodes.start_again(&others).await?;
        Ok(nodes)
    }

    /// Starts these, all at once: some may need the others before they serve.
    pub(super) async fn start_again(&mut self, which: &[usize]) -> Result<(), Failure> {
        let chosen = self.all.iter_mut().enumerate().filter(|(number, _)| which.contains(number));
        for started in join_all(chosen.map(|(_, node)| node.start())).await {
            started?;
        }
        Ok(())
    }

    /// The addresses clients are told.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.all.iter().map(|node| node.address).collect()
    }

    /// The number of the server with this id.
    pub(super) fn number(&self, id: &str) -> Option<usize> {
        self.all.iter().position(|node| node.id == id)
    }

    /// The partitions as the first of the servers sees them that can answer.
    pub(super) async fn view(&self) -> Option<Vec<PartitionView>> {
        for node in self.all.iter().filter(|node| node.is_up()) {
            if let Some(view) = view(node.address, &self.stream).await {
                return Some(view);
            }
        }
        None
    }

    /// The server that decides about metadata, as far as is known.
    pub(super) fn controller(&self) -> Option<usize> {
        let terms = self.all.iter().enumerate().filter_map(|(number, node)| Some((node.last_term_led()?, number)));
        terms.max().map(|(_, number)| number)
    }

    /// Waits until every server sees every partition led and with all replicas in sync, and all copies end alike when
    /// `is_quiet`; how it was last, when that takes longer than `patience`.
    pub(super) async fn whole(&self, patience: Duration, is_quiet: bool) -> Result<(), Failure> {
        let until = Instant::now() + patience;
        let mut asking = tokio::time::interval(ASK_EVERY);
        loop {
            asking.tick().await;
            let views = join_all(self.all.iter().map(|node| view(node.address, &self.stream))).await;
            let Some(why) = self.trouble(&views, is_quiet) else { return Ok(()) };
            if Instant::now() >= until {
                return Err(Failure(format!("not whole again within {patience:?}: {why}")));
            }
        }
    }

    /// What keeps the cluster from being whole.
    fn trouble(&self, views: &[Option<Vec<PartitionView>>], is_quiet: bool) -> Option<String> {
        for (node, view) in self.all.iter().zip(views) {
            let Some(view) = view else { return Some(format!("{} does not answer", node.id)) };
            if let Some((partition, how)) = view.iter().enumerate().find(|(_, partition)| !partition.is_whole()) {
                return Some(format!("{} sees partition {partition} as {how:?}", node.id));
            }
            let newest = |partition: usize| {
                views.iter().flatten().filter_map(|view| Some(view.get(partition)?.committed_end)).max()
            };
            let behind = |(number, of): &(usize, &PartitionView)| {
                of.replicas.contains(&node.id) && Some(of.committed_end) != newest(*number)
            };
            if let Some((partition, how)) = view.iter().enumerate().find(behind).filter(|_| is_quiet) {
                let newest = newest(partition).unwrap_or(0);
                return Some(format!(
                    "{} has partition {partition} up to {}, not {newest}",
                    node.id, how.committed_end
                ));
            }
        }
        None
    }
}

/// Where each server is reached, by clients and by the others.
fn places(count: usize, network: Option<&Network>) -> Result<Vec<(SocketAddr, SocketAddr)>, Failure> {
    if let Some(network) = network {
        let place = |number, port| SocketAddr::from((network.address(number), port));
        return Ok((0..count).map(|number| (place(number, API_PORT), place(number, PEER_PORT))).collect());
    }
    // Begin somewhere else in each process, so that two runs at once do not find the same ports.
    let skipped = usize::try_from(std::process::id()).unwrap_or(0).wrapping_mul(40) % PORTS.len();
    let candidates = PORTS.cycle().skip(skipped).take(PORTS.len());
    let addresses = candidates.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let free: Vec<SocketAddr> =
        addresses.filter(|address| TcpListener::bind(address).is_ok()).take(2 * count).collect();
    if free.len() < 2 * count {
        return Err(Failure(format!("no free ports among {PORTS:?}")));
    }
    Ok(free.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
