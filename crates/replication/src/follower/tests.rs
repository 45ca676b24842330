use liftbridge_types::BrokerIncarnation;

use super::*;

const EPOCH: LeaderEpoch = LeaderEpoch::new(30);

fn broker(name: &str) -> BrokerId {
    BrokerId::new(name).unwrap()
}

fn offset(number: u64) -> Offset {
    Offset::new(number)
}

fn tail(epoch: Option<u64>, end: u64) -> LogTail {
    LogTail { epoch: epoch.map(LeaderEpoch::new), end: offset(end) }
}

/// A follower `b` of leader `a` in epoch 30, whose log has these epochs.
struct Fixture(Follower);

impl Fixture {
    fn of(epochs: &[(u64, u64)], end: u64, high_watermark: u64) -> (Self, Vec<FollowerEffect>) {
        let epochs = epochs.iter().map(|(epoch, start)| (LeaderEpoch::new(*epoch), offset(*start))).collect();
        let log = LogState {
            high_watermark: offset(high_watermark),
            durable_end: offset(end),
            history: History::new(epochs, Offset::ZERO, offset(end)),
        };
        let me = BrokerLife { id: broker("b"), incarnation: BrokerIncarnation::new(5) };
        let mut effects = Vec::new();
        let follower = Follower::new(me, broker("a"), EPOCH, log, false, &mut effects);
        (Self(follower), effects)
    }

    fn step(&mut self, event: FollowerEvent<'_>) -> Vec<FollowerEffect> {
        let mut effects = Vec::new();
        self.0.step(event, &mut effects);
        effects
    }

    fn hear(&mut self, body: Body) -> Vec<FollowerEffect> {
        self.step(FollowerEvent::Received { from: &broker("a"), message: &Message::new(EPOCH, body) })
    }

    fn append(&mut self, epoch: Option<u64>, start: u64, high_watermark: u64) -> Vec<FollowerEffect> {
        let batches = vec![bytes::Bytes::from_static(b"batch")];
        self.hear(Body::Append { previous: tail(epoch, start), high_watermark: offset(high_watermark), batches })
    }

    fn bare(&mut self, epoch: Option<u64>, start: u64, high_watermark: u64) -> Vec<FollowerEffect> {
        let (previous, high_watermark) = (tail(epoch, start), offset(high_watermark));
        self.hear(Body::Append { previous, high_watermark, batches: Vec::new() })
    }

    fn appended(&mut self, epoch: u64, start: u64, end: u64) {
        let batches = [(LeaderEpoch::new(epoch), offset(start))];
        assert_eq!(self.step(FollowerEvent::Appended { batches: &batches, end: offset(end) }), []);
    }

    fn durable(&mut self, end: u64) -> Vec<FollowerEffect> {
        self.step(FollowerEvent::DurableEnd { end: offset(end) })
    }
}

fn send(body: Body) -> FollowerEffect {
    FollowerEffect::Send { to: broker("a"), message: Message::new(EPOCH, body) }
}

fn position(epoch: Option<u64>, end: u64) -> FollowerEffect {
    position_of(epoch, end, end, true)
}

fn position_of(epoch: Option<u64>, end: u64, durable_end: u64, intact: bool) -> FollowerEffect {
    let incarnation = BrokerIncarnation::new(5);
    send(Body::Position { incarnation, tail: tail(epoch, end), durable_end: offset(durable_end), intact, full: false })
}

fn progress(durable_end: u64) -> FollowerEffect {
    send(Body::Progress { incarnation: BrokerIncarnation::new(5), durable_end: offset(durable_end) })
}

fn advance(end: u64) -> FollowerEffect {
    FollowerEffect::AdvanceHighWatermark { end: offset(end) }
}

#[test]
fn a_follower_says_where_it_is_without_being_asked_and_when_it_is() {
    let (mut follower, effects) = Fixture::of(&[(10, 0), (20, 4)], 6, 3);
    assert_eq!(effects, [position(Some(20), 6)]);
    assert_eq!(follower.hear(Body::Begin), [position(Some(20), 6)]);
    assert_eq!(follower.step(FollowerEvent::Linked), [position(Some(20), 6)]);
}

#[test]
fn the_watermark_moves_after_the_records_are_durable_and_never_beyond_them() {
    let (mut follower, _) = Fixture::of(&[], 0, 0);
    assert_eq!(follower.append(None, 0, 9), [FollowerEffect::Append]);
    follower.appended(30, 0, 2);
    assert_eq!(follower.append(Some(30), 2, 9), [FollowerEffect::Append]);
    follower.appended(30, 2, 4);
    assert_eq!(follower.durable(4), [progress(4), advance(4)]);
    assert_eq!(follower.bare(Some(30), 4, 3), [progress(4)], "it never goes back");
}

