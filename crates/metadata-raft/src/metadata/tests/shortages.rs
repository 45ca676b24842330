//! A full disk and no more descriptors: which changes are refused, which wait, and what goes on afterwards.

use super::*;

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
