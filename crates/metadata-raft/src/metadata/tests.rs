mod crashes;
mod damage;
mod shortages;

use std::sync::mpsc;
use std::time::Instant;

use liftbridge_commitlog::{FaultyVolume, MemoryVolume};

use super::*;
use crate::command::CreateStream;
use crate::command::ReplicaCount::Exactly;
use crate::proposal::{ProposalOutcome, ProposeError};
use crate::rejection::Rejection;
use crate::test_commands::*;

fn options(snapshot_threshold: u64) -> MetadataOptions {
    MetadataOptions { snapshot_threshold, ..MetadataOptions::new("test".to_owned()) }
}

/// Metadata, with its events.
struct Opened {
    metadata: Metadata,
    recovery: Recovery,
    applied: mpsc::Receiver<Applied>,
}

impl Opened {
    fn try_on(volume: &dyn Volume, options: &MetadataOptions) -> Result<Self, OpenMetadataError> {
        let (sender, applied) = mpsc::channel();
        let ports = Ports::alone(move |event| drop(sender.send(event)));
        let (metadata, recovery) = Metadata::open(volume, options, ports)?;
        Ok(Self { metadata, recovery, applied })
    }

    fn on(volume: &dyn Volume, snapshot_threshold: u64) -> Self {
        Self::try_on(volume, &options(snapshot_threshold)).unwrap()
    }

    fn begin(&self, command: Command) -> mpsc::Receiver<ProposalOutcome> {
        let (sender, receiver) = mpsc::channel();
        self.metadata.propose(command, ProposalReply::new(move |outcome| drop(sender.send(outcome))));
        receiver
    }

    fn propose(&self, command: Command) -> ProposalOutcome {
        self.begin(command).recv().expect("every proposal is answered")
    }

    fn streams(&self) -> Vec<String> {
        self.metadata.state().streams().iter().map(|stream| stream.name.as_str().to_owned()).collect()
    }
}

#[test]
fn what_was_agreed_on_is_there_after_a_restart() {
    let volume = MemoryVolume::new();
    let first = Opened::on(&volume, 1000);
    assert!(first.recovery.founded);
    first.propose(register("a")).unwrap();
    first.propose(create("s", 2, Exactly(1))).unwrap();
    first.propose(pause("s", &[1], true, 7)).unwrap();
    let state = first.metadata.state().clone();
    first.metadata.close();
    let second = Opened::on(&volume, 1000);
    assert!(!second.recovery.founded);
    assert_eq!(*second.metadata.state(), state);
}

#[test]
fn a_rejected_command_is_answered_with_its_reason_and_delivers_no_event() {
    let opened = Opened::on(&MemoryVolume::new(), 1000);
    assert_eq!(opened.propose(delete("s")), Err(ProposeError::Rejected(Rejection::StreamNotFound)));
    assert_eq!(opened.applied.recv().unwrap().events, []);
}

#[test]
fn a_command_too_large_for_the_log_is_refused_and_harms_nothing() {
    let opened = Opened::on(&MemoryVolume::new(), 1000);
    opened.propose(register("a")).unwrap();
    let Command::CreateStream(stream) = create("s", 1, Exactly(1)) else { unreachable!("that is what it makes") };
    let large = Command::CreateStream(CreateStream { group: Some("g".repeat(COMMAND_BYTES_MAX)), ..stream });
    let refused = opened.propose(large);
    let Err(ProposeError::Unavailable(Unavailable::TooLarge { bytes, limit })) = refused else { panic!("{refused:?}") };
    assert!(bytes > limit && limit == COMMAND_BYTES_MAX);
    assert_eq!(opened.metadata.failure(), None);
    opened.propose(create("s", 1, Exactly(1))).unwrap();
}

#[test]
fn events_come_in_order_and_before_the_answer() {
    let opened = Opened::on(&MemoryVolume::new(), 1000);
    opened.propose(register("a")).unwrap();
    let index = opened.propose(create("s", 1, Exactly(1))).unwrap();
    let events: Vec<Applied> = opened.applied.try_iter().collect();
    assert!(matches!(events[0].events[..], [ClusterEvent::BrokerRegistered { .. }]));
    assert!(matches!(&events[1].events[..], [ClusterEvent::StreamCreated(stream)] if stream.name == name("s")));
    assert_eq!(events[1].index, index);
}

