//! What a leader can say of its partition to a person: how far each replica is, and what committing waits for. Owns the
//! reasons and their words; changes nothing.

use std::fmt;
use std::time::Duration;

use liftbridge_types::{BrokerId, Offset};

use super::Leader;
use crate::follower_progress::FollowerProgress;

/// How a partition stands, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The end of what is committed.
    pub high_watermark: Offset,
    /// The end of what is written.
    pub log_end: Offset,
    /// The end of what is on the leader's own stable storage.
    pub durable_end: Offset,
    /// The followers, in the order of the assignment.
    pub followers: Vec<FollowerStanding>,
    /// Who is in an in-sync set that was asked for and is not answered.
    pub proposed: Vec<BrokerId>,
    /// What committing waits for; nothing = everything written is committed, and more would be.
    pub waits: Vec<Wait>,
}

/// How far a follower is, as its leader knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerStanding {
    /// Which broker.
    pub id: BrokerId,
    /// The end of what it has on stable storage; `None` while that is not known in this leadership.
    pub durable_end: Option<Offset>,
    /// How long it has not had everything the leader has; zero while it has.
    pub behind_for: Duration,
    /// How long nothing was heard from it; `None` = nothing in this leadership.
    pub silent_for: Option<Duration>,
    /// Whether there is a link to it.
    pub is_linked: bool,
    /// Whether it said that what it has is damaged.
    pub is_damaged: bool,
    /// Whether it said that it has no room for more.
    pub is_full: bool,
}

/// Something without which nothing more is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// This leadership has ended.
    Resigned,
    /// The leader has not heard from the controller for a session timeout.
    Lapsed,
    /// Somebody spoke of a later leadership.
    Superseded,
    /// Fewer replicas are in sync than it takes.
    TooFewInSync {
        /// How many are.
        in_sync_count: usize,
        /// How many it takes.
        minimum: usize,
    },
    /// The leader's own storage.
    OwnStorage {
        /// The end of what it has.
        durable_end: Offset,
        /// The end of what is written.
        log_end: Offset,
    },
    /// A follower that counts as in sync, or may.
    Follower {
        /// How it stands.
        standing: FollowerStanding,
        /// The end of what is written.
        log_end: Offset,
        /// Whether it only is proposed as an in-sync replica.
        only_proposed: bool,
    },
}

impl Leader {
    /// How the partition stands at `elapsed`, in the driver's time.
    pub fn explain(&self, elapsed: Duration) -> Explanation {
        let now = self.elapsed.max(elapsed);
        let followers = self.replicas.followers().iter().map(|follower| self.standing(follower, now));
        Explanation {
            high_watermark: self.high_watermark(),
            log_end: self.log_end(),
            durable_end: self.replicas.own_durable_end(),
            followers: followers.collect(),
            proposed: self.replicas.proposed_ids().to_vec(),
            waits: self.waits(now),
        }
    }

    /// Since when, in the driver's time, an in-sync follower has not had everything the leader has; the longest of them. `None`
    /// while all have.
    pub fn behind_since(&self) -> Option<Duration> {
        let log_end = self.log_end();
        let assignment = self.replicas.assignment();
        let in_sync = self.replicas.followers().iter().filter(|follower| assignment.is_in_sync(&follower.id));
        in_sync.filter_map(|follower| follower.behind_since(log_end)).min()
    }

    fn standing(&self, follower: &FollowerProgress, now: Duration) -> FollowerStanding {
        let behind_since = follower.behind_since(self.log_end());
        FollowerStanding {
            id: follower.id.clone(),
            durable_end: follower.durable_end(),
            behind_for: behind_since.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            silent_for: follower.heard_at().map(|at| now.saturating_sub(at)),
            is_linked: follower.is_linked(),
            is_damaged: follower.is_damaged(),
            is_full: follower.is_full(),
        }
    }

