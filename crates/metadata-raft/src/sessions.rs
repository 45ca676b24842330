//! Which brokers are heard of. Owns the signs of life and what follows from them; never how they travel or a clock.
//!
//! A pure core of the controller: time is an argument, counted from any fixed moment. A new controller knows nothing of
//! what its predecessor heard, so every session begins afresh with it, but that of the predecessor's own broker: whoever was
//! elected because that one fell silent need not wait for it once more.
//!
//! An answered sign of life is a promise: the broker keeps its leaderships for a session timeout from when it was sent. So
//! nobody who is about to be fenced is answered that way, and nobody is fenced before the longer of two timeouts is over: that of
//! this server and that which the broker has registered. Servers may be configured differently, for a moment or by mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use liftbridge_types::{BrokerId, BrokerIncarnation};

use crate::command::{BrokerLife, Command};
use crate::log_index::LogIndex;
use crate::standing::CONTROLLER_LEASE;
use crate::state::{Broker, Brokers};

/// The longest session. Nobody waits longer for a partition without a leader, whatever a broker says of itself.
pub const SESSION_TIMEOUT_MAX: Duration = Duration::from_mins(5);

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Whose, in which of its lives.
    pub life: BrokerLife,
    /// How much of the metadata it has applied.
    pub applied: LogIndex,
}

/// What is said to a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAnswer {
    /// It keeps its leaderships for a session timeout from when it sent this.
    Alive,
    /// It is heard, but fenced: it leads nothing until it is not.
    Fenced,
    /// A later life of it is the present one.
    Superseded,
    /// It is no member any more.
    Removed,
    /// This server does not decide that now: ask the controller.
    NotController,
}

/// The sessions of all brokers.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// How long every broker may be silent at least.
    timeout: Duration,
    heard: BTreeMap<BrokerId, Heard>,
    /// Those who are about to be fenced.
    fencing: BTreeSet<BrokerId>,
}

#[derive(Debug)]
struct Heard {
    incarnation: BrokerIncarnation,
    last: Duration,
    /// How much it has applied, as it said since it is fenced; `None` before it has said anything then. What it said before
    /// does not bring back a broker that took its leave.
    applied: Option<LogIndex>,
}

