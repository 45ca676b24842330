use std::collections::HashMap;

use liftbridge_types::{BrokerIncarnation, PartitionEpoch};
use proptest::prelude::*;

use super::*;
use crate::divergence::LogTail;
use crate::message::{Body, Message};

fn broker(name: &str) -> BrokerId {
    BrokerId::new(name).unwrap()
}

fn life(name: &str, incarnation: u64) -> BrokerLife {
    BrokerLife { id: broker(name), incarnation: BrokerIncarnation::new(incarnation) }
}

const EPOCH: LeaderEpoch = LeaderEpoch::new(30);
const LAG_MAX: Duration = Duration::from_secs(10);

fn epoch_entries(entries: &[(u64, u64)]) -> Vec<(LeaderEpoch, Offset)> {
    entries.iter().map(|(epoch, start)| (LeaderEpoch::new(*epoch), Offset::new(*start))).collect()
}

/// A log with these epochs, all of it durable up to `durable_end`.
fn log(epochs: &[(u64, u64)], end: u64, durable_end: u64, high_watermark: u64) -> LogState {
    LogState {
        high_watermark: Offset::new(high_watermark),
        durable_end: Offset::new(durable_end),
        history: History::new(epoch_entries(epochs), Offset::ZERO, Offset::new(end)),
    }
}

/// A leader and a driver that does what it is told.
struct Fixture {
    leader: Leader,
    effects: Vec<Effect>,
    now: i64,
    version: u64,
}

impl Fixture {
    fn with(replicas: &[&str], in_sync_min: Option<u32>) -> Self {
        Self::of_log(replicas, in_sync_min, LogState::empty())
    }

    fn of_log(replicas: &[&str], in_sync_min: Option<u32>, log: LogState) -> Self {
        let assignment = Assignment {
            leader: Some(broker("a")),
            leader_epoch: EPOCH,
            epoch: PartitionEpoch::new(30),
            replicas: replicas.iter().map(|name| life(name, 1)).collect(),
            in_sync: replicas.iter().map(|name| broker(name)).collect(),
            eligible: Vec::new(),
            in_sync_min,
        };
        let options = LeaderOptions { lag_max: LAG_MAX, window_bytes: 1000, ..LeaderOptions::default() };
        let leader = Leader::new(life("a", 1), assignment, log, options, Duration::ZERO);
        Self { leader, effects: Vec::new(), now: 0, version: 30 }
    }

    fn sole() -> Self {
        Self::with(&["a"], None)
    }

    /// Two replicas, linked and agreed on an empty log.
    fn pair() -> Self {
        let mut fixture = Self::with(&["a", "b"], Some(1));
        fixture.link("b", true);
        fixture.position("b", 1, None, 0, 0);
        fixture.durable("b", 0);
        fixture
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.now += 100;
        self.effects.clear();
        self.leader.step(Timestamp::from_nanos(self.now), event, &mut self.effects);
        self.effects.clone()
    }

    fn propose(&mut self, id: usize, ack_policy: AckPolicy, expected_offset: Option<u64>) -> Vec<Effect> {
        let expected_offset = expected_offset.map(Offset::new);
        self.step(Event::Proposed(Proposal { id: ProposalId::new(id), ack_policy, expected_offset }))
    }

    /// Writes the batch at time `time`.
    fn append(&mut self, time: i64) -> Vec<Effect> {
        let start = self.leader.log_end();
        let offsets = start..start.plus(self.leader.batch.len() as u64);
        self.step(Event::Appended { offsets, time: Timestamp::from_nanos(time) })
    }

    /// Has one message written under `LEADER`.
    fn store(&mut self) -> Vec<Effect> {
        self.propose(900, AckPolicy::Leader, None);
        let effects = self.append(0);
        effects.into_iter().filter(|effect| !matches!(effect, Effect::Acknowledge { .. })).collect()
    }

    /// Replica `a` is this leader; others say so themselves.
    fn durable(&mut self, replica: &str, end: u64) -> Vec<Effect> {
        let end = Offset::new(end);
        if replica == "a" {
            return self.step(Event::DurableEnd { end });
        }
        self.hear(replica, Body::Progress { incarnation: BrokerIncarnation::new(1), durable_end: end })
    }

