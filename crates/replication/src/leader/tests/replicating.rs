//! What a leader says to its followers.

use super::*;
use crate::follower_progress::{CONFIRM_TIMEOUT, NOTICE_DELAY};

/// A leader in epoch 30 of a log of epochs 10 and 20, and one follower whose link is up.
fn with_history() -> Fixture {
    let mut fixture = Fixture::of_log(&["a", "b"], None, log(&[(10, 0), (20, 4)], 6, 6, 2));
    assert_eq!(fixture.link("b", true), [send("b", Body::Begin)]);
    fixture
}

#[test]
fn a_follower_inside_the_log_gets_what_it_lacks() {
    let mut fixture = with_history();
    assert_eq!(fixture.position("b", 1, Some(10), 3, 3), [advance(3), push("b", 3, 1000)]);
    let body = fixture.leader.append_message(Offset::new(4), Vec::new()).body;
    assert_eq!(body, Body::Append { previous: tail(Some(10), 4), high_watermark: Offset::new(3), batches: Vec::new() });
}

#[test]
fn a_follower_abreast_is_told_so_at_once() {
    let mut fixture = with_history();
    assert_eq!(fixture.position("b", 1, Some(20), 6, 6), [advance(6), notice("b", Some(20), 6, 6)]);
}

#[test]
fn a_log_that_parts_from_the_leaders_is_answered_with_where_and_counts_for_nothing() {
    let mut fixture = with_history();
    let answer = |asked, answer| [send("b", Body::EpochEnd { asked, answer })];
    let asked = tail(Some(10), 5);
    assert_eq!(fixture.position("b", 1, Some(10), 5, 5), answer(asked, tail(Some(10), 4)));
    let asked = tail(Some(15), 5);
    assert_eq!(fixture.position("b", 1, Some(15), 5, 5), answer(asked, tail(Some(10), 4)));
    assert_eq!(fixture.leader.high_watermark(), Offset::new(2));
}

#[test]
fn a_follower_behind_the_log_start_is_told_to_begin_there() {
    let mut fixture = with_history();
    fixture.step(Event::Trimmed { start: Offset::new(5) });
    let body = Body::Reset { asked: tail(Some(10), 3), start: Offset::new(5) };
    assert_eq!(fixture.position("b", 1, Some(10), 3, 3), [send("b", body)]);
}

#[test]
fn nothing_is_sent_beyond_the_window_until_something_is_confirmed() {
    let mut fixture = Fixture::pair();
    assert_eq!(fixture.store(), [push("b", 0, 1000)]);
    let pushed = |end, bytes| Event::Pushed { to: broker("b"), end: Offset::new(end), bytes };
    assert_eq!(fixture.step(pushed(1, 600)), []);
    assert_eq!(fixture.store(), [push("b", 1, 400)]);
    assert_eq!(fixture.step(pushed(2, 600)), []);
    assert_eq!(fixture.store(), [], "the window is used up");
    assert_eq!(fixture.durable("b", 1), [push("b", 2, 400)], "a confirmation makes room");
}

#[test]
fn a_read_that_does_not_fill_the_window_is_followed_by_another() {
    let mut fixture = Fixture::pair();
    fixture.store();
    fixture.store();
    let pushed = Event::Pushed { to: broker("b"), end: Offset::new(1), bytes: 100 };
    assert_eq!(fixture.step(pushed), [push("b", 1, 900)]);
}

#[test]
fn what_is_not_confirmed_is_taken_for_lost_and_the_follower_asked() {
    let mut fixture = Fixture::pair();
    fixture.store();
    fixture.step(Event::Pushed { to: broker("b"), end: Offset::new(1), bytes: 100 });
    assert_eq!(fixture.leader.next_tick(), Some(CONFIRM_TIMEOUT));
    assert_eq!(fixture.tick(2), [send("b", Body::Begin)]);
    assert_eq!(fixture.position("b", 1, None, 0, 0), [push("b", 0, 1000)]);
}

#[test]
fn a_silent_follower_is_asked_again_less_and_less_often() {
    let mut fixture = with_history();
    let mut asked_at = Vec::new();
    while asked_at.len() < 8 {
        let elapsed = fixture.leader.next_tick().unwrap();
        let effects = fixture.step(Event::Tick { elapsed });
        if effects.contains(&send("b", Body::Begin)) {
            asked_at.push(elapsed.as_millis());
        }
    }
    assert_eq!(asked_at, [200, 600, 1400, 3000, 6200, 11_200, 16_200, 21_200]);
}

#[test]
fn a_follower_without_a_link_is_not_asked() {
    let mut fixture = with_history();
    fixture.link("b", false);
    assert_eq!(fixture.leader.next_tick(), Some(LAG_MAX + Duration::from_nanos(1)), "only its lag counts");
}

#[test]
fn a_follower_whose_link_was_down_is_asked_anew() {
    let mut fixture = Fixture::pair();
    fixture.store();
    fixture.link("b", false);
    assert_eq!(fixture.link("b", true), [send("b", Body::Begin)]);
}

#[test]
fn an_idle_leader_whose_followers_are_abreast_needs_no_tick() {
    let mut fixture = Fixture::pair();
    assert_eq!(fixture.leader.next_tick(), None);
    fixture.store();
    fixture.step(Event::Pushed { to: broker("b"), end: Offset::new(1), bytes: 100 });
    fixture.durable("a", 1);
    assert_eq!(fixture.durable("b", 1), [advance(1)]);
    assert_eq!(fixture.leader.next_tick(), Some(NOTICE_DELAY));
    assert_eq!(fixture.tick(1), [notice("b", Some(30), 1, 1)]);
    fixture.durable("b", 1);
    assert_eq!(fixture.leader.next_tick(), None);
}

