//! What the controller does by itself: fence and unfence brokers, give leaderships back, raise the feature level, let servers
//! vote that have caught up and let those go that were removed. Owns when each is due; never raft or a clock.
//!
//! A pure core: time is an argument. What is due is decided anew each time from what is agreed on, so a duty that was lost
//! on the way is due again. Nothing is decided while something decided before may still be on the way.

use std::time::Duration;

use liftbridge_types::BrokerId;

use crate::apply::MembershipChange;
use crate::balance::{leaderless, preferred_leaders};
use crate::cluster_state::{ClusterState, FEATURE_LEVEL};
use crate::command::{Command, ElectUnclean};
use crate::log_index::LogIndex;
use crate::node_id::RaftId;
use crate::sessions::{Heartbeat, HeartbeatAnswer, Sessions};

/// How often the partitions are looked at for leaderships to give.
const BALANCE_INTERVAL: Duration = Duration::from_secs(1);

/// How the controller decides.
#[derive(Clone, Debug)]
pub(crate) struct ControllerOptions {
    /// How long a broker may be silent.
    pub(crate) session_timeout: Duration,
    /// How many servers vote at most; 0 = all.
    pub(crate) voters_max: usize,
    /// Whether a partition without in-sync replicas gets a leader that may lack what was committed.
    pub(crate) unclean_elections: bool,
}

/// Something to be agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    Propose(Command),
    Change(MembershipChange),
}

/// The controller's own work.
#[derive(Debug)]
pub(crate) struct Controller {
    options: ControllerOptions,
    sessions: Sessions,
    /// When leaderships were looked at last, and up to which index was agreed on then.
    balanced: Option<(Duration, LogIndex)>,
}

impl Controller {
    /// A controller that does nothing until it begins.
    pub(crate) fn new(options: ControllerOptions) -> Self {
        Self { sessions: Sessions::new(options.session_timeout), options, balanced: None }
    }

    /// This server has become the controller after `predecessor`.
    pub(crate) fn begin(&mut self, now: Duration, state: &ClusterState, predecessor: Option<&BrokerId>) {
        self.sessions.begin(now, &state.brokers, predecessor);
        self.balanced = None;
    }

    /// Takes in a sign of life.
    pub(crate) fn on_heartbeat(&mut self, now: Duration, beat: &Heartbeat, state: &ClusterState) -> HeartbeatAnswer {
        self.sessions.on_heartbeat(now, beat, &state.brokers)
    }

    /// What is due now. `has_caught_up` says whether a server has what the others have.
    pub(crate) fn due(
        &mut self,
        now: Duration,
        applied: LogIndex,
        state: &ClusterState,
        has_caught_up: impl Fn(RaftId) -> bool,
    ) -> Vec<Duty> {
        let mut duties: Vec<Duty> = Vec::new();
        if let Some(level) = next_feature_level(state) {
            duties.push(Duty::Propose(Command::SetFeatureLevel(level)));
        }
        if state.feature_level < 2 {
            return duties;
        }
        duties.extend(self.sessions.due(now, &state.brokers).into_iter().map(Duty::Propose));
        duties.extend(self.next_membership_change(state, has_caught_up).map(Duty::Change));
        duties.extend(self.elections(now, applied, state).into_iter().map(Duty::Propose));
        duties
    }

    /// Once a second, and only if anything was agreed on since there was nothing to do.
    fn elections(&mut self, now: Duration, applied: LogIndex, state: &ClusterState) -> Vec<Command> {
        if let Some((then, index)) = self.balanced
            && (index == applied || now.saturating_sub(then) < BALANCE_INTERVAL)
        {
            return Vec::new();
        }
        let mut commands = preferred_leaders(&state.streams, &state.brokers);
        if self.options.unclean_elections {
            let elect = |partition| Command::ElectUnclean(ElectUnclean { partition, to: None });
            commands.extend(leaderless(&state.streams, &state.brokers).map(elect));
        }
        self.balanced = Some((now, applied));
        commands
    }

    /// One at a time: first those who leave, then the one that has taken part longest and may vote.
    fn next_membership_change(
        &self,
        state: &ClusterState,
        has_caught_up: impl Fn(RaftId) -> bool,
    ) -> Option<MembershipChange> {
        if let Some((id, _)) = state.nodes.iter().find(|(_, node)| node.leaving) {
            return Some(MembershipChange::Remove(id));
        }
        let voters = state.nodes.iter().filter(|(_, node)| node.voter).count();
        if self.options.voters_max != 0 && voters >= self.options.voters_max {
            return None;
        }
        let mut listening = state.nodes.iter().filter(|(_, node)| !node.voter).map(|(id, _)| id);
        listening.find(|id| has_caught_up(*id)).map(MembershipChange::Promote)
    }
}