    fn hear(&mut self, from: &str, body: Body) -> Vec<Effect> {
        self.step(Event::Received { from: broker(from), message: Message::new(EPOCH, body) })
    }

    fn position(
        &mut self,
        from: &str,
        incarnation: u64,
        epoch: Option<u64>,
        end: u64,
        durable_end: u64,
    ) -> Vec<Effect> {
        let (incarnation, durable_end) = (BrokerIncarnation::new(incarnation), Offset::new(durable_end));
        self.hear(from, Body::Position { incarnation, tail: tail(epoch, end), durable_end, intact: true, full: false })
    }

    fn link(&mut self, to: &str, up: bool) -> Vec<Effect> {
        self.step(Event::Link { to: broker(to), up })
    }

    fn tick(&mut self, seconds: u64) -> Vec<Effect> {
        self.step(Event::Tick { elapsed: Duration::from_secs(seconds) })
    }

    /// The controller agrees on another set.
    fn agree(&mut self, in_sync: &[&str]) -> Vec<Effect> {
        self.version += 1;
        let in_sync = in_sync.iter().map(|name| broker(name)).collect();
        let epoch = PartitionEpoch::new(self.version);
        let assignment = Assignment { epoch, in_sync, ..self.leader.assignment().clone() };
        self.step(Event::Assigned(Box::new(assignment)))
    }
}

fn tail(epoch: Option<u64>, end: u64) -> LogTail {
    LogTail { epoch: epoch.map(LeaderEpoch::new), end: Offset::new(end) }
}

fn send(to: &str, body: Body) -> Effect {
    Effect::Send { to: broker(to), message: Box::new(Message::new(EPOCH, body)) }
}

fn push(to: &str, start: u64, bytes_max: usize) -> Effect {
    Effect::Push { to: broker(to), start: Offset::new(start), bytes_max }
}

fn notice(to: &str, epoch: Option<u64>, end: u64, high_watermark: u64) -> Effect {
    let (previous, high_watermark) = (tail(epoch, end), Offset::new(high_watermark));
    send(to, Body::Append { previous, high_watermark, batches: Vec::new() })
}

/// The sets asked for in these effects, as `broker/incarnation`.
fn asked(effects: &[Effect]) -> Vec<String> {
    let change = |effect: &Effect| match effect {
        Effect::ProposeInSync(change) => {
            let lives = change.in_sync.iter().map(|life| format!("{}/{}", life.id, life.incarnation));
            Some(lives.collect::<Vec<String>>().join(" "))
        }
        _ => None,
    };
    effects.iter().filter_map(change).collect()
}

fn let_in(id: usize) -> Effect {
    Effect::AddToBatch { id: ProposalId::new(id) }
}

fn refuse(id: usize, refusal: Refusal) -> Effect {
    Effect::Refuse { id: ProposalId::new(id), refusal }
}

fn ack(id: usize, offset: u64, received_at: i64, acknowledged_at: i64) -> Effect {
    Effect::Acknowledge {
        id: ProposalId::new(id),
        offset: Offset::new(offset),
        received_at: Timestamp::from_nanos(received_at),
        acknowledged_at: Timestamp::from_nanos(acknowledged_at),
    }
}

fn advance(end: u64) -> Effect {
    Effect::AdvanceHighWatermark { end: Offset::new(end) }
}

#[test]
fn leader_acks_follow_the_write_and_all_acks_the_commit_in_offset_order() {
    let mut fixture = Fixture::sole();
    fixture.propose(0, AckPolicy::All, None);
    fixture.propose(1, AckPolicy::Leader, None);
    fixture.propose(2, AckPolicy::None, None);
    fixture.propose(3, AckPolicy::All, None);
    assert_eq!(fixture.append(1000), [ack(1, 1, 1001, 500), ack(2, 2, 1002, 500)]);
    assert_eq!(fixture.durable("a", 4), [advance(4), ack(0, 0, 1000, 600), ack(3, 3, 1003, 600)]);
}

