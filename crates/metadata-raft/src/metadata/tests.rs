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

/// A stream somebody wants, and where the answer comes.
type Unanswered = (String, mpsc::Receiver<ProposalOutcome>);

/// Proposes streams, without waiting for answers, until one is refused because the log needs a file that cannot be opened: those
/// that were created, those nobody has heard of, and the refusal.
fn exhaust_files(volume: &FaultyVolume, opened: &Opened) -> (Vec<String>, Vec<Unanswered>, ProposeError) {
    // A segment of the log is full after some hundred of these.
    let large = |stream: &str| match create(stream, 1, Exactly(1)) {
        Command::CreateStream(create) => {
            Command::CreateStream(CreateStream { group: Some("g".repeat(8 * 1024)), ..create })
        }
        other => other,
    };
    volume.exhaust_files(Some(0));
    let (mut created, mut unanswered, mut refused) = (Vec::new(), Vec::new(), None);
    for number in 0.. {
        let stream = format!("s{number:09}");
        let outcome = opened.begin(large(&stream));
        unanswered.push((stream, outcome));
        unanswered.retain(|(stream, outcome)| match outcome.try_recv() {
            Err(mpsc::TryRecvError::Empty) => true,
            Err(mpsc::TryRecvError::Disconnected) => panic!("every proposal is answered"),
            Ok(Ok(_)) => {
                created.push(stream.clone());
                false
            }
            // The log's thread has not come so far.
            Ok(Err(ProposeError::Unavailable(Unavailable::Busy))) => false,
            Ok(Err(error)) => {
                refused.get_or_insert(error);
                false
            }
        });
        if let Some(refused) = refused {
            return (created, unanswered, refused);
        }
        assert!(created.len() < 1000, "the log needs no other file");
        std::thread::yield_now();
    }
    unreachable!("numbers have no end");
}

