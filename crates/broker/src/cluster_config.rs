//! What a broker is told about being one of several. Owns the defaults, which are those of a server alone; never where they
//! were configured.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_metadata_raft::SESSION_TIMEOUT_MAX;

use crate::peers::{NoPeers, Peers};

/// What a broker is told about being one of several.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The way to the other servers.
    pub peers: Arc<dyn Peers>,
    /// Where other servers reach this one; `None` when it listens to none.
    pub peer_address: Option<String>,
    /// The name of the cluster people chose.
    pub namespace: String,
    /// Whom a server without a past asks to be let in; nobody = it founds a cluster.
    pub join: Vec<String>,
    /// Whether a server without a past founds the cluster although there are others to ask.
    pub founds: bool,
    /// The place this server shares its fate with, if that is known.
    pub rack: Option<String>,
    /// How long a broker may give no sign of life, at most [`SESSION_TIMEOUT_MAX`]. Each is given its own.
    pub session_timeout: Duration,
    /// How many servers vote on the metadata; `None` = all.
    pub voters_max: Option<usize>,
    /// How long a replica may lag behind and count as in sync.
    pub replica_lag_max: Duration,
    /// Whether a partition that lost all in-sync replicas gets a leader that may lack what was committed.
    pub unclean_elections: bool,
}

impl ClusterConfig {
    /// How long this broker trusts an answer to a sign of life: never longer than the controller waits for it.
    pub(crate) fn session_timeout(&self) -> Duration {
        self.session_timeout.min(SESSION_TIMEOUT_MAX)
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            peers: Arc::new(NoPeers),
            peer_address: None,
            namespace: "liftbridge-default".to_owned(),
            join: Vec::new(),
            founds: false,
            rack: None,
            session_timeout: Duration::from_secs(2),
            voters_max: None,
            replica_lag_max: Duration::from_secs(15),
            unclean_elections: false,
        }
    }
}