#[test]
fn all_waits_for_the_slowest_replica() {
    let mut fixture = Fixture::with(&["a", "b"], None);
    fixture.propose(0, AckPolicy::All, None);
    fixture.append(7);
    assert_eq!(fixture.durable("a", 1), []);
    assert_eq!(fixture.durable("b", 1), [advance(1), ack(0, 0, 7, 400)]);
}

#[test]
fn a_readonly_partition_refuses_and_takes_again() {
    let mut fixture = Fixture::sole();
    fixture.step(Event::SetReadonly(true));
    assert_eq!(fixture.propose(0, AckPolicy::Leader, None), [refuse(0, Refusal::Readonly)]);
    fixture.step(Event::SetReadonly(false));
    assert_eq!(fixture.propose(1, AckPolicy::Leader, None), [let_in(1)]);
}

#[test]
fn expected_offsets_are_checked_per_message_in_order() {
    let mut fixture = Fixture::sole();
    let incorrect = |next| Refusal::IncorrectOffset { next: Offset::new(next) };
    assert_eq!(fixture.propose(0, AckPolicy::Leader, Some(0)), [let_in(0)]);
    assert_eq!(fixture.propose(1, AckPolicy::Leader, Some(0)), [refuse(1, incorrect(1))]);
    assert_eq!(fixture.propose(2, AckPolicy::Leader, Some(1)), [let_in(2)]);
    assert_eq!(fixture.propose(3, AckPolicy::Leader, None), [let_in(3)]);
    fixture.append(0);
    assert_eq!(fixture.propose(4, AckPolicy::Leader, Some(2)), [refuse(4, incorrect(3))]);
    assert_eq!(fixture.propose(5, AckPolicy::Leader, Some(3)), [let_in(5)]);
}

#[test]
fn a_failed_append_refuses_its_batch_and_leaves_its_offsets_free() {
    let mut fixture = Fixture::sole();
    fixture.propose(0, AckPolicy::Leader, None);
    fixture.propose(1, AckPolicy::All, None);
    let failed = [refuse(0, Refusal::NotAppended), refuse(1, Refusal::NotAppended)];
    assert_eq!(fixture.step(Event::AppendFailed), failed);
    assert_eq!(fixture.propose(2, AckPolicy::Leader, Some(0)), [let_in(2)]);
}

#[test]
fn all_is_refused_below_the_minimum_and_leader_is_not() {
    let mut fixture = Fixture::with(&["a", "b", "c"], None);
    fixture.agree(&["a"]);
    let too_few = Refusal::TooFewInSync { in_sync_count: 1, minimum: 2 };
    assert_eq!(fixture.propose(0, AckPolicy::All, None), [refuse(0, too_few)]);
    fixture.propose(1, AckPolicy::Leader, None);
    assert_eq!(fixture.append(5), [ack(1, 0, 5, 400)]);
    assert_eq!(fixture.durable("a", 1), [], "nothing commits below the minimum");
    fixture.durable("b", 1);
    assert_eq!(fixture.agree(&["a", "b"]), [advance(1)]);
}

#[test]
fn a_sole_replica_commits_whatever_the_minimum() {
    let mut fixture = Fixture::with(&["a"], Some(2));
    fixture.propose(0, AckPolicy::Leader, None);
    fixture.append(5);
    assert_eq!(fixture.durable("a", 1), [advance(1)]);
}

#[test]
fn resigning_answers_everyone_and_later_proposals_too() {
    let mut fixture = Fixture::sole();
    fixture.propose(0, AckPolicy::All, None);
    fixture.append(0);
    fixture.propose(1, AckPolicy::Leader, None);
    assert_eq!(fixture.step(Event::Resigned), [refuse(0, Refusal::Resigned), refuse(1, Refusal::Resigned)]);
    assert_eq!(fixture.propose(2, AckPolicy::Leader, None), [refuse(2, Refusal::Resigned)]);
    assert_eq!(fixture.durable("a", 1), [], "who resigned commits nothing");
}

fn sole_on(log: LogState) -> Leader {
    let assignment = Assignment::sole(broker("a"), EPOCH);
    Leader::new(life("a", 1), assignment, log, LeaderOptions::default(), Duration::ZERO)
}

#[test]
fn a_sole_replica_counts_everything_durable_as_committed_when_it_begins() {
    assert_eq!(sole_on(log(&[(1, 0)], 5, 5, 2)).high_watermark(), Offset::new(5));
}