    fn waits(&self, now: Duration) -> Vec<Wait> {
        if !self.leading {
            return vec![Wait::Resigned];
        }
        let assignment = self.replicas.assignment();
        let (in_sync_count, minimum) = (assignment.in_sync.len(), assignment.minimum_for_all());
        let mut waits = Vec::new();
        waits.extend(self.lapsed.then_some(Wait::Lapsed));
        waits.extend(self.superseded.then_some(Wait::Superseded));
        waits.extend((in_sync_count < minimum).then_some(Wait::TooFewInSync { in_sync_count, minimum }));
        if self.high_watermark() < self.log_end() {
            waits.extend(self.own_storage());
            waits.extend(self.replicas.followers().iter().filter_map(|follower| self.wait_for(follower, now)));
        }
        waits
    }

    fn own_storage(&self) -> Option<Wait> {
        let (log_end, durable_end) = (self.log_end(), self.replicas.own_durable_end());
        (durable_end < log_end).then_some(Wait::OwnStorage { durable_end, log_end })
    }

    /// That a follower lacks something, if that matters.
    fn wait_for(&self, follower: &FollowerProgress, now: Duration) -> Option<Wait> {
        let is_agreed = self.replicas.assignment().is_in_sync(&follower.id);
        let counts = is_agreed || self.replicas.is_proposed(&follower.id);
        let log_end = self.log_end();
        let lacks_something = follower.durable_end().is_none_or(|end| end < log_end);
        let standing = self.standing(follower, now);
        (counts && lacks_something).then_some(Wait::Follower { standing, log_end, only_proposed: !is_agreed })
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resigned => write!(f, "the leadership of the server that was asked has ended"),
            Self::Lapsed => {
                write!(f, "the leader does not hear from the controller, which may have given the lead away")
            }
            Self::Superseded => write!(f, "a replica knows of a later leader, and this one does not yet"),
            Self::TooFewInSync { in_sync_count, minimum } => {
                write!(f, "too few replicas are in sync: {in_sync_count}, and it takes {minimum}")
            }
            Self::OwnStorage { durable_end, log_end } => {
                write!(
                    f,
                    "the leader's own disk has everything before {durable_end} of {log_end}, the rest is to be synced"
                )
            }
            Self::Follower { standing, log_end, only_proposed } => {
                let part = if *only_proposed { " (about to be in sync)" } else { "" };
                write!(f, "`{}`{part} ", standing.id)?;
                match standing.durable_end {
                    Some(end) => write!(f, "has everything before {end} of {log_end}")?,
                    None => write!(f, "has not said what it has")?,
                }
                standing.fault().map_or(Ok(()), |fault| write!(f, ": {fault}"))
            }
        }
    }
}