#[test]
fn changes_are_refused_while_no_file_can_be_opened_and_go_on_afterwards() {
    let volume = FaultyVolume::new(7);
    let opened = Opened::on(&volume, 1_000_000);
    opened.propose(register("a")).unwrap();
    let (mut expected, unanswered, refused) = exhaust_files(&volume, &opened);
    let is_refusal = |error: &ProposeError| {
        let ProposeError::Unavailable(Unavailable::LogFailed { reason }) = error else { return false };
        reason.contains("no more files")
    };
    assert!(is_refusal(&refused), "{refused:?}");
    // What was proposed before may still fill all places; behind this answer it does not.
    let busy = Err(ProposeError::Unavailable(Unavailable::Busy));
    let mut again = std::iter::repeat_with(|| opened.propose(create("refused", 1, Exactly(1))));
    let refused = again.find(|outcome| *outcome != busy).expect("it is repeated without end").unwrap_err();
    assert!(is_refusal(&refused), "{refused:?}");
    assert_eq!(opened.metadata.failure(), None);
    volume.exhaust_files(None);
    opened.propose(create("z", 1, Exactly(1))).unwrap();
    let created_before = expected.len();
    for (stream, outcome) in unanswered {
        match outcome.recv().expect("every proposal is answered") {
            Ok(_) => expected.push(stream),
            Err(error) => assert!(is_refusal(&error), "{error:?}"),
        }
    }
    assert!(expected.len() > created_before, "what needed the file first is not refused but waits");
    expected.push("z".to_owned());
    expected.sort();
    assert!(opened.streams() == expected, "what was refused is not carried out later");
    opened.metadata.close();
    assert!(Opened::on(&volume, 1_000_000).streams() == expected, "what was created is there after a restart");
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

/// Fills the disk and creates streams until one does not fit even into the reserve; those that were created, and the answer
/// the last one waits for.
fn fill_disk(volume: &FaultyVolume, opened: &Opened) -> (Vec<String>, mpsc::Receiver<ProposalOutcome>) {
    let mut created = Vec::new();
    for number in 0..100 {
        // Whatever a slice of the reserve leaves over is taken by others.
        volume.limit_free_bytes(Some(0));
        let stream = format!("s{number:02}");
        let outcome = opened.begin(create(&stream, 1, Exactly(1)));
        let patience = std::time::Duration::from_millis(20);
        loop {
            if let Ok(answer) = outcome.recv_timeout(patience) {
                answer.unwrap();
                break;
            }
            // What comes after one that waits is refused; what came together with it waits, too.
            let probe = opened.begin(delete("nothing")).recv_timeout(patience);
            if matches!(probe, Ok(Err(ProposeError::Unavailable(_)))) {
                return (created, outcome);
            }
        }
        created.push(stream);
    }
    panic!("the reserve has no end");
}

#[test]
fn changes_are_refused_while_the_disk_is_full_and_go_on_afterwards() {
    let volume = FaultyVolume::new(7);
    let opened = Opened::on(&volume, 1000);
    opened.propose(register("a")).unwrap();
    let (mut expected, unanswered) = fill_disk(&volume, &opened);
    assert!(!expected.is_empty(), "the reserve takes some");
    for number in 0..3 {
        let refused = opened.propose(create(&format!("full{number}"), 1, Exactly(1)));
        assert!(
            matches!(&refused, Err(ProposeError::Unavailable(Unavailable::LogFailed { reason })) if reason.contains("disk is full")),
            "{refused:?}"
        );
    }
    assert_eq!(opened.metadata.failure(), None);
    assert_eq!(unanswered.try_recv(), Err(mpsc::TryRecvError::Empty), "what becomes of it is not known yet");
    volume.limit_free_bytes(None);
    opened.propose(create("zroom", 1, Exactly(1))).unwrap();
    unanswered.recv().unwrap().unwrap();
    expected.extend([format!("s{:02}", expected.len()), "zroom".to_owned()]);
    assert_eq!(opened.streams(), expected, "what was refused is not carried out later");
    opened.metadata.close();
    assert_eq!(Opened::on(&volume, 1000).streams(), expected);
}

#[test]
fn a_change_that_waits_for_room_is_made_as_soon_as_there_is_room() {
    let volume = FaultyVolume::new(7);
    let opened = Opened::on(&volume, 1000);
    opened.propose(register("a")).unwrap();
    let (_, unanswered) = fill_disk(&volume, &opened);
    volume.limit_free_bytes(None);
    unanswered.recv().unwrap().unwrap();
}

#[test]
fn a_change_that_waits_for_room_ends_as_unknown_when_the_metadata_is_closed() {
    let volume = FaultyVolume::new(7);
    let opened = Opened::on(&volume, 1000);
    opened.propose(register("a")).unwrap();
    let (_, unanswered) = fill_disk(&volume, &opened);
    opened.metadata.close();
    assert_eq!(unanswered.recv().unwrap(), Err(ProposeError::Unavailable(Unavailable::Closed)));
}

#[test]
fn a_full_disk_does_not_keep_the_metadata_from_starting() {
    // After changes have used what they may of the reserve, and whether or not the files were closed cleanly.
    for clean in [true, false] {
        let volume = FaultyVolume::new(8);
        let opened = Opened::on(&volume, 1000);
        opened.propose(register("a")).unwrap();
        let (created, _unanswered) = fill_disk(&volume, &opened);
        if clean {
            opened.metadata.close();
        }
        for start in 0..4 {
            volume.crash();
            volume.limit_free_bytes(Some(0));
            let opened =
                Opened::try_on(&volume, &options(1000)).unwrap_or_else(|error| panic!("start {start}: {error}"));
            volume.limit_free_bytes(Some(0));
            opened.propose(register("a")).unwrap();
            assert!(created.iter().all(|stream| opened.streams().contains(stream)), "start {start}");
        }
    }
}

#[test]
fn the_reserve_is_whole_again_when_there_is_room() {
    let volume = FaultyVolume::new(9);
    let reserved = || {
        let files = volume.directory("raft").list().unwrap();
        files.into_iter().find(|file| file.name == "reserve").map_or(0, |file| file.bytes)
    };
    let opened = Opened::on(&volume, 1000);
    opened.propose(register("a")).unwrap();
    let whole = reserved();
    let (_, unanswered) = fill_disk(&volume, &opened);
    assert!(reserved() < whole);
    volume.limit_free_bytes(None);
    unanswered.recv().unwrap().unwrap();
    opened.metadata.close();
    assert_eq!(reserved(), whole);
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
fn nothing_is_founded_where_there_is_data_already() {
    let may_not = MetadataOptions { may_found: false, ..options(1000) };
    assert!(matches!(Opened::try_on(&MemoryVolume::new(), &may_not), Err(OpenMetadataError::Missing)));
}

/// Enough streams and snapshots to have two snapshot files and a log behind the older one.
fn with_snapshots(volume: &dyn Volume) -> ClusterState {
    let opened = Opened::on(volume, 5);
    opened.propose(register("a")).unwrap();
    for number in 0..22 {
        let index = opened.propose(create(&format!("s{number:02}"), 1, Exactly(1))).unwrap();
        opened.metadata.carried_out(index);
    }
    opened.metadata.close();
    opened.metadata.state().clone()
}

fn snapshot_files(volume: &dyn Volume) -> Vec<String> {
    let mut names: Vec<String> =
        volume.directory("raft/snapshots").list().unwrap().into_iter().map(|file| file.name).collect();
    names.sort();
    names
}

#[test]
fn a_damaged_newest_snapshot_falls_back_to_the_one_before() {
    let volume = FaultyVolume::new(8);
    let state = with_snapshots(&volume);
    let files = snapshot_files(&volume);
    assert_eq!(files.len(), 2);
    volume.flip_bit(&format!("raft/snapshots/{}", files[1]), 30, 2).unwrap();
    assert_eq!(*Opened::on(&volume, 5).metadata.state(), state);
}

#[test]
fn damaged_metadata_is_refused_and_never_an_empty_cluster() {
    let volume = FaultyVolume::new(9);
    with_snapshots(&volume);
    for file in snapshot_files(&volume) {
        volume.flip_bit(&format!("raft/snapshots/{file}"), 30, 2).unwrap();
    }
    assert!(matches!(Opened::try_on(&volume, &options(5)), Err(OpenMetadataError::Unreachable)));
    volume.remove_directory("raft/snapshots").unwrap();
    assert!(matches!(Opened::try_on(&volume, &options(5)), Err(OpenMetadataError::Unreachable)));
}

/// Whatever happens to the log files after a clean stop, before the first snapshot: the streams are there or the start is
/// refused. An empty cluster would give the ids of lost streams, and their directories, to new ones.
#[test]
fn damage_at_the_end_of_the_log_is_never_taken_for_an_empty_cluster() {
    let closed = || {
        let volume = MemoryVolume::new();
        let opened = Opened::on(&volume, 1000);
        opened.propose(register("a")).unwrap();
        opened.propose(create("one", 1, Exactly(1))).unwrap();
        opened.propose(create("two", 1, Exactly(1))).unwrap();
        opened.metadata.close();
        volume
    };
    let check = |volume: &MemoryVolume, what: &str| {
        let with_data = MetadataOptions { may_found: false, ..options(1000) };
        if let Ok(opened) = Opened::try_on(volume, &with_data) {
            assert_eq!(opened.streams(), ["one", "two"], "{what}");
        }
    };
    let directory = closed().directory("raft");
    let file = directory.list().unwrap().into_iter().find(|file| file.name.ends_with(".log")).unwrap();
    for bytes in (0..file.bytes).step_by(7) {
        let volume = closed();
        volume.directory("raft").open(&file.name).unwrap().truncate(bytes).unwrap();
        check(&volume, &format!("cut to {bytes} bytes"));
        let volume = closed();
        let log = volume.directory("raft").open(&file.name).unwrap();
        let mut byte = [0];
        log.read_at(&mut byte, bytes).unwrap();
        log.append(bytes, &mut [std::io::IoSlice::new(&[byte[0] ^ 1])]).unwrap();
        check(&volume, &format!("bit flipped in byte {bytes}"));
    }
    for also_derived in [false, true] {
        let volume = closed();
        let directory = volume.directory("raft");
        for file in directory.list().unwrap() {
            if also_derived || file.name.ends_with(".log") {
                directory.remove(&file.name).unwrap();
            }
        }
        check(&volume, "log removed");
    }
}

#[test]
fn snapshots_without_their_log_are_refused() {
    let volume = MemoryVolume::new();
    with_snapshots(&volume);
    let log = volume.directory("raft");
    for file in log.list().unwrap() {
        log.remove(&file.name).unwrap();
    }
    assert!(matches!(Opened::try_on(&volume, &options(5)), Err(OpenMetadataError::Forgetful)));
}

#[test]
fn a_flipped_bit_in_the_log_is_outlived_or_refused() {
    let log_file = |volume: &FaultyVolume| {
        let files = volume.directory("raft").list().unwrap();
        files.into_iter().find(|file| file.name.ends_with(".log")).expect("one segment holds it all")
    };
    let mut outlived = 0;
    let mut refused = 0;
    for step in 0.. {
        let volume = FaultyVolume::new(step);
        let state = with_snapshots(&volume);
        let file = log_file(&volume);
        let position = step * 61;
        if position >= file.bytes {
            break;
        }
        volume.flip_bit(&format!("raft/{}", file.name), position, 5).unwrap();
        match Opened::try_on(&volume, &options(5)) {
            Ok(opened) => {
                assert_eq!(*opened.metadata.state(), state, "byte {position} of {}", file.bytes);
                outlived += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(outlived > 0, "damage before what the newest snapshot needs is outlived");
    assert!(refused > 0, "damage of what is needed is refused");
}

/// Fails one storage operation after the other, cuts the power, and looks at what is left.
#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_answered() {
    let mut was_undisturbed = false;
    for after in 0..2000 {
        let volume = FaultyVolume::new(after);
        volume.fail_operation(after, std::io::ErrorKind::Other);
        let answered = answered_before_failing(&volume);
        was_undisturbed = volume.operation_count() <= after;
        volume.crash();
        // The failure that was not met yet is met by the restart, which may fail of it: the next one must not.
        let opened = Opened::try_on(&volume, &options(3)).or_else(|_| {
            volume.crash();
            Opened::try_on(&volume, &options(3))
        });
        let opened = opened.unwrap_or_else(|error| panic!("operation {after}: {error}"));
        let streams = opened.streams();
        assert!(
            answered.iter().all(|stream| streams.contains(stream)),
            "operation {after}: {answered:?} of {streams:?}"
        );
        opened.propose(register("a")).unwrap();
        if was_undisturbed {
            break;
        }
    }
    assert!(was_undisturbed, "the scenario has more operations than are visited");
}

/// Creates streams, with a restart in between, until something fails; which of them were answered.
fn answered_before_failing(volume: &FaultyVolume) -> Vec<String> {
    let mut answered = Vec::new();
    for life in 0..2 {
        let Ok(opened) = Opened::try_on(volume, &options(3)) else { return answered };
        let Ok(_) = opened.propose(register("a")) else { return answered };
        for number in 0..6 {
            let stream = format!("s{life}.{number}");
            let Ok(index) = opened.propose(create(&stream, 1, Exactly(1))) else { return answered };
            answered.push(stream);
            opened.metadata.carried_out(index);
        }
        opened.metadata.close();
    }
    answered
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
