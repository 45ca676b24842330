//! Who is let into the cluster. Pure: a decision from what is agreed on and what the server says of itself.

use std::ops::RangeInclusive;

use liftbridge_types::BrokerId;
use thiserror::Error;

use crate::cluster_state::ClusterState;
use crate::node_id::{DirectoryId, RaftId};

/// A server asks to be let into the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The broker it is.
    pub broker: BrokerId,
    /// Its data directory.
    pub directory: DirectoryId,
    /// Where the others reach it.
    pub peer_address: String,
    /// The cluster it belongs to, if it knows.
    pub cluster_id: Option<String>,
    /// Raft's number for its data directory, if a cluster gave it one.
    pub raft_id: Option<RaftId>,
    /// The feature levels it understands.
    pub feature_levels: RangeInclusive<u32>,
}

/// A server is a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Raft's number for its data directory.
    pub raft_id: RaftId,
    /// The cluster.
    pub cluster_id: String,
    /// The other members that can be reached, and where.
    pub peers: Vec<(BrokerId, String)>,
}

/// A server is not let in. Each text is one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JoinRefusal {
    /// It belongs to another cluster.
    #[error("this is cluster `{ours}`, and its data belongs to another one: join with an empty data directory")]
    OtherCluster {
        /// The cluster it asked.
        ours: String,
    },
    /// A member of that id has another data directory.
    #[error(
        "`{id}` is a member with another data directory: if that one is lost for ever, run `liftbridge-admin cluster remove \
         {id}` first; if not, start the server with it, or under another id"
    )]
    IdTaken {
        /// The id.
        id: BrokerId,
    },
    /// It does not understand what the cluster has agreed to use.
    #[error(
        "the cluster is at feature level {agreed}, this server understands {least} to {most}: run another version of it"
    )]
    FeatureLevel {
        /// The cluster's level.
        agreed: u32,
        /// The lowest level it understands.
        least: u32,
        /// The highest.
        most: u32,
    },
}

/// Whether the server was a member and is none any more. Said by whoever knows it, not only by the controller: numbers are not
/// given twice, so what was removed as of any state is removed for ever.
pub(crate) fn was_removed(state: &ClusterState, join: &Join) -> bool {
    let was_let_in = |id: RaftId| state.nodes.iter().len() > 0 && id <= state.nodes.last_id();
    join.cluster_id.as_ref() == Some(&state.cluster_id)
        && join.raft_id.is_some_and(|id| was_let_in(id) && state.nodes.get(id).is_none())
}

/// What is to be done about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is a member already.
    Member(RaftId),
    /// It becomes one, under this number.
    Add(RaftId),
    /// It must not become one.
    Refuse(JoinRefusal),
    /// Not at the moment: the cluster is about to agree on its founder, on a higher feature level, or to let the server's
    /// former self go.
    Later,
}

/// Decides about a request.
pub(crate) fn admission(state: &ClusterState, join: &Join) -> Admission {
    let agreed = state.feature_level;
    if join.cluster_id.as_ref().is_some_and(|theirs| *theirs != state.cluster_id) {
        return Admission::Refuse(JoinRefusal::OtherCluster { ours: state.cluster_id.clone() });
    }
    if !join.feature_levels.contains(&agreed) {
        let (least, most) = (*join.feature_levels.start(), *join.feature_levels.end());
        return Admission::Refuse(JoinRefusal::FeatureLevel { agreed, least, most });
    }
    match state.nodes.of_broker(&join.broker) {
        Some((_, node)) if node.leaving => Admission::Later,
        Some((id, node)) if node.directory == join.directory => Admission::Member(id),
        Some(_) => Admission::Refuse(JoinRefusal::IdTaken { id: join.broker.clone() }),
        None if state.brokers.get(&join.broker).is_some() => {
            Admission::Refuse(JoinRefusal::IdTaken { id: join.broker.clone() })
        }
        // The founder comes first.
        None if agreed < 2 || state.nodes.iter().len() == 0 => Admission::Later,
        None => Admission::Add(state.nodes.last_id().next()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::testing::Cluster;
    use crate::test_commands::{broker, directory, raft_id};

    fn join(number: u64) -> Join {
        Join {
            broker: broker(&number.to_string()),
            directory: directory(number),
            peer_address: format!("h:{number}"),
            cluster_id: None,
            raft_id: None,
            feature_levels: 1..=2,
        }
    }

    #[test]
    fn a_new_server_gets_the_next_number_and_a_known_one_its_own() {
        let cluster = Cluster::of(2);
        assert_eq!(admission(&cluster.state, &join(7)), Admission::Add(raft_id(3)));
        assert_eq!(admission(&cluster.state, &join(2)), Admission::Member(raft_id(2)));
        assert_eq!(admission(&cluster.state, &join(1)), Admission::Member(raft_id(1)));
    }

    #[test]
    fn a_lost_disk_is_never_believed_silently() {
        let mut cluster = Cluster::of(2);
        let again = Join { directory: directory(99), ..join(2) };
        let refusal = JoinRefusal::IdTaken { id: broker("2") };
        assert!(refusal.to_string().contains("liftbridge-admin cluster remove 2"));
        assert_eq!(admission(&cluster.state, &again), Admission::Refuse(refusal));
        cluster.fence("2");
        let remove = crate::RemoveBroker { id: broker("2"), forced: false };
        cluster.done(crate::Command::RemoveBroker(remove));
        assert_eq!(admission(&cluster.state, &again), Admission::Later);
        cluster.state.change_membership(crate::apply::MembershipChange::Remove(raft_id(2)));
        assert_eq!(admission(&cluster.state, &again), Admission::Add(raft_id(3)));
    }

    #[test]
    fn who_was_removed_is_told_so_and_nobody_else_is() {
        let mut cluster = Cluster::of(3);
        cluster.fence("2");
        cluster.done(crate::Command::RemoveBroker(crate::RemoveBroker { id: broker("2"), forced: false }));
        let asks = |number| {
            let cluster_id = Some("test".to_owned());
            Join { cluster_id, raft_id: Some(raft_id(number)), ..join(number) }
        };
        assert!(!was_removed(&cluster.state, &asks(2)), "it is only about to be");
        cluster.state.change_membership(crate::apply::MembershipChange::Remove(raft_id(2)));
        assert!(was_removed(&cluster.state, &asks(2)));
        assert!(!was_removed(&cluster.state, &asks(3)), "it is a member");
        assert!(!was_removed(&cluster.state, &asks(4)), "it may be let in by what is not applied here yet");
        assert!(!was_removed(&cluster.state, &Join { cluster_id: Some("other".to_owned()), ..asks(2) }));
        assert!(!was_removed(&cluster.state, &Join { cluster_id: None, ..asks(2) }));
        assert!(!was_removed(&cluster.state, &join(2)));
    }

    #[test]
    fn strangers_are_refused() {
        let mut cluster = Cluster::of(1);
        let other = Join { cluster_id: Some("other".to_owned()), ..join(2) };
        let ours = "test".to_owned();
        assert_eq!(admission(&cluster.state, &other), Admission::Refuse(JoinRefusal::OtherCluster { ours }));
        let newer = Join { feature_levels: 3..=4, ..join(2) };
        let refusal = JoinRefusal::FeatureLevel { agreed: 2, least: 3, most: 4 };
        assert_eq!(admission(&cluster.state, &newer), Admission::Refuse(refusal));
        cluster.state.feature_level = 1;
        assert_eq!(admission(&cluster.state, &join(2)), Admission::Later);
    }
}