#[test]
fn deletions_are_found_again_until_they_were_carried_out() {
    let volume = MemoryVolume::new();
    let first = Opened::on(&volume, 4);
    first.propose(register("a")).unwrap();
    let created = first.propose(create("s", 1, Exactly(1))).unwrap();
    let deleted = DeletedStream { id: liftbridge_types::StreamId::new(created.get()), name: name("s") };
    first.metadata.carried_out(created);
    let index = first.propose(delete("s")).unwrap();
    for number in 0..20 {
        first.propose(create(&format!("t{number}"), 1, Exactly(1))).unwrap();
    }
    first.metadata.close();
    let second = Opened::on(&volume, 4);
    assert_eq!(second.recovery.deleted, [deleted], "no snapshot was taken beyond what was carried out");
    second.metadata.carried_out(second.recovery.index);
    second.propose(register("a")).unwrap();
    second.metadata.close();
    let third = Opened::on(&volume, 4);
    assert!(third.recovery.index > index && third.recovery.deleted.is_empty());
    assert_eq!(third.streams().len(), 20);
}

#[test]
fn proposals_that_arrive_together_share_a_sync() {
    let volume = FaultyVolume::new(5);
    let opened = Opened::on(&volume, 10_000);
    opened.propose(register("a")).unwrap();
    let before = volume.operation_count();
    let many: Vec<_> = (0..500).map(|number| opened.begin(create(&format!("s{number}"), 1, Exactly(1)))).collect();
    for outcome in many {
        outcome.recv().unwrap().unwrap();
    }
    let operations = volume.operation_count() - before;
    assert!(operations < 500, "{operations} operations for 500 commands");
}

#[test]
fn a_proposal_after_closing_is_refused() {
    let opened = Opened::on(&MemoryVolume::new(), 1000);
    opened.metadata.close();
    opened.metadata.close();
    assert_eq!(opened.propose(register("a")), Err(ProposeError::Unavailable(Unavailable::Closed)));
}

#[test]
fn a_failed_sync_refuses_every_change_with_the_reason() {
    let volume = FaultyVolume::new(6);
    let opened = Opened::on(&volume, 1000);
    opened.propose(register("a")).unwrap();
    volume.fail_syncs(Some(std::io::ErrorKind::Other));
    for _ in 0..2 {
        let refused = opened.propose(create("s", 1, Exactly(1)));
        assert!(matches!(refused, Err(ProposeError::Unavailable(Unavailable::LogFailed { .. }))), "{refused:?}");
    }
    assert!(opened.metadata.failure().is_some());
    assert_eq!(opened.metadata.state().brokers().count(), 1, "it is still readable");
}

#[test]
fn an_event_receiver_that_panics_ends_the_agreement_and_not_the_process() {
    let (metadata, _) =
        Metadata::open(&MemoryVolume::new(), &options(1000), Ports::alone(|_| panic!("broken"))).unwrap();
    let (sender, receiver) = mpsc::channel();
    metadata.propose(register("a"), ProposalReply::new(move |outcome| drop(sender.send(outcome))));
    let refused = receiver.recv().unwrap();
    assert!(
        matches!(&refused, Err(ProposeError::Unavailable(Unavailable::LogFailed { reason })) if reason.contains("broken")),
        "{refused:?}"
    );
    metadata.close();
}

#[test]
fn ten_thousand_streams_are_restored_quickly() {
    let volume = MemoryVolume::new();
    let first = Opened::on(&volume, 8192);
    first.propose(register("a")).unwrap();
    for some in 0..100 {
        let many: Vec<_> =
            (0..100).map(|number| first.begin(create(&format!("stream-{some}-{number}"), 1, Exactly(1)))).collect();
        for outcome in many {
            first.metadata.carried_out(outcome.recv().unwrap().unwrap());
        }
    }
    first.metadata.close();
    let begun = Instant::now();
    let second = Opened::on(&volume, 8192);
    let took = begun.elapsed();
    assert_eq!(second.streams().len(), 10_000);
    println!("10,000 streams restored in {took:?}");
    // An optimised build takes milliseconds; this bound only catches work that grows with the square.
    assert!(took.as_secs() < 5, "{took:?}");
}