impl Sessions {
    /// No sessions yet.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, heard: BTreeMap::new(), fencing: BTreeSet::new() }
    }

    /// Begins every session afresh, because this server has become the controller after `predecessor`.
    pub(crate) fn begin(&mut self, now: Duration, brokers: &Brokers, predecessor: Option<&BrokerId>) {
        self.heard.clear();
        self.fencing.clear();
        for (id, broker) in brokers.iter() {
            let head_start = self.timeout_of(broker).saturating_sub(CONTROLLER_LEASE);
            let last = if predecessor == Some(id) { now.saturating_sub(head_start) } else { now };
            self.heard.insert(id.clone(), Heard { incarnation: broker.incarnation, last, applied: None });
        }
    }

    /// Takes in a sign of life.
    pub(crate) fn on_heartbeat(&mut self, now: Duration, beat: &Heartbeat, brokers: &Brokers) -> HeartbeatAnswer {
        let BrokerLife { id, incarnation } = &beat.life;
        let Some(broker) = brokers.in_life(&beat.life) else {
            return match brokers.get(id) {
                None => HeartbeatAnswer::Removed,
                // A registration that this server has not applied yet may be the newer one.
                Some(broker) if *incarnation > broker.incarnation => HeartbeatAnswer::Fenced,
                Some(_) => HeartbeatAnswer::Superseded,
            };
        };
        let applied = broker.fenced.then_some(beat.applied);
        let heard = Heard { incarnation: *incarnation, last: now, applied };
        self.heard.insert(id.clone(), heard);
        match broker.fenced || self.fencing.contains(id) {
            true => HeartbeatAnswer::Fenced,
            false => HeartbeatAnswer::Alive,
        }
    }

    /// What to propose now: to fence who has fallen silent, to unfence who speaks again and has applied its registration.
    /// What was proposed before has been applied, or never will be.
    pub(crate) fn due(&mut self, now: Duration, brokers: &Brokers) -> Vec<Command> {
        self.heard.retain(|id, _| brokers.get(id).is_some());
        self.fencing.clear();
        let mut commands = Vec::new();
        for (id, broker) in brokers.iter() {
            let timeout = self.timeout_of(broker);
            let heard = self.heard.entry(id.clone()).or_insert(Heard {
                incarnation: broker.incarnation,
                last: now,
                applied: None,
            });
            if heard.incarnation != broker.incarnation {
                *heard = Heard { incarnation: broker.incarnation, last: now, applied: None };
            }
            let life = BrokerLife { id: id.clone(), incarnation: broker.incarnation };
            let is_silent = now.saturating_sub(heard.last) >= timeout;
            let knows_itself = heard.applied.is_some_and(|applied| applied.get() >= broker.incarnation.get());
            if !broker.fenced && is_silent {
                self.fencing.insert(id.clone());
                commands.push(Command::FenceBroker(life));
            } else if broker.fenced && !is_silent && knows_itself {
                commands.push(Command::UnfenceBroker(life));
            }
        }
        commands
    }

    /// How long a broker may be silent: for as long as it believes in an answer.
    fn timeout_of(&self, broker: &Broker) -> Duration {
        let registered = broker.session_timeout.unwrap_or_default();
        self.timeout.max(registered.min(SESSION_TIMEOUT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::Load;
    use crate::test_commands::{broker, life};

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn brokers(listed: &[(&str, u64, bool)]) -> Brokers {
        let mut brokers = Brokers::default();
        for (id, incarnation, fenced) in listed {
            let entry = Broker {
                host: String::new(),
                port: 1,
                incarnation: BrokerIncarnation::new(*incarnation),
                fenced: *fenced,
                rack: None,
                feature_level: 2,
                in_sync_min: None,
                session_timeout: None,
                raft_id: None,
                load: Load::default(),
            };
            brokers.insert(broker(id), entry);
        }
        brokers
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn beat(id: &str, incarnation: u64, applied: u64) -> Heartbeat {
        Heartbeat { life: life(id, incarnation), applied: LogIndex::new(applied) }
    }

    /// A broker that has registered its own timeout.
    fn patient(timeout: Duration) -> Brokers {
        let mut brokers = brokers(&[("a", 5, false), ("b", 6, false)]);
        brokers.get_mut(&broker("a")).unwrap().session_timeout = Some(timeout);
        brokers
    }

    fn begun(brokers: &Brokers) -> Sessions {
        let mut sessions = Sessions::new(TIMEOUT);
        sessions.begin(at(0), brokers, None);
        sessions
    }

    #[test]
    fn a_silent_broker_is_fenced_after_the_timeout_and_not_before() {
        let brokers = brokers(&[("a", 5, false), ("b", 6, false)]);
        let mut sessions = begun(&brokers);
        assert_eq!(sessions.on_heartbeat(at(500), &beat("a", 5, 9), &brokers), HeartbeatAnswer::Alive);
        assert_eq!(sessions.due(at(1999), &brokers), []);
        assert_eq!(sessions.due(at(2000), &brokers), [Command::FenceBroker(life("b", 6))]);
        assert_eq!(sessions.due(at(2500), &brokers).len(), 2);
    }

    #[test]
    fn a_broker_that_trusts_its_session_for_longer_is_waited_for() {
        let brokers = patient(Duration::from_secs(20));
        let mut sessions = begun(&brokers);
        sessions.on_heartbeat(at(1000), &beat("a", 5, 9), &brokers);
        assert_eq!(sessions.due(at(20_999), &brokers), [Command::FenceBroker(life("b", 6))]);
        assert_eq!(sessions.due(at(21_000), &brokers).len(), 2);
    }

    #[test]
    fn a_shorter_timeout_of_a_broker_and_an_absurd_one_do_not_count() {
        for (registered, waited_for) in [(at(500), TIMEOUT), (Duration::MAX, SESSION_TIMEOUT_MAX)] {
            let brokers = patient(registered);
            let mut sessions = begun(&brokers);
            let is_fenced = |due: Vec<Command>| due.contains(&Command::FenceBroker(life("a", 5)));
            assert!(!is_fenced(sessions.due(waited_for - at(1), &brokers)), "{registered:?}");
            assert!(is_fenced(sessions.due(waited_for, &brokers)), "{registered:?}");
        }
    }

    #[test]
    fn whoever_is_about_to_be_fenced_is_promised_nothing() {
        let brokers = brokers(&[("a", 5, false)]);
        let mut sessions = begun(&brokers);
        assert_eq!(sessions.due(at(2000), &brokers), [Command::FenceBroker(life("a", 5))]);
        assert_eq!(sessions.on_heartbeat(at(2001), &beat("a", 5, 9), &brokers), HeartbeatAnswer::Fenced);
    }

    #[test]
    fn a_fenced_broker_is_unfenced_once_it_has_applied_its_own_registration() {
        let brokers = brokers(&[("a", 5, true)]);
        let mut sessions = begun(&brokers);
        assert_eq!(sessions.due(at(1), &brokers), [], "nothing was heard under this controller");
        assert_eq!(sessions.on_heartbeat(at(10), &beat("a", 5, 4), &brokers), HeartbeatAnswer::Fenced);
        assert_eq!(sessions.due(at(11), &brokers), []);
        sessions.on_heartbeat(at(20), &beat("a", 5, 5), &brokers);
        assert_eq!(sessions.due(at(21), &brokers), [Command::UnfenceBroker(life("a", 5))]);
        assert_eq!(sessions.due(at(2020), &brokers), [], "it has fallen silent again");
    }

    #[test]
    fn a_former_life_is_told_so_and_keeps_nobody_alive() {
        let brokers = brokers(&[("a", 5, false)]);
        let mut sessions = begun(&brokers);
        assert_eq!(sessions.on_heartbeat(at(1900), &beat("a", 4, 9), &brokers), HeartbeatAnswer::Superseded);
        assert_eq!(sessions.on_heartbeat(at(1900), &beat("z", 4, 9), &brokers), HeartbeatAnswer::Removed);
        assert_eq!(sessions.on_heartbeat(at(1900), &beat("a", 6, 9), &brokers), HeartbeatAnswer::Fenced);
        assert_eq!(sessions.due(at(2000), &brokers), [Command::FenceBroker(life("a", 5))]);
    }

    #[test]
    fn a_new_controller_waits_less_for_its_predecessor() {
        let brokers = brokers(&[("a", 5, false), ("b", 6, false)]);
        let mut sessions = Sessions::new(TIMEOUT);
        sessions.begin(at(10_000), &brokers, Some(&broker("a")));
        assert_eq!(sessions.due(at(10_799), &brokers), []);
        assert_eq!(sessions.due(at(10_800), &brokers), [Command::FenceBroker(life("a", 5))]);
    }

    #[test]
    fn a_predecessor_trusts_itself_for_no_longer_however_patient_it_is() {
        let brokers = patient(Duration::from_secs(20));
        let mut sessions = Sessions::new(TIMEOUT);
        sessions.begin(at(30_000), &brokers, Some(&broker("a")));
        assert_eq!(sessions.due(at(30_799), &brokers), []);
        assert_eq!(sessions.due(at(30_800), &brokers), [Command::FenceBroker(life("a", 5))]);
        sessions.begin(at(30_000), &brokers, Some(&broker("b")));
        assert_eq!(sessions.due(at(49_999), &brokers), [Command::FenceBroker(life("b", 6))]);
    }

    #[test]
    fn who_takes_its_leave_is_not_brought_back_by_what_it_said_before() {
        let mut sessions = begun(&brokers(&[("a", 5, false)]));
        sessions.on_heartbeat(at(100), &beat("a", 5, 9), &brokers(&[("a", 5, false)]));
        let fenced = brokers(&[("a", 5, true)]);
        assert_eq!(sessions.due(at(200), &fenced), []);
        sessions.on_heartbeat(at(300), &beat("a", 5, 9), &fenced);
        assert_eq!(sessions.due(at(301), &fenced), [Command::UnfenceBroker(life("a", 5))]);
    }
}