impl FollowerStanding {
    /// What keeps it from having more, if that is known.
    fn fault(&self) -> Option<&'static str> {
        match (self.is_linked, self.is_damaged, self.is_full) {
            (false, _, _) => Some("there is no connection to it"),
            (true, true, _) => Some("what it has is damaged on its disk"),
            (true, false, true) => Some("its disk is full"),
            (true, false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_types::{AckPolicy, BrokerIncarnation, LeaderEpoch, PartitionEpoch, Timestamp};

    use super::*;
    use crate::assignment::{Assignment, BrokerLife};
    use crate::event::{Event, Proposal, ProposalId};
    use crate::leader::{LeaderOptions, LogState};
    use crate::message::{Body, Message};

    const EPOCH: LeaderEpoch = LeaderEpoch::new(7);

    fn broker(name: &str) -> BrokerId {
        BrokerId::new(name).unwrap()
    }

    /// A leader `a` of these replicas, all in sync, with a log that is empty.
    fn leader(replicas: &[&str], in_sync: &[&str]) -> Leader {
        let life = |name: &&str| BrokerLife { id: broker(name), incarnation: BrokerIncarnation::new(1) };
        let assignment = Assignment {
            leader: Some(broker("a")),
            leader_epoch: EPOCH,
            epoch: PartitionEpoch::new(7),
            replicas: replicas.iter().map(life).collect(),
            in_sync: in_sync.iter().map(|name| broker(name)).collect(),
            eligible: Vec::new(),
            in_sync_min: None,
        };
        Leader::new(life(&"a"), assignment, LogState::empty(), LeaderOptions::default(), Duration::ZERO)
    }

    fn step(leader: &mut Leader, event: Event) {
        leader.step(Timestamp::from_nanos(1), event, &mut Vec::new());
    }

    /// Appends one message, which is on the leader's disk if it is `synced`.
    fn append(leader: &mut Leader, synced: bool) {
        let proposal = Proposal { id: ProposalId::new(1), ack_policy: AckPolicy::Leader, expected_offset: None };
        step(leader, Event::Proposed(proposal));
        let offsets = leader.log_end()..leader.log_end().next();
        step(leader, Event::Appended { offsets, time: Timestamp::from_nanos(1) });
        if synced {
            step(leader, Event::DurableEnd { end: leader.log_end() });
        }
    }

    fn hear(leader: &mut Leader, from: &str, durable_end: u64) {
        let body = Body::Progress { incarnation: BrokerIncarnation::new(1), durable_end: Offset::new(durable_end) };
        step(leader, Event::Received { from: broker(from), message: Message::new(EPOCH, body) });
    }

    fn said(leader: &Leader, elapsed: Duration) -> Vec<String> {
        leader.explain(elapsed).waits.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_partition_with_everything_committed_waits_for_nothing() {
        let mut leader = leader(&["a"], &["a"]);
        append(&mut leader, true);
        assert_eq!(leader.explain(Duration::ZERO).waits, []);
        assert_eq!(leader.explain(Duration::ZERO).high_watermark, Offset::new(1));
    }

    #[test]
    fn what_is_not_on_the_own_disk_is_waited_for() {
        let mut leader = leader(&["a"], &["a"]);
        append(&mut leader, false);
        assert_eq!(
            said(&leader, Duration::ZERO),
            ["the leader's own disk has everything before 0 of 1, the rest is to be synced"]
        );
    }

    #[test]
    fn an_in_sync_follower_without_the_newest_is_named_with_what_it_lacks_and_why() {
        let mut leader = leader(&["a", "b", "c"], &["a", "b"]);
        step(&mut leader, Event::Link { to: broker("b"), up: true });
        append(&mut leader, true);
        assert_eq!(said(&leader, Duration::ZERO), ["`b` has not said what it has"]);
        hear(&mut leader, "b", 1);
        append(&mut leader, true);
        assert_eq!(said(&leader, Duration::ZERO), ["`b` has everything before 1 of 2"]);
        step(&mut leader, Event::Link { to: broker("b"), up: false });
        assert_eq!(said(&leader, Duration::ZERO), ["`b` has everything before 1 of 2: there is no connection to it"]);
    }

    #[test]
    fn too_few_in_sync_replicas_are_a_reason_even_while_nothing_is_uncommitted() {
        let leader = leader(&["a", "b", "c"], &["a"]);
        assert_eq!(leader.explain(Duration::ZERO).waits, [Wait::TooFewInSync { in_sync_count: 1, minimum: 2 }]);
    }

    #[test]
    fn a_lapsed_session_is_a_reason_and_so_is_the_end_of_the_leadership() {
        let mut leader = leader(&["a", "b"], &["a", "b"]);
        step(&mut leader, Event::Lapsed);
        assert_eq!(leader.explain(Duration::ZERO).waits, [Wait::Lapsed]);
        step(&mut leader, Event::Resigned);
        assert_eq!(leader.explain(Duration::ZERO).waits, [Wait::Resigned]);
    }

    #[test]
    fn silence_and_lag_are_counted_from_what_was_heard_last() {
        let seconds = Duration::from_secs;
        let mut leader = leader(&["a", "b"], &["a", "b"]);
        assert_eq!(leader.explain(seconds(9)).followers[0].silent_for, None);
        step(&mut leader, Event::Link { to: broker("b"), up: true });
        step(&mut leader, Event::Tick { elapsed: seconds(10) });
        hear(&mut leader, "b", 0);
        assert_eq!(leader.behind_since(), None);
        append(&mut leader, true);
        assert_eq!(leader.behind_since(), Some(seconds(10)));
        let standing = &leader.explain(seconds(13)).followers[0];
        assert_eq!((standing.silent_for, standing.behind_for), (Some(seconds(3)), seconds(3)));
        hear(&mut leader, "b", 1);
        assert_eq!(leader.explain(seconds(13)).followers[0].behind_for, Duration::ZERO);
    }
}