#[test]
fn a_checkpointed_watermark_above_the_log_end_is_not_believed() {
    assert_eq!(sole_on(log(&[(1, 0)], 5, 5, 9)).high_watermark(), Offset::new(5));
}

mod in_sync;
mod replicating;

#[derive(Clone, Debug)]
enum Action {
    Propose { ack_policy: AckPolicy, expected_delta: Option<i8> },
    Append,
    Fail,
    Durable { replica: usize, behind: u64 },
    Readonly(bool),
    Shrink(usize),
    Grow,
}

const REPLICAS: [&str; 3] = ["a", "b", "c"];

fn action() -> impl Strategy<Value = Action> {
    let policy = prop_oneof![Just(AckPolicy::All), Just(AckPolicy::Leader), Just(AckPolicy::None)];
    prop_oneof![
        8 => (policy, proptest::option::of(-1..2_i8))
            .prop_map(|(ack_policy, expected_delta)| Action::Propose { ack_policy, expected_delta }),
        4 => Just(Action::Append),
        1 => Just(Action::Fail),
        6 => (0..3_usize, 0..3_u64).prop_map(|(replica, behind)| Action::Durable { replica, behind }),
        1 => any::<bool>().prop_map(Action::Readonly),
        1 => (1..3_usize).prop_map(Action::Shrink),
        1 => Just(Action::Grow),
    ]
}

/// What the invariants are checked against, knowing nothing of how the leader works.
#[derive(Default)]
struct Checker {
    policies: HashMap<usize, AckPolicy>,
    answers: HashMap<usize, usize>,
    watermark: Offset,
}

impl Checker {
    fn observe(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::AddToBatch { .. }
                | Effect::Send { .. }
                | Effect::Push { .. }
                | Effect::Repair { .. }
                | Effect::ProposeInSync(_) => {}
                Effect::AdvanceHighWatermark { end } => {
                    assert!(*end > self.watermark, "the watermark went from {} to {end}", self.watermark);
                    self.watermark = *end;
                }
                Effect::Acknowledge { id, offset, .. } => {
                    if self.policies[&id.get()] == AckPolicy::All {
                        assert!(*offset < self.watermark, "ALL acknowledged above the watermark");
                    }
                    *self.answers.entry(id.get()).or_default() += 1;
                }
                Effect::Refuse { id, .. } => *self.answers.entry(id.get()).or_default() += 1,
            }
        }
    }
}

proptest! {
    #[test]
    fn watermark_is_monotone_every_proposal_is_answered_once_and_no_all_above_the_watermark(
        actions in proptest::collection::vec(action(), 0..200),
    ) {
        let mut fixture = Fixture::with(&REPLICAS, None);
        let mut checker = Checker::default();
        let mut next_id = 0;
        for action in actions {
            let effects = match action {
                Action::Propose { ack_policy, expected_delta } => {
                    let next = fixture.leader.log_end().get() + fixture.leader.batch.len() as u64;
                    let expected = expected_delta.map(|delta| next.saturating_add_signed(i64::from(delta)));
                    checker.policies.insert(next_id, ack_policy);
                    next_id += 1;
                    fixture.propose(next_id - 1, ack_policy, expected)
                }
                Action::Append => fixture.append(fixture.now),
                Action::Fail => fixture.step(Event::AppendFailed),
                Action::Durable { replica, behind } => {
                    let end = fixture.leader.log_end().get().saturating_sub(behind);
                    fixture.durable(REPLICAS[replica], end)
                }
                Action::Readonly(readonly) => fixture.step(Event::SetReadonly(readonly)),
                Action::Shrink(count) => {
                    fixture.agree(&REPLICAS[..count])
                }
                Action::Grow => fixture.agree(&REPLICAS),
            };
            checker.observe(&effects);
            prop_assert_eq!(checker.watermark, fixture.leader.high_watermark());
            prop_assert!(checker.watermark <= fixture.leader.log_end());
        }
        checker.observe(&fixture.step(Event::Resigned));
        prop_assert_eq!(checker.answers.len(), next_id);
        prop_assert!(checker.answers.values().all(|count| *count == 1));
    }
}
