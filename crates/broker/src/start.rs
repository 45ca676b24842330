//! From a volume to a running node. Owns the order of starting; never what happens afterwards.
//!
//! 1. The server's id, which everything else is kept under, and that of its data directory.
//! 2. The metadata: what is there, or a membership in a cluster that lets this server in, or a new cluster. Refused when
//!    streams lie on the volume that it would know nothing of.
//! 3. What deletions left, which must go before their names can be used again.
//! 4. The registration, which ends every earlier life of this broker. With peers it may take as long as they take to agree.
//! 5. The partitions this broker keeps, as agreed on at one index.
//! 6. The follower of what is agreed on from there on; signs of life, until the first of them is heard: whoever is told that
//!    this server is ready may count on it for a new stream.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use liftbridge_metadata_raft::{
    Applied, DeletedStream, LogIndex, Metadata, MetadataOptions, NoteJoinedError, PROPOSALS_WAITING_MAX, Part, Ports,
    Presence, Recovery, Standing, Stream, note_joined,
};
use liftbridge_types::{BrokerId, BrokerIncarnation};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::agreement::Agreement;
use crate::clock::Clock;
use crate::config::{BrokerConfig, StartError};
use crate::directories;
use crate::follow_metadata::Follower;
use crate::heartbeats::give_signs_of_life;
use crate::identity::{Identity, check_identity, identify};
use crate::inbox::Inbox;
use crate::join_cluster::{Membership, join_cluster};
use crate::node::Node;
use crate::partition::PartitionHost;
use crate::progress::Progress;
use crate::registration::register;
use crate::removal::Question;
use crate::shutdown::Life;
use crate::streams_here::StreamsHere;
use crate::subjects::Subjects;
use crate::wishes::carry_out_wishes;

/// The metadata, opened.
struct Opened {
    metadata: Metadata,
    recovery: Recovery,
    /// Deleted streams whose files are still there.
    unremoved: Vec<DeletedStream>,
}

/// Starts a node.
pub(crate) async fn start_node(config: BrokerConfig, clock: Arc<dyn Clock>) -> Result<Arc<Node>, StartError> {
    let identity = on_a_thread(&config, identify).await?;
    let membership = maybe_join(&config, &identity).await?;
    let (deliver, applied) = mpsc::channel(PROPOSALS_WAITING_MAX);
    let (stand, standing) = watch::channel(Standing { part: Part::Member, controller: None, alone: true });
    let for_opening = identity.clone();
    let opened = on_a_thread(&config, move |config| open_metadata(config, &for_opening, deliver, stand)).await?;
    let Opened { metadata, recovery, unremoved } = opened;
    let (carried_out, progress) = Progress::starting_at(recovery.index);
    let peers = Arc::clone(&config.cluster.peers);
    let node = Arc::new(Node {
        id: identity.id.clone(),
        volume: Arc::clone(&config.volume),
        stream_defaults: config.stream_defaults.clone(),
        host: PartitionHost::start(&config, Arc::clone(&identity.begun_logs), Arc::clone(&clock)),
        clock,
        agreement: Agreement::new(metadata.clone(), Arc::clone(&peers), standing.clone(), progress),
        metadata,
        peers,
        runtime: Handle::current(),
        standing,
        streams: StreamsHere::default(),
        subjects: Subjects::new(),
        life: Life::default(),
        incarnation: OnceLock::new(),
        lapsed: AtomicBool::new(false),
        cut_off: AtomicBool::new(false),
        leaving: AtomicBool::new(false),
        handing_over: watch::Sender::new(false),
        expulsion: watch::Sender::new(None),
    });
    meet_peers(&node, &config, membership);
    let question = Question::new(config.cluster.clone(), identity.directory.clone(), recovery.raft_id);
    let mut follower = Follower::new(&node, applied, carried_out, unremoved);
    let index = register(&node, &config, &identity, &question, &mut follower, recovery.raft_id).await?;
    if let Some(failure) = node.metadata.failure() {
        return Err(StartError::Metadata { reason: failure.to_string() });
    }
    node.incarnation.get_or_init(|| BrokerIncarnation::new(index.get()));
    let opened_at = open_streams(&node, config.log_workers).await?;
    follower.begin_after(&node, opened_at).await;
    tokio::spawn(follower.run());
    if let Some(wishes) = node.host.take_wishes() {
        tokio::spawn(carry_out_wishes(Arc::downgrade(&node), wishes));
    }
    tokio::spawn(give_signs_of_life(Arc::downgrade(&node), config.cluster.session_timeout(), question));
    be_heard_of(&node, config.cluster.voters_max, config.cluster.session_timeout()).await;
    tracing::info!(id = %node.id, founded = recovery.founded, "broker started");
    Ok(node)
}