#[test]
fn a_watermark_told_alone_that_gets_lost_is_told_again() {
    let mut fixture = Fixture::pair();
    fixture.store();
    fixture.step(Event::Pushed { to: broker("b"), end: Offset::new(1), bytes: 100 });
    fixture.durable("a", 1);
    fixture.durable("b", 1);
    assert_eq!(fixture.tick(1), [notice("b", Some(30), 1, 1)]);
    assert_eq!(fixture.tick(3), [send("b", Body::Begin)]);
    assert_eq!(fixture.position("b", 1, Some(30), 1, 1), [notice("b", Some(30), 1, 1)]);
}

#[test]
fn a_watermark_that_travels_with_an_append_is_not_told_again() {
    let mut fixture = Fixture::pair();
    fixture.store();
    fixture.step(Event::Pushed { to: broker("b"), end: Offset::new(1), bytes: 100 });
    fixture.durable("a", 1);
    fixture.durable("b", 1);
    fixture.store();
    fixture.step(Event::Pushed { to: broker("b"), end: Offset::new(2), bytes: 100 });
    fixture.durable("a", 2);
    assert_eq!(fixture.leader.next_tick(), Some(CONFIRM_TIMEOUT), "no notice is due");
}

#[test]
fn a_message_of_an_earlier_leadership_is_fenced_and_one_of_a_later_ignored() {
    let mut fixture = Fixture::pair();
    let mut say = |leader_epoch, body| {
        let message = Message::new(LeaderEpoch::new(leader_epoch), body);
        fixture.step(Event::Received { from: broker("b"), message })
    };
    assert_eq!(say(29, Body::Begin), [send("b", Body::Fenced)]);
    assert_eq!(say(29, Body::Fenced), [], "fencing is not answered by fencing");
    assert_eq!(say(31, Body::Begin), []);
    let (incarnation, durable_end) = (BrokerIncarnation::new(1), Offset::ZERO);
    assert_eq!(
        say(31, Body::Position { incarnation, tail: tail(None, 0), durable_end, intact: true, full: false }),
        []
    );
}

#[test]
fn a_leader_that_hears_of_a_later_one_takes_nothing_more_and_commits_nothing() {
    let mut fixture = Fixture::pair();
    fixture.propose(0, AckPolicy::All, None);
    fixture.append(5);
    fixture.durable("a", 1);
    let message = Message::new(LeaderEpoch::new(31), Body::Fenced);
    assert_eq!(fixture.step(Event::Received { from: broker("b"), message }), []);
    assert_eq!(fixture.propose(1, AckPolicy::Leader, None), [refuse(1, Refusal::Lapsed)]);
    assert_eq!(fixture.durable("b", 1), []);
    assert_eq!(fixture.step(Event::Renewed), [], "a session renewed later does not make it leader again");
}

#[test]
fn a_lapsed_leader_takes_nothing_of_any_policy_and_commits_when_it_is_renewed() {
    let mut fixture = Fixture::pair();
    fixture.propose(0, AckPolicy::All, None);
    fixture.append(5);
    fixture.step(Event::Lapsed);
    for (id, policy) in [(1, AckPolicy::All), (2, AckPolicy::Leader), (3, AckPolicy::None)] {
        assert_eq!(fixture.propose(id, policy, None), [refuse(id, Refusal::Lapsed)]);
    }
    assert_eq!(fixture.durable("a", 1), []);
    assert_eq!(fixture.durable("b", 1), []);
    assert_eq!(fixture.step(Event::Renewed), [advance(1), ack(0, 0, 5, fixture.now)]);
}

#[test]
fn strangers_and_earlier_lives_are_not_believed() {
    let mut fixture = Fixture::pair();
    fixture.store();
    fixture.durable("a", 1);
    assert_eq!(fixture.durable("stranger", 1), []);
    assert_eq!(fixture.position("b", 2, None, 0, 0), [push("b", 0, 1000)]);
    assert_eq!(fixture.durable("b", 1), [], "that was said by its life before");
    let progress = Body::Progress { incarnation: BrokerIncarnation::new(2), durable_end: Offset::new(1) };
    assert_eq!(fixture.hear("b", progress), [advance(1)]);
}

#[test]
fn a_new_leader_exposes_nothing_before_every_in_sync_replica_has_confirmed_it() {
    let mut fixture = Fixture::of_log(&["a", "b", "c"], None, log(&[(10, 0)], 6, 6, 2));
    assert_eq!(fixture.leader.high_watermark(), Offset::new(2));
    fixture.link("b", true);
    fixture.link("c", true);
    assert_eq!(fixture.position("b", 1, Some(10), 6, 6), [notice("b", Some(10), 6, 2)]);
    assert_eq!(fixture.position("c", 1, Some(10), 5, 4), [advance(4), push("c", 5, 1000)]);
}

#[test]
fn whoever_was_reachable_before_it_became_a_replica_is_spoken_to_at_once() {
    let mut fixture = Fixture::with(&["a", "b"], Some(1));
    fixture.link("c", true);
    let agreed = fixture.leader.assignment().clone();
    let mut replicas = agreed.replicas.clone();
    replicas.push(life("c", 1));
    let epoch = PartitionEpoch::new(31);
    fixture.step(Event::Assigned(Box::new(Assignment { epoch, replicas, ..agreed })));
    let due = fixture.leader.next_tick().expect("there is somebody to speak to");
    let effects = fixture.step(Event::Tick { elapsed: due });
    assert!(effects.contains(&send("c", Body::Begin)), "{effects:?}");
}
