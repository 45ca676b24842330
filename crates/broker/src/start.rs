//! From a volume to a running node. Owns the order of starting; never what happens afterwards.
//!
//! 1. The server's id, which everything else is kept under.
//! 2. The metadata, founded if there is none; refused when streams lie on the volume that it knows nothing of.
//! 3. What deletions left, which must go before their names can be used again.
//! 4. The partitions led here.
//! 5. The follower of what is agreed on from here on.
//! 6. The registration, which ends every earlier life of this broker; when it is carried out the broker is ready.

use std::io;
use std::num::NonZero;
use std::sync::Arc;

use liftbridge_metadata_raft::{
    Applied, Command, DeletedStream, Metadata, MetadataOptions, PROPOSALS_WAITING_MAX, Ports, Recovery, RegisterBroker,
    Stream,
};
use liftbridge_types::BrokerId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::agreement::Agreement;
use crate::clock::Clock;
use crate::config::{BrokerConfig, StartError};
use crate::directories;
use crate::follow_metadata::Follower;
use crate::node::Node;
use crate::partition::PartitionHost;
use crate::progress::Progress;
use crate::server_id;
use crate::shutdown::Life;
use crate::streams_here::StreamsHere;
use crate::subjects::Subjects;

/// What lies on the volume, opened.
struct Opened {
    id: BrokerId,
    metadata: Metadata,
    recovery: Recovery,
    /// Deleted streams whose files are still there.
    unremoved: Vec<DeletedStream>,
}

/// Starts a node.
pub(crate) async fn start_node(config: BrokerConfig, clock: Arc<dyn Clock>) -> Result<Arc<Node>, StartError> {
    let (deliver, applied) = mpsc::channel(PROPOSALS_WAITING_MAX);
    let for_opening = config.clone();
    let opened = tokio::task::spawn_blocking(move || open_volume(&for_opening, deliver)).await;
    let opened = opened.map_err(|error| StartError::Metadata { reason: error.to_string() })??;
    let Opened { id, metadata, recovery, unremoved } = opened;
    let (carried_out, progress) = Progress::starting_at(recovery.index);
    let node = Arc::new(Node {
        id: id.clone(),
        volume: Arc::clone(&config.volume),
        stream_defaults: config.stream_defaults.clone(),
        host: PartitionHost::start(&config, Arc::clone(&clock)),
        clock,
        agreement: Agreement::new(metadata.clone(), progress),
        metadata,
        streams: StreamsHere::default(),
        subjects: Subjects::new(),
        life: Life::default(),
    });
    open_streams(&node, config.log_workers).await?;
    tokio::spawn(Follower::new(&node, applied, carried_out, unremoved).run());
    let (host, port) = (config.advertised_host, config.advertised_port);
    let registration = RegisterBroker { id, host, port, member: None };
    let registered = node.agreement.reach(Command::RegisterBroker(registration)).await;
    registered.map_err(|error| StartError::Metadata { reason: error.to_string() })?;
    tracing::info!(id = %node.id, founded = recovery.founded, "broker started");
    Ok(node)
}

/// Steps 1 to 3. Blocks on file I/O.
fn open_volume(config: &BrokerConfig, deliver: mpsc::Sender<Applied>) -> Result<Opened, StartError> {
    let volume = &*config.volume;
    let had_streams = directories::any_stream(volume).map_err(unusable)?;
    let id = server_id::load_or_create(volume, &config.server_id)?;
    let options = MetadataOptions {
        snapshot_threshold: config.snapshot_threshold,
        snapshot_retain: config.snapshot_retain,
        may_found: !had_streams,
        ..MetadataOptions::new(format!("{:032x}", rand::random::<u128>()))
    };
    // A receiver that has gone means that the broker has: then nothing is carried out any more.
    let deliver = move |applied| drop(deliver.blocking_send(applied));
    let (metadata, recovery) = Metadata::open(volume, &options, Ports::alone(deliver))
        .map_err(|error| StartError::Metadata { reason: error.to_string() })?;
    check_identity(&metadata, &id)?;
    if let Err(error) = directories::remove_leftovers(volume) {
        tracing::warn!(%error, "what interrupted deletions left was not removed; the next start tries again");
    }
    let unremoved = directories::remove_streams(volume, recovery.deleted.clone());
    if unremoved.is_empty() {
        metadata.carried_out(recovery.index);
    }
    Ok(Opened { id, metadata, recovery, unremoved })
}

/// A server under another id than its data was written under would lead none of its partitions.
fn check_identity(metadata: &Metadata, id: &BrokerId) -> Result<(), StartError> {
    let state = metadata.state();
    if state.brokers().count() == 0 || state.brokers().get(id).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = state.brokers().iter().map(|(known, _)| known.as_str()).collect();
    let known = known.join("`, `");
    let reason =
        format!("this server is called `{id}`, but the data belongs to `{known}`: write that id into `server-id`");
    Err(StartError::Storage { reason })
}

/// Opens the partitions led here, several streams at a time.
async fn open_streams(node: &Arc<Node>, threads_max: usize) -> Result<(), StartError> {
    let streams: Vec<Arc<Stream>> = node.metadata.state().streams().iter().cloned().collect();
    let threads =
        std::thread::available_parallelism().map_or(1, NonZero::get).saturating_mul(2).min(threads_max).max(1);
    let share = streams.len().div_ceil(threads).max(1);
    let mut opening = JoinSet::new();
    for some in streams.chunks(share) {
        let (node, some) = (Arc::clone(node), some.to_vec());
        opening.spawn_blocking(move || some.iter().for_each(|stream| node.adopt(node.open_stream(stream))));
    }
    while let Some(opened) = opening.join_next().await {
        opened
            .map_err(|error| StartError::Storage { reason: format!("opening partitions did not finish: {error}") })?;
    }
    Ok(())
}

fn unusable(error: io::Error) -> StartError {
    StartError::Storage { reason: error.to_string() }
}
