//! When a leader asks for other in-sync replicas.

use super::*;

#[test]
fn a_follower_that_lags_for_too_long_is_to_go_and_holds_nothing_back_once_that_is_agreed() {
    let mut fixture = Fixture::pair();
    fixture.store();
    fixture.durable("a", 1);
    assert_eq!(asked(&fixture.tick(10)), [""; 0], "as long as that is allowed");
    assert_eq!(asked(&fixture.tick(11)), ["a/1"]);
    assert_eq!(fixture.leader.high_watermark(), Offset::ZERO, "it may still be an in-sync replica");
    assert_eq!(fixture.agree(&["a"]), [advance(1)]);
}

#[test]
fn a_follower_that_keeps_up_with_a_busy_leader_does_not_lag() {
    let mut fixture = Fixture::pair();
    for second in 1..60 {
        fixture.store();
        assert_eq!(asked(&fixture.tick(second)), [""; 0]);
        fixture.durable("b", second - 1);
    }
}

#[test]
fn a_follower_that_was_abreast_for_long_gets_the_whole_time_when_something_is_written() {
    let mut fixture = Fixture::pair();
    fixture.tick(1000);
    fixture.store();
    assert_eq!(asked(&fixture.tick(1010)), [""; 0]);
    assert_eq!(asked(&fixture.tick(1011)), ["a/1"]);
}

#[test]
fn a_follower_without_a_link_lags_though_nothing_is_written() {
    let mut fixture = Fixture::pair();
    fixture.tick(100);
    fixture.link("b", false);
    assert_eq!(asked(&fixture.tick(110)), [""; 0]);
    assert_eq!(asked(&fixture.tick(111)), ["a/1"]);
}

/// A leader alone in sync, in a log that reached to 6 when its leadership began.
fn alone() -> Fixture {
    let mut fixture = Fixture::of_log(&["a", "b"], Some(1), log(&[(10, 0)], 6, 6, 2));
    fixture.agree(&["a"]);
    fixture.link("b", true);
    fixture
}

#[test]
fn a_follower_comes_in_when_it_has_what_is_committed_and_what_was_there_when_the_leadership_began() {
    let mut fixture = Fixture::of_log(&["a", "b", "c"], Some(2), log(&[(10, 0)], 6, 6, 2));
    fixture.agree(&["a", "c"]);
    fixture.link("b", true);
    assert_eq!(asked(&fixture.position("b", 1, Some(10), 4, 4)), [""; 0], "it has the watermark, not the beginning");
    assert_eq!(asked(&fixture.durable("b", 6)), ["a/1 b/1 c/1"]);
    let mut fixture = alone();
    fixture.store();
    fixture.durable("a", 7);
    assert_eq!(fixture.leader.high_watermark(), Offset::new(7));
    assert_eq!(asked(&fixture.position("b", 1, Some(10), 6, 6)), [""; 0], "it has the beginning, not the watermark");
    assert_eq!(asked(&fixture.durable("b", 7)), ["a/1 b/1"]);
}

#[test]
fn it_comes_in_under_the_life_it_was_heard_in() {
    let mut fixture = alone();
    assert_eq!(asked(&fixture.position("b", 5, Some(10), 6, 6)), ["a/1 b/5"]);
}

#[test]
fn who_is_proposed_holds_the_watermark_until_the_change_is_refused() {
    let mut fixture = alone();
    fixture.position("b", 1, Some(10), 6, 6);
    fixture.store();
    assert_eq!(fixture.durable("a", 7), [], "b may be in sync by now");
    let epoch = PartitionEpoch::new(fixture.version);
    assert_eq!(fixture.step(Event::InSyncRefused { epoch }), [advance(7)]);
}

#[test]
fn after_a_silence_the_controller_is_asked_again_even_for_the_agreed_set() {
    let mut fixture = alone();
    fixture.position("b", 1, Some(10), 6, 6);
    assert_eq!(asked(&fixture.tick(1)), ["a/1 b/1"]);
    fixture.link("b", false);
    assert_eq!(asked(&fixture.tick(2)), ["a/1"], "the answer ends the doubt about b");
    fixture.store();
    assert_eq!(fixture.durable("a", 7), [], "until then b counts");
    assert_eq!(fixture.agree(&["a"]), [advance(7)]);
}