#[test]
fn a_watermark_told_alone_is_confirmed_at_once_or_with_what_is_not_durable_yet() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 5, 3);
    assert_eq!(follower.bare(Some(10), 5, 4), [progress(5), advance(4)]);
    follower.append(Some(10), 5, 4);
    follower.appended(30, 5, 6);
    assert_eq!(follower.bare(Some(30), 6, 6), [advance(5)]);
    assert_eq!(follower.durable(6), [progress(6), advance(6)]);
}

#[test]
fn an_append_that_does_not_follow_the_same_record_is_not_taken() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 5, 3);
    assert_eq!(follower.append(Some(20), 5, 5), [], "the leader is waited for: it knows where this log ends");
    assert_eq!(follower.bare(Some(20), 5, 5), []);
    assert_eq!(follower.0.high_watermark(), offset(3));
    assert_eq!(follower.append(Some(10), 5, 3), [FollowerEffect::Append]);
}

#[test]
fn an_append_that_comes_twice_is_confirmed_and_not_appended() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 5, 3);
    assert_eq!(follower.append(Some(10), 3, 3), [], "not yet agreed, and the position is on its way");
    follower.append(Some(10), 5, 3);
    follower.appended(30, 5, 6);
    follower.durable(6);
    assert_eq!(follower.append(Some(10), 5, 3), [progress(6)]);
    assert_eq!(follower.append(Some(10), 5, 6), [progress(6), advance(6)], "the watermark it carries is news");
}

#[test]
fn after_a_gap_the_position_is_told_once() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 5, 3);
    follower.append(Some(10), 5, 3);
    follower.appended(30, 5, 6);
    follower.durable(6);
    assert_eq!(follower.append(Some(30), 7, 3), [position(Some(30), 6)]);
    assert_eq!(follower.append(Some(30), 8, 3), []);
}

#[test]
fn a_follower_cuts_to_the_smaller_end_and_asks_again() {
    #[track_caller]
    fn check(epochs: &[(u64, u64)], end: u64, answer: (Option<u64>, u64), cut: u64, then: (Option<u64>, u64)) {
        let (mut follower, _) = Fixture::of(epochs, end, 1);
        let asked = follower.0.history.tail();
        let effects = follower.hear(Body::EpochEnd { asked, answer: tail(answer.0, answer.1) });
        assert_eq!(effects, [FollowerEffect::Truncate { end: offset(cut) }, position(then.0, then.1)]);
    }
    // The leader's part of the epoch is shorter.
    check(&[(10, 0)], 6, (Some(10), 4), 4, (Some(10), 4));
    // Mine is shorter, and what came after it is of an epoch the leader does not have.
    check(&[(10, 0), (20, 3)], 6, (Some(10), 5), 3, (Some(10), 3));
    // I do not have the leader's epoch: the end of my largest one below (KIP-279).
    check(&[(10, 0), (20, 3), (25, 5)], 8, (Some(22), 7), 5, (Some(20), 5));
    // Three fast fail-overs: one round is not enough, the next question goes on from here.
    check(&[(10, 0), (20, 3)], 6, (Some(15), 5), 3, (Some(10), 3));
}

#[test]
fn an_answer_about_a_log_that_is_no_more_is_ignored() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 6, 1);
    let late = Body::EpochEnd { asked: tail(Some(10), 7), answer: tail(Some(10), 2) };
    assert_eq!(follower.hear(late), []);
    assert_eq!(follower.hear(Body::Reset { asked: tail(Some(10), 7), start: offset(9) }), []);
}

#[test]
fn what_is_committed_is_never_cut() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 6, 5);
    let fault = FollowerFault { cut: offset(4), high_watermark: offset(5), leader_epoch: EPOCH };
    let answer = Body::EpochEnd { asked: tail(Some(10), 6), answer: tail(Some(10), 4) };
    assert_eq!(follower.hear(answer), [FollowerEffect::Fail(fault)]);
    assert_eq!(follower.hear(Body::Begin), [], "who failed does nothing more");

    let (mut follower, _) = Fixture::of(&[(10, 0)], 6, 5);
    let reset = Body::Reset { asked: tail(Some(10), 6), start: offset(4) };
    assert_eq!(follower.hear(reset), [FollowerEffect::Fail(fault)]);
}

#[test]
fn a_follower_that_is_too_far_behind_begins_where_the_leaders_log_starts() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 6, 5);
    let reset = Body::Reset { asked: tail(Some(10), 6), start: offset(9) };
    assert_eq!(
        follower.hear(reset),
        [FollowerEffect::Reset { start: offset(9) }, advance(9), position(None, 9)],
        "what retention has removed was committed"
    );
    assert_eq!(follower.append(Some(20), 9, 9), [FollowerEffect::Append]);
}

