//! Who this server is to its peers, as far as it is known yet. Owns what is said in greetings; never whether the other end
//! is believed.

use std::sync::OnceLock;

use liftbridge_types::BrokerId;

/// This server among its peers. The listener is there before the data directory has told who the server is.
#[derive(Debug)]
pub(crate) struct LocalPeer {
    namespace: String,
    id: OnceLock<BrokerId>,
    cluster_id: OnceLock<String>,
}

impl LocalPeer {
    /// A server of this namespace that does not know yet who it is.
    pub(crate) fn new(namespace: String) -> Self {
        Self { namespace, id: OnceLock::new(), cluster_id: OnceLock::new() }
    }

    /// From now on the server is called this. The first name stays.
    pub(crate) fn introduce(&self, id: BrokerId) {
        self.id.get_or_init(|| id);
    }

    /// From now on the server belongs to this cluster, and to no other for as long as it runs.
    pub(crate) fn belongs_to(&self, cluster_id: String) {
        self.cluster_id.get_or_init(|| cluster_id);
    }

    /// The name of the cluster people chose.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What the server is called, once that is known.
    pub(crate) fn id(&self) -> Option<&BrokerId> {
        self.id.get()
    }

    /// The cluster it belongs to; empty while it belongs to none.
    pub(crate) fn cluster_id(&self) -> &str {
        self.cluster_id.get().map_or("", String::as_str)
    }

    /// Whether a server of that cluster may be talked to: one of the two may not know its own yet.
    pub(crate) fn may_know(&self, other_cluster_id: &str) -> bool {
        let own = self.cluster_id();
        own.is_empty() || other_cluster_id.is_empty() || own == other_cluster_id
    }
}
