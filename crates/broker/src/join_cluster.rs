//! Becoming a member of a cluster: asking its servers until one lets this one in. Owns whom to ask next and for how long;
//! never who is let in.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use liftbridge_metadata_raft::{DirectoryId, FEATURE_LEVEL, Presence, RaftId};
use liftbridge_types::BrokerId;

use crate::cluster_config::ClusterConfig;
use crate::config::StartError;
use crate::peers::{Join, JoinAnswer};
use crate::removal::REMOVED;

/// How often everybody is asked (behaviour spec 7.1).
const ROUNDS: usize = 30;
/// The wait after everybody was asked in vain.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one server may take to answer: letting somebody in takes an agreement.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How many servers one round may be sent on to.
const DETOURS_MAX: usize = 8;
/// The lowest feature level this software understands.
const FEATURE_LEVEL_MIN: u32 = 1;

/// What a member knows of its cluster before it was sent its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) raft_id: RaftId,
    pub(crate) cluster_id: String,
    /// The other members that can be reached, and where.
    pub(crate) peers: BTreeMap<BrokerId, String>,
}

/// Asks the servers at `config.join`, and those they name, until one lets this server in. Whoever is to found the cluster asks
/// once: when there is none yet (`None`), nobody decides; when there is, its founder has lost its disk and must not found another.
pub(crate) async fn join_cluster(
    config: &ClusterConfig,
    id: &BrokerId,
    directory: &DirectoryId,
    presence: &Presence,
) -> Result<Option<Membership>, StartError> {
    let Some(peer_address) = config.peer_address.clone() else {
        let reason = "other servers could not reach this one: set `clustering.listen`".to_owned();
        return Err(StartError::Join { reason });
    };
    let mut request = request_of(config, id, directory, &peer_address);
    if let Presence::Joined { raft_id, cluster_id } = presence {
        (request.raft_id, request.cluster_id) = (Some(raft_id.get()), Some(cluster_id.clone()));
    }
    let mut last_trouble = "nobody was asked".to_owned();
    for round in 0..ROUNDS {
        if round > 0 {
            tracing::info!(round, trouble = last_trouble, "not let into the cluster yet, asking again");
            tokio::time::sleep(PAUSE).await;
        }
        match ask_everybody(config, &request).await {
            Ok(membership) => return Ok(Some(membership)),
            Err(Trouble::Refused(reason)) => return Err(StartError::Join { reason }),
            Err(Trouble::NoMember(_)) if config.founds && *presence == Presence::Nothing => return Ok(None),
            Err(Trouble::NoMember(trouble) | Trouble::Passing(trouble)) => last_trouble = trouble,
        }
    }
    Err(StartError::Join { reason: last_trouble })
}

/// What a server says of itself before it knows of any cluster.
pub(crate) fn request_of(config: &ClusterConfig, id: &BrokerId, directory: &DirectoryId, peer_address: &str) -> Join {
    Join {
        broker_id: id.clone(),
        directory_id: directory.as_str().to_owned(),
        peer_address: peer_address.to_owned(),
        namespace: config.namespace.clone(),
        cluster_id: None,
        raft_id: None,
        feature_levels: FEATURE_LEVEL_MIN..=FEATURE_LEVEL,
    }
}

/// Why nobody has let this server in.
enum Trouble {
    /// Somebody has said no.
    Refused(String),
    /// No member of a cluster has answered.
    NoMember(String),
    /// Nobody has decided.
    Passing(String),
}

async fn ask_everybody(config: &ClusterConfig, request: &Join) -> Result<Membership, Trouble> {
    let mut trouble = "`clustering.join` names no server".to_owned();
    let mut addresses: VecDeque<String> = config.join.iter().cloned().collect();
    let (mut detours, mut is_there) = (0, false);
    while let Some(address) = addresses.pop_front() {
        if address == request.peer_address {
            continue;
        }
        let asked = tokio::time::timeout(ANSWER_PATIENCE, config.peers.join(&address, request.clone())).await;
        is_there |= matches!(&asked, Ok(Ok(answer)) if *answer != JoinAnswer::Starting);
        trouble = match asked {
            Ok(Ok(JoinAnswer::Accepted { raft_id, cluster_id, peers })) => {
                let Some(raft_id) = RaftId::new(raft_id) else { continue };
                return Ok(Membership { raft_id, cluster_id, peers });
            }
            Ok(Ok(JoinAnswer::Refused { reason })) => return Err(Trouble::Refused(format!("`{address}`: {reason}"))),
            Ok(Ok(JoinAnswer::Removed)) => return Err(Trouble::Refused(REMOVED.to_owned())),
            Ok(Ok(JoinAnswer::AskController { address: controller })) => {
                if detours < DETOURS_MAX {
                    detours += 1;
                    addresses.push_front(controller);
                }
                format!("`{address}` does not decide")
            }
            Ok(Ok(JoinAnswer::Starting)) => format!("`{address}` is no member of a cluster yet"),
            Ok(Ok(JoinAnswer::NoController)) => format!("`{address}` knows no controller at the moment"),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => format!("`{address}` does not answer"),
        };
    }
    Err(if is_there { Trouble::Passing(trouble) } else { Trouble::NoMember(trouble) })
}