#[test]
fn other_leaderships_and_other_brokers_are_not_believed() {
    let (mut follower, _) = Fixture::of(&[], 0, 0);
    let say = |follower: &mut Fixture, from: &str, epoch: u64| {
        let message = Message::new(LeaderEpoch::new(epoch), Body::Begin);
        follower.step(FollowerEvent::Received { from: &broker(from), message: &message })
    };
    let fenced = FollowerEffect::Send { to: broker("c"), message: Message::new(EPOCH, Body::Fenced) };
    assert_eq!(say(&mut follower, "c", 29), [fenced]);
    assert_eq!(say(&mut follower, "a", 31), [], "the metadata here will say so too");
    assert_eq!(say(&mut follower, "c", 30), [], "somebody else leads in this epoch");
}

#[test]
fn damage_is_told_until_it_is_repaired() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 6, 5);
    let offsets = offset(2)..offset(3);
    let damaged = Body::Damaged { incarnation: BrokerIncarnation::new(5), offsets: offsets.clone() };
    let repair = Body::Repair { start: offset(2), batches: Vec::new() };
    assert_eq!(follower.hear(repair.clone()), [], "nobody asked for it");
    assert_eq!(follower.step(FollowerEvent::Damaged { offsets }), [send(damaged)]);
    assert_eq!(follower.hear(Body::Begin), [position_of(Some(10), 6, 6, false)]);
    assert_eq!(follower.hear(repair), [FollowerEffect::Repair]);
    assert_eq!(
        follower.step(FollowerEvent::Repaired { epochs: &[(LeaderEpoch::new(10), offset(0))] }),
        [position(Some(10), 6)]
    );
}

#[test]
fn what_is_cut_off_is_not_damaged_any_more() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 6, 2);
    follower.step(FollowerEvent::Damaged { offsets: offset(4)..offset(5) });
    follower.step(FollowerEvent::Damaged { offsets: offset(5)..offset(6) });
    let parted = |from, end| Body::EpochEnd { asked: tail(Some(10), from), answer: tail(Some(10), end) };
    let cut = |end| FollowerEffect::Truncate { end: offset(end) };
    assert_eq!(follower.hear(parted(6, 5)), [cut(5), position_of(Some(10), 5, 5, false)], "some of it is left");
    assert_eq!(follower.hear(parted(5, 4)), [cut(4), position(Some(10), 4)]);
}

#[test]
fn epochs_that_damage_hides_are_no_reason_to_give_up() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 6, 5);
    follower.step(FollowerEvent::Damaged { offsets: offset(2)..offset(6) });
    let answer = Body::EpochEnd { asked: tail(Some(10), 6), answer: tail(Some(10), 2) };
    assert_eq!(follower.hear(answer.clone()), [], "the leader has another epoch there, and so may this log");
    let epochs = [(LeaderEpoch::new(10), offset(0)), (LeaderEpoch::new(20), offset(2))];
    assert_eq!(follower.step(FollowerEvent::Repaired { epochs: &epochs }), [position(Some(20), 6)]);
    assert_eq!(follower.hear(answer), [], "it is about the log as it was known before");
}

fn full(epoch: Option<u64>, end: u64, durable_end: u64) -> FollowerEffect {
    let (incarnation, durable_end) = (BrokerIncarnation::new(5), offset(durable_end));
    send(Body::Position { incarnation, tail: tail(epoch, end), durable_end, intact: true, full: true })
}

#[test]
fn a_follower_without_room_says_so_once_and_takes_nothing_until_it_has_some() {
    let (mut follower, _) = Fixture::of(&[(10, 0)], 6, 5);
    assert_eq!(follower.append(Some(10), 6, 6), [FollowerEffect::Append, advance(6)]);
    assert_eq!(follower.step(FollowerEvent::Full), [full(Some(10), 6, 6)]);
    assert_eq!(follower.append(Some(30), 7, 6), [], "what was on its way behind it");
    assert_eq!(follower.append(Some(10), 6, 6), [], "the same again");
    assert_eq!(follower.hear(Body::Begin), [full(Some(10), 6, 6)]);
    assert_eq!(follower.step(FollowerEvent::Room), [position(Some(10), 6)]);
    assert_eq!(follower.append(Some(10), 6, 6), [FollowerEffect::Append]);
}

#[test]
fn who_begins_to_follow_without_room_says_so_at_once() {
    let me = BrokerLife { id: broker("b"), incarnation: BrokerIncarnation::new(5) };
    let mut effects = Vec::new();
    Follower::new(me, broker("a"), EPOCH, LogState::empty(), true, &mut effects);
    assert_eq!(effects, [full(None, 0, 0)]);
}