/// Step 2 for a server that is to be one of several: it asks to be let in until it has been sent a state.
async fn maybe_join(config: &BrokerConfig, identity: &Identity) -> Result<Option<Membership>, StartError> {
    let Identity { id, directory, presence, had_streams, .. } = identity;
    let cluster = &config.cluster;
    cluster.peers.introduce(id, None);
    let asks = match presence {
        Presence::State => false,
        Presence::Joined { .. } => true,
        Presence::Nothing => !cluster.join.is_empty(),
    };
    if !asks {
        return Ok(None);
    }
    if *presence == Presence::Nothing && *had_streams {
        let reason = format!(
            "there are streams, and no directory `raft` that says of which cluster: bring that back, or, if other servers have \
             what is here, run `liftbridge-admin cluster remove {id}` and join with an empty data directory"
        );
        return Err(StartError::Storage { reason });
    }
    let Some(membership) = join_cluster(cluster, id, directory, presence).await? else { return Ok(None) };
    let (raft_id, cluster_id) = (membership.raft_id, membership.cluster_id.clone());
    if *presence == Presence::Nothing {
        let noted = on_a_thread(config, move |config| Ok(note_joined(&*config.volume, raft_id, &cluster_id))).await?;
        noted.map_err(|error: NoteJoinedError| StartError::Join { reason: error.to_string() })?;
    }
    tracing::info!(cluster = membership.cluster_id, raft_id = %membership.raft_id, "let into the cluster");
    Ok(Some(membership))
}

/// Steps 2 and 3. Blocks on file I/O.
fn open_metadata(
    config: &BrokerConfig,
    identity: &Identity,
    deliver: mpsc::Sender<Applied>,
    stand: watch::Sender<Standing>,
) -> Result<Opened, StartError> {
    let volume = &*config.volume;
    let options = MetadataOptions {
        snapshot_threshold: config.snapshot_threshold,
        snapshot_retain: config.snapshot_retain,
        may_found: !identity.had_streams,
        session_timeout: config.cluster.session_timeout(),
        voters_max: config.cluster.voters_max.unwrap_or(0),
        unclean_elections: config.cluster.unclean_elections,
        seed: rand::random(),
        ..MetadataOptions::new(format!("{:032x}", rand::random::<u128>()))
    };
    let peers = Arc::clone(&config.cluster.peers);
    let ports = Ports {
        // A receiver that has gone means that the broker has: then nothing is carried out any more.
        deliver: Box::new(move |applied| drop(deliver.blocking_send(applied))),
        send: Box::new(move |to, message| peers.send_metadata(to, message.into())),
        stand: Box::new(move |standing| drop(stand.send_replace(standing.clone()))),
    };
    let (metadata, recovery) =
        Metadata::open(volume, &options, ports).map_err(|error| StartError::Metadata { reason: error.to_string() })?;
    check_identity(&metadata, identity, recovery.raft_id)?;
    if let Err(error) = directories::remove_leftovers(volume) {
        tracing::warn!(%error, "what interrupted deletions left was not removed; the next start tries again");
    }
    let unremoved = directories::remove_streams(volume, recovery.deleted.clone());
    if unremoved.is_empty() {
        metadata.carried_out(recovery.index);
    }
    Ok(Opened { metadata, recovery, unremoved })
}

/// Lets the other servers talk to this one, and this one to those it knows of.
fn meet_peers(node: &Arc<Node>, config: &BrokerConfig, membership: Option<Membership>) {
    let cluster_id = node.metadata.state().cluster_id().to_owned();
    node.peers.introduce(&node.id, Some(&cluster_id));
    let knows_any = node.metadata.state().nodes().iter().len() > 0;
    match membership {
        Some(Membership { peers, .. }) if !knows_any => {
            let peers: BTreeMap<BrokerId, String> = peers.into_iter().filter(|(peer, _)| *peer != node.id).collect();
            node.peers.set_peers(&peers);
        }
        _ => node.tell_peers(),
    }
    node.peers.open(Inbox::new(node, config.cluster.namespace.clone()));
}

/// Waits until this broker is heard of and its server votes, if it is to, for `patience` at most: the controller may be gone
/// at the moment. Whoever takes a start for a sign that another server may be lost now is right then.
async fn be_heard_of(node: &Node, voters_max: Option<usize>, patience: Duration) {
    let end = Instant::now() + patience;
    let mut carried_out = node.agreement.carried_out();
    let is_fenced = || node.metadata.state().brokers().get(&node.id).is_some_and(|broker| broker.fenced);
    while (is_fenced() || is_to_vote(node, voters_max)) && !node.standing.borrow().alone {
        match tokio::time::timeout_at(end, node.agreement.carried_out_after(carried_out)).await {
            Ok(Some(index)) => carried_out = index,
            Ok(None) | Err(_) => return,
        }
    }
}

/// Whether this server takes part without a vote and is going to get one.
fn is_to_vote(node: &Node, voters_max: Option<usize>) -> bool {
    let state = node.metadata.state();
    let voter_count = state.nodes().iter().filter(|(_, node)| node.voter).count();
    let has_no_vote = state.nodes().of_broker(&node.id).is_some_and(|(_, node)| !node.voter);
    has_no_vote && voters_max.is_none_or(|most| voter_count < most)
}

/// Opens the partitions kept here, several streams at a time; as of which index.
async fn open_streams(node: &Arc<Node>, threads_max: usize) -> Result<LogIndex, StartError> {
    let (index, streams): (LogIndex, Vec<Arc<Stream>>) = node.metadata.streams();
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
    Ok(index)
}

/// Does what blocks.
async fn on_a_thread<T: Send + 'static>(
    config: &BrokerConfig,
    work: impl FnOnce(&BrokerConfig) -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let config = config.clone();
    let done = tokio::task::spawn_blocking(move || work(&config)).await;
    done.map_err(|error| StartError::Metadata { reason: error.to_string() })?
}

pub(crate) fn unusable(error: io::Error) -> StartError {
    StartError::Storage { reason: error.to_string() }
}