#[test]
fn one_refusal_does_not_speak_for_another_proposal() {
    let mut fixture = alone();
    fixture.position("b", 1, Some(10), 6, 6);
    assert_eq!(asked(&fixture.tick(1)), ["a/1 b/1"], "asked twice, and neither is answered");
    fixture.store();
    fixture.durable("a", 7);
    let epoch = PartitionEpoch::new(fixture.version);
    assert_eq!(fixture.step(Event::InSyncRefused { epoch }), [], "the other one may be agreed on");
    assert_eq!(fixture.step(Event::InSyncRefused { epoch }), [advance(7)]);
}

#[test]
fn a_late_version_changes_nothing() {
    let mut fixture = Fixture::pair();
    fixture.agree(&["a", "b"]);
    // Or it would be proposed, and waited for because of that.
    fixture.link("b", false);
    fixture.version = 28;
    fixture.agree(&["a"]);
    fixture.store();
    assert_eq!(fixture.durable("a", 1), []);
}

#[test]
fn a_lapsed_leader_asks_for_nothing() {
    let mut fixture = alone();
    fixture.step(Event::Lapsed);
    assert_eq!(asked(&fixture.position("b", 1, Some(10), 6, 6)), [""; 0]);
    assert_eq!(asked(&fixture.step(Event::Renewed)), ["a/1 b/1"]);
}

#[test]
fn a_damaged_follower_goes_gets_its_records_anew_and_comes_back() {
    let mut fixture = Fixture::pair();
    fixture.store();
    fixture.durable("a", 1);
    fixture.durable("b", 1);
    let damaged = Body::Damaged { incarnation: BrokerIncarnation::new(1), offsets: Offset::ZERO..Offset::new(1) };
    let effects = fixture.hear("b", damaged.clone());
    assert_eq!(asked(&effects), ["a/1"]);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Repair { .. })), "it may still be in sync");
    fixture.agree(&["a"]);
    let repair = Effect::Repair { to: broker("b"), offsets: Offset::ZERO..Offset::new(1) };
    assert_eq!(fixture.hear("b", damaged), [repair]);
    assert_eq!(asked(&fixture.position("b", 1, Some(30), 1, 1)), ["a/1 b/1"]);
}

fn say_full(fixture: &mut Fixture, from: &str, end: u64) -> Vec<Effect> {
    let (incarnation, durable_end) = (BrokerIncarnation::new(1), Offset::new(end));
    let tail = tail((end > 0).then_some(30), end);
    fixture.hear(from, Body::Position { incarnation, tail, durable_end, intact: true, full: true })
}

#[test]
fn a_follower_without_room_goes_at_once_gets_nothing_and_comes_back_when_it_has_some() {
    let mut fixture = Fixture::pair();
    fixture.store();
    fixture.durable("a", 1);
    let effects = say_full(&mut fixture, "b", 0);
    assert_eq!(asked(&effects), ["a/1"]);
    let is_push = |effect: &Effect| matches!(effect, Effect::Push { .. });
    assert!(!effects.iter().any(is_push), "it could not store it");
    assert_eq!(fixture.agree(&["a"]), [advance(1)]);
    assert!(!fixture.store().iter().any(is_push));
    let asks = fixture.tick(6);
    assert_eq!(asks, [send("b", Body::Begin)], "in case it has said that it has room");
    assert_eq!(asked(&say_full(&mut fixture, "b", 0)), [""; 0]);
    let effects = fixture.position("b", 1, None, 0, 0);
    assert!(effects.iter().any(is_push));
    assert_eq!(asked(&effects), [""; 0], "it lacks what is committed");
    assert_eq!(asked(&fixture.durable("b", 2)), ["a/1 b/1"]);
}

#[test]
fn a_leader_names_as_successor_who_has_most_and_can_be_reached_read_and_written() {
    let mut fixture = Fixture::with(&["a", "b", "c", "d"], None);
    assert_eq!(fixture.leader.successor(), None);
    for follower in ["b", "c", "d"] {
        fixture.link(follower, true);
        fixture.position(follower, 1, None, 0, 0);
    }
    assert_eq!(fixture.leader.successor(), Some(&broker("b")));
    fixture.store();
    fixture.durable("c", 1);
    assert_eq!(fixture.leader.successor(), Some(&broker("c")));
    say_full(&mut fixture, "c", 1);
    assert_eq!(fixture.leader.successor(), Some(&broker("b")));
    fixture.link("b", false);
    assert_eq!(fixture.leader.successor(), Some(&broker("d")));
    fixture.agree(&["a", "b", "c"]);
    assert_eq!(fixture.leader.successor(), None);
}
