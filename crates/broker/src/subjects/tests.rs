use proptest::prelude::*;

use super::*;

fn subject(text: &str) -> Subject {
    Subject::new(text).unwrap()
}

/// A table from lines `listener subject [group]`.
fn table(lines: &[&str]) -> Subjects<String> {
    let subjects = Subjects::new();
    for line in lines {
        let mut words = line.split(' ');
        let (listener, on) = (words.next().unwrap(), subject(words.next().unwrap()));
        subjects.attach(Attachment { subject: &on, group: words.next() }, listener.to_owned());
    }
    subjects
}

fn reached(subjects: &Subjects<String>, published: &str) -> Vec<String> {
    let mut reached = subjects.route(&subject(published), |_| true);
    reached.sort();
    reached
}

#[track_caller]
fn check(lines: &[&str], published: &str, expected: &[&str]) {
    assert_eq!(reached(&table(lines), published), expected, "{published} over {lines:?}");
}

#[test]
fn a_message_reaches_every_listener_whose_subject_matches() {
    check(&[], "orders", &[]);
    check(&["a orders", "b orders", "c bills"], "orders", &["a", "b"]);
    check(
        &["a orders.*", "b orders.>", "c >", "d *.eu", "e orders.eu", "f orders"],
        "orders.eu",
        &["a", "b", "c", "d", "e"],
    );
    check(&["a orders.*", "b orders.>"], "orders", &[]);
    check(&["a orders.*", "b orders.>"], "orders.eu.1", &["b"]);
    check(&["a orders.*.1", "b orders.*.2"], "orders.eu.1", &["a"]);
    check(&["a *.*", "b *.>"], "x.y", &["a", "b"]);
    check(&["a x.>.y"], "x.>.y", &["a"]);
}

#[test]
fn members_of_a_group_on_one_subject_take_turns() {
    let subjects = table(&["a orders g", "b orders g", "c orders other", "d orders"]);
    assert_eq!(reached(&subjects, "orders"), ["a", "c", "d"]);
    assert_eq!(reached(&subjects, "orders"), ["b", "c", "d"]);
    assert_eq!(reached(&subjects, "orders"), ["a", "c", "d"]);
}

#[test]
fn members_of_a_group_take_turns_whatever_their_subjects() {
    let subjects = table(&["a w.a g", "b w.* g", "c w.a g", "d w.> g", "e w.b g", "f w.* other", "g w.*"]);
    let turns = [
        ("w.a", "a"),
        ("w.a", "c"),
        ("w.b", "e"),
        ("w.a", "d"),
        ("w.b", "d"),
        ("w.a", "b"),
        ("w.b", "b"),
        ("w.a", "a"),
    ];
    for (published, member) in turns {
        let mut expected = [member, "f", "g"];
        expected.sort_unstable();
        assert_eq!(reached(&subjects, published), expected);
    }
}

#[test]
fn a_member_that_cannot_take_a_message_leaves_it_to_the_group_on_other_subjects() {
    let subjects = table(&["a w.a g", "b w.* g"]);
    for _ in 0..3 {
        assert_eq!(subjects.route(&subject("w.a"), |listener| listener == "b"), ["b"]);
    }
}

#[test]
fn a_member_that_cannot_take_a_message_is_passed_over() {
    let subjects = table(&["a orders g", "b orders g", "c orders"]);
    for _ in 0..3 {
        assert_eq!(subjects.route(&subject("orders"), |listener| listener == "b"), ["b"]);
    }
    assert!(subjects.route(&subject("orders"), |_| false).is_empty());
}

#[test]
fn a_detached_listener_is_reached_no_more_and_leaves_nothing_behind() {
    let lines = ["a orders g", "b orders.*.x", "c orders.>", "d orders"];
    let subjects = table(&lines);
    for line in lines {
        let mut words = line.split(' ');
        let (listener, on) = (words.next().unwrap(), subject(words.next().unwrap()));
        subjects.detach(Attachment { subject: &on, group: words.next() }, &listener.to_owned());
    }
    let routes = subjects.routes.read();
    assert!(routes.literal.is_empty() && routes.wildcard.children.is_empty() && routes.wildcard.below.is_empty());
}

fn tokens() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", Just("*".to_owned()), Just(">".to_owned())], 1..5)
        .prop_map(|tokens| tokens.join("."))
}

proptest! {
    #[test]
    fn the_table_agrees_with_matching_one_subject_after_the_other(
        patterns in proptest::collection::vec(tokens(), 0..20),
        published in proptest::collection::vec("[abc]", 1..5).prop_map(|tokens| tokens.join(".")),
    ) {
        let subjects = Subjects::new();
        for (number, pattern) in patterns.iter().enumerate() {
            subjects.attach(Attachment { subject: &subject(pattern), group: None }, number);
        }
        let mut reached = subjects.route(&subject(&published), |_| true);
        reached.sort_unstable();
        let matching: Vec<usize> =
            (0..patterns.len()).filter(|number| subject(&patterns[*number]).matches(&published)).collect();
        prop_assert_eq!(reached, matching);
    }
}
