//! What a server says of itself when it starts, and what of its partitions it has to own up to have lost. Owns the registration;
//! never what the cluster makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::Arc;

use liftbridge_commitlog::CommitLog;
use liftbridge_metadata_raft::{
    Command, FEATURE_LEVEL, LOST_PARTITIONS_MAX, LogIndex, Member, ProposeError, RaftId, RegisterBroker, Stream,
    Unavailable,
};
use liftbridge_types::StreamId;

use crate::begun_logs::LogKey;
use crate::config::{BrokerConfig, StartError};
use crate::directories;
use crate::follow_metadata::Follower;
use crate::identity::Identity;
use crate::node::Node;
use crate::removal::{Question, ask_whether_removed};

/// Registers this broker, with everything it has lost, and is as far as that when it returns. Whoever has peers waits for them,
/// however long they take, unless one of them knows that it was removed.
///
/// Streams may become known only with the registration: the server knows what it has agreed to, and not how much of that is
/// decided. Then it registers once more. No log is opened before, so that none that is gone is taken for an empty one, at the
/// next start either.
pub(crate) async fn register(
    node: &Arc<Node>,
    config: &BrokerConfig,
    identity: &Identity,
    question: &Question,
    follower: &mut Follower,
    raft_id: RaftId,
) -> Result<LogIndex, StartError> {
    let mut lost = Lost::default();
    lost.look(node, identity).await?;
    loop {
        let registration = registration(node, config, identity, raft_id, &lost.logs);
        let index = follower.catch_up_during(node, propose(node, registration, question)).await?;
        follower.catch_up_to(node, index).await;
        if !lost.look(node, identity).await? {
            lost.settle(identity);
            return Ok(index);
        }
    }
}

fn registration(
    node: &Node,
    config: &BrokerConfig,
    identity: &Identity,
    raft_id: RaftId,
    lost: &BTreeSet<LogKey>,
) -> RegisterBroker {
    let has_too_many = lost.len() > LOST_PARTITIONS_MAX;
    RegisterBroker {
        id: node.id.clone(),
        host: config.advertised_host.clone(),
        port: config.advertised_port,
        member: Some(Member {
            raft_id,
            directory: identity.directory.clone(),
            peer_address: config.cluster.peer_address.clone(),
            rack: config.cluster.rack.clone(),
            feature_level: FEATURE_LEVEL,
            kept_log: identity.kept_log && !has_too_many,
            in_sync_min: config.stream_defaults.min_isr.and_then(NonZero::new),
            session_timeout: Some(config.cluster.session_timeout()),
            lost: if has_too_many { BTreeSet::new() } else { lost.clone() },
        }),
    }
}

async fn propose(node: &Arc<Node>, registration: RegisterBroker, question: &Question) -> Result<LogIndex, StartError> {
    loop {
        let refused = match node.agreement.agree(Command::RegisterBroker(registration.clone())).await {
            Ok(index) => return Ok(index),
            Err(refused) => refused,
        };
        let passes = matches!(
            refused,
            ProposeError::Unavailable(Unavailable::NotController { .. } | Unavailable::LeadershipLost)
        );
        if !passes || node.standing.borrow().alone {
            let reason = node.metadata.failure().map_or_else(|| refused.to_string(), |failure| failure.to_string());
            return Err(StartError::Metadata { reason });
        }
        tracing::info!(reason = %refused, "not registered yet: waiting for the other servers of the cluster");
        ask_whether_removed(node, question).await;
        if let Some(reason) = node.expulsion.borrow().clone() {
            return Err(StartError::Join { reason });
        }
    }
}

/// The logs that were begun here and are not here any more.
#[derive(Debug, Default)]
struct Lost {
    /// Those of which is known whether they are here, or that nobody wants any more.
    looked_at: BTreeSet<LogKey>,
    logs: BTreeSet<LogKey>,
}

impl Lost {
    /// Looks for the logs of all partitions that are known to be kept here and were not looked for before; whether some are
    /// gone.
    async fn look(&mut self, node: &Arc<Node>, identity: &Identity) -> Result<bool, StartError> {
        let unknown: BTreeSet<LogKey> = identity.begun_logs.all().difference(&self.looked_at).copied().collect();
        if unknown.is_empty() {
            return Ok(false);
        }
        let (index, streams) = node.metadata.streams();
        let streams: BTreeMap<StreamId, Arc<Stream>> = streams.into_iter().map(|stream| (stream.id, stream)).collect();
        // What is not known yet may have been made since.
        let may_live = |stream: StreamId| stream.get() > index.get() || streams.contains_key(&stream);
        if let Err(error) = identity.begun_logs.keep(|(stream, _)| may_live(*stream)) {
            tracing::warn!(%error, "the list of begun logs was not cleared of what is gone; the next start tries again");
        }
        let mut kept_here = Vec::new();
        for log in unknown {
            let (id, number) = log;
            if !may_live(id) {
                self.looked_at.insert(log);
                continue;
            }
            let stream = streams.get(&id);
            let partition = stream.and_then(|stream| Some((stream, stream.partition(number)?)));
            if let Some((stream, partition)) = partition.filter(|(_, agreed)| agreed.replicas.contains(&node.id)) {
                let others = partition.replicas.len().saturating_sub(1);
                kept_here.push((log, stream.name.clone(), others));
                self.looked_at.insert(log);
            }
        }
        let volume = Arc::clone(&node.volume);
        let gone = tokio::task::spawn_blocking(move || {
            let mut gone = Vec::new();
            for (log, stream, others) in kept_here {
                let directory = directories::of_partition(log.0, &stream, log.1);
                if !CommitLog::is_in(&*volume.directory(&directory))? {
                    let from =
                        if others == 0 { "what it held is lost" } else { "what it held must come from the others" };
                    tracing::error!(%stream, partition = %log.1, directory,
                        "the files of a partition are gone, or a crash came before the first was made: {from}");
                    gone.push(log);
                }
            }
            Ok::<_, liftbridge_commitlog::LogError>(gone)
        });
        let gone = gone.await.map_err(|error| StartError::Storage { reason: error.to_string() })?;
        let gone = gone.map_err(|error| StartError::Storage { reason: error.to_string() })?;
        let is_any = !gone.is_empty();
        self.logs.extend(gone);
        Ok(is_any)
    }

    /// It is agreed on that these logs are gone: they are as if they had never been begun.
    fn settle(&self, identity: &Identity) {
        if let Err(error) = identity.begun_logs.forget(&self.logs) {
            tracing::warn!(%error, "what was lost is noted still; the next start says so again");
        }
    }
}
