//! Each rule is broken once: a checker that finds nothing proves nothing.

use std::time::Duration;

use super::*;

fn id(sequence: u32) -> MessageId {
    MessageId { publisher: 1, sequence, attempt: 0 }
}

fn record(offset: u64, id: MessageId) -> Record {
    Record { offset, id: Some(id), digest: u64::from(id.sequence) + 1000 * u64::from(id.attempt) }
}

fn log(ids: &[MessageId]) -> Vec<Record> {
    (0..).zip(ids).map(|(offset, id)| record(offset, *id)).collect()
}

fn acked(offset: u64, id: MessageId) -> Acked {
    Acked { id, offset, sent: Duration::ZERO, acked: Duration::ZERO }
}

/// Two copies, what was acknowledged of them, what a consumer was shown, and the rules that are broken by it.
#[track_caller]
fn check(copies: [Vec<Record>; 2], acked: &[Acked], seen: &[Record], expected: &[(&str, u64)]) {
    let copies: Vec<Copy> =
        (0..).zip(copies).map(|(number, records): (u8, _)| Copy { node: format!("node-{number}"), records }).collect();
    let mut judgement = Judgement::default();
    judgement.weigh(&Evidence { partition: 0, acked, copies: &copies, seen });
    let broken: Vec<(&str, u64)> = judgement
        .rules()
        .into_iter()
        .filter(|(_, findings)| findings.count > 0)
        .map(|(rule, findings)| (rule, findings.count))
        .collect();
    assert_eq!(broken, expected);
    assert_eq!(judgement.is_clean(), expected.is_empty());
}

#[test]
fn equal_copies_of_what_was_acked_break_nothing() {
    let good = log(&[id(0), id(1)]);
    check([good.clone(), good.clone()], &[acked(0, id(0)), acked(1, id(1))], &good, &[]);
}

#[test]
fn an_acked_message_that_one_copy_lacks_is_lost() {
    let (good, short) = (log(&[id(0), id(1)]), log(&[id(0)]));
    check([good, short], &[acked(1, id(1))], &[], &[("lost", 1), ("diverged", 1)]);
}

#[test]
fn a_partition_without_a_copy_has_lost_everything() {
    let mut judgement = Judgement::default();
    judgement.weigh(&Evidence { partition: 0, acked: &[acked(0, id(0))], copies: &[], seen: &[] });
    assert_eq!(judgement.lost.count, 1);
}

#[test]
fn an_acked_message_elsewhere_and_one_of_nobody_are_changed() {
    let moved = log(&[id(5), id(1)]);
    check([moved.clone(), moved], &[acked(0, id(1))], &[], &[("changed", 2)]);
    let foreign = vec![Record { offset: 0, id: None, digest: 7 }];
    check([foreign.clone(), foreign], &[], &[], &[("changed", 2)]);
}

#[test]
fn copies_that_differ_have_diverged() {
    check([log(&[id(0), id(1)]), log(&[id(0), id(2)])], &[acked(0, id(0))], &[], &[("diverged", 1)]);
    let hole = vec![record(0, id(0)), record(2, id(1))];
    check([hole.clone(), hole], &[], &[], &[("diverged", 2)]);
}

#[test]
fn a_message_sent_once_is_there_once_and_a_repeated_one_may_be_there_twice() {
    let twice = log(&[id(0), id(0)]);
    check([twice.clone(), twice], &[acked(1, id(0))], &[], &[("duplicated", 1)]);
    let repeated = log(&[id(0), MessageId { attempt: 1, ..id(0) }]);
    check([repeated.clone(), repeated], &[acked(1, MessageId { attempt: 1, ..id(0) })], &[], &[]);
}

#[test]
fn acked_messages_of_a_publisher_keep_their_order() {
    let turned = log(&[id(1), id(0)]);
    check([turned.clone(), turned], &[acked(0, id(1)), acked(1, id(0))], &[], &[("reordered", 1)]);
}

#[test]
fn what_a_consumer_was_shown_stays() {
    let good = log(&[id(0), id(1)]);
    check([good.clone(), good.clone()], &[], &log(&[id(0), id(2)]), &[("forgotten", 1)]);
    check([good.clone(), good.clone()], &[], &log(&[id(0), id(1), id(2)]), &[("forgotten", 1)]);
    check([good.clone(), good], &[], &[record(1, id(1))], &[("forgotten", 1)]);
}

#[track_caller]
fn check_promised(there: &[u32], broken: u64) {
    let ids: Vec<MessageId> = there.iter().map(|sequence| id(*sequence)).collect();
    let mut judgement = Judgement::default();
    let copies = [Copy { node: "node-0".to_owned(), records: log(&ids) }];
    judgement.weigh_promised(0, &[(1, 3)], &copies);
    assert_eq!(judgement.incomplete.count, broken, "{there:?}: {:?}", judgement.incomplete);
}

#[test]
fn what_was_repeated_until_acked_is_there_and_first_in_order() {
    check_promised(&[0, 1, 2], 0);
    check_promised(&[0, 1, 1, 0, 2, 1], 0);
    check_promised(&[0, 1], 1);
    check_promised(&[0, 2, 1], 1);
    check_promised(&[], 1);
}

#[track_caller]
fn check_raw(copies: [&[&'static str]; 2], broken: u64) {
    let copy = |batches: &[&'static str]| RawCopy {
        node: "node".to_owned(),
        batches: batches.iter().map(|batch| (*batch).into()).collect(),
        damaged: Vec::new(),
    };
    let mut judgement = Judgement::default();
    judgement.weigh_raw(0, &copies.map(copy));
    assert_eq!(judgement.unlike.count, broken, "{:?}", judgement.unlike);
}

#[test]
fn disks_that_are_not_the_same_byte_for_byte_are_unlike() {
    check_raw([&["a", "b"], &["a", "b"]], 0);
    check_raw([&["a", "b"], &["a", "c"]], 1);
    check_raw([&["a", "b"], &["a"]], 1);
    check_raw([&["a", "b"], &["ab"]], 2);
}

#[test]
fn what_does_not_verify_on_a_disk_is_told() {
    let damaged = RawCopy { damaged: vec!["offset 0 does not verify".to_owned()], ..RawCopy::default() };
    let mut judgement = Judgement::default();
    judgement.weigh_raw(0, &[damaged.clone(), damaged]);
    assert_eq!(judgement.unlike.count, 2);
}