/// The level that every server understands, if it is above the one agreed on.
pub(crate) fn next_feature_level(state: &ClusterState) -> Option<u32> {
    let understood = state.brokers.iter().map(|(_, broker)| broker.feature_level).min()?.min(FEATURE_LEVEL);
    // A server that takes part but has not registered may be of any version.
    let all_registered = state.nodes.iter().all(|(_, node)| state.brokers.get(&node.broker).is_some() || node.leaving);
    (understood > state.feature_level && all_registered).then_some(understood)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::testing::Cluster;
    use crate::test_commands::{added, broker, raft_id};

    fn controller(voters_max: usize) -> Controller {
        let session_timeout = Duration::from_secs(2);
        Controller::new(ControllerOptions { session_timeout, voters_max, unclean_elections: false })
    }

    /// What a controller that has just begun does about members, when these have caught up.
    #[track_caller]
    fn check(cluster: &Cluster, voters_max: usize, caught_up: &[u64], expected: Option<MembershipChange>) {
        let mut controller = controller(voters_max);
        controller.begin(Duration::ZERO, &cluster.state, None);
        let applied = LogIndex::new(cluster.index);
        let has_caught_up = |id: RaftId| caught_up.contains(&id.get());
        let duties = controller.due(Duration::ZERO, applied, &cluster.state, has_caught_up);
        assert_eq!(duties, expected.map(Duty::Change).into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_server_votes_when_it_has_caught_up_and_there_is_room() {
        let mut cluster = Cluster::of(3);
        check(&cluster, 0, &[], None);
        check(&cluster, 0, &[3], Some(MembershipChange::Promote(raft_id(3))));
        check(&cluster, 0, &[2, 3], Some(MembershipChange::Promote(raft_id(2))));
        check(&cluster, 1, &[2, 3], None);
        cluster.state.change_membership(MembershipChange::Promote(raft_id(2)));
        check(&cluster, 2, &[2, 3], None);
    }

    #[test]
    fn a_removed_server_goes_and_the_next_one_votes_in_its_place() {
        let mut cluster = Cluster::of(3);
        cluster.state.change_membership(MembershipChange::Promote(raft_id(2)));
        cluster.fence("2");
        cluster.done(Command::RemoveBroker(crate::RemoveBroker { id: broker("2"), forced: false }));
        check(&cluster, 2, &[3], Some(MembershipChange::Remove(raft_id(2))));
        cluster.state.change_membership(MembershipChange::Remove(raft_id(2)));
        check(&cluster, 2, &[3], Some(MembershipChange::Promote(raft_id(3))));
    }

    #[test]
    fn the_feature_level_rises_by_itself_when_all_understand_it() {
        let mut cluster = Cluster::of(2);
        cluster.state.feature_level = 1;
        assert_eq!(next_feature_level(&cluster.state), Some(2));
        cluster.state.change_membership(added(3));
        assert_eq!(next_feature_level(&cluster.state), None, "nobody knows what the third one understands");
    }

    #[test]
    fn leaderships_are_looked_at_once_a_second_and_only_after_a_change() {
        let mut cluster = Cluster::of(2);
        cluster.create("s", 1, 2);
        cluster.fence("1");
        cluster.unfence("1");
        cluster.done(Command::ChangeInSync(cluster.in_sync("s", 0, &["1", "2"])));
        let mut controller = controller(1);
        controller.begin(Duration::ZERO, &cluster.state, None);
        let mut due = |millis, index| {
            let now = Duration::from_millis(millis);
            controller.elections(now, LogIndex::new(index), &cluster.state).len()
        };
        assert_eq!((due(0, 5), due(100, 6), due(1000, 5), due(1000, 6)), (1, 0, 0, 1));
    }

    #[test]
    fn an_unclean_election_is_only_held_where_it_is_wanted() {
        let mut cluster = Cluster::of(3);
        cluster.create_committing_alone("s", 2);
        cluster.fence("1");
        cluster.fence("2");
        cluster.unfence("1");
        cluster.check("s", "-: 1 2 / 2");
        let mut controller = controller(1);
        assert_eq!(controller.elections(Duration::ZERO, LogIndex::new(1), &cluster.state), []);
        controller.options.unclean_elections = true;
        let elections = controller.elections(Duration::from_secs(9), LogIndex::new(2), &cluster.state);
        assert!(matches!(&elections[..], [Command::ElectUnclean(_)]), "{elections:?}");
    }
}
