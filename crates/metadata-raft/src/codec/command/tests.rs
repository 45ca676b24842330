use proptest::prelude::*;

use super::*;
use crate::test_commands::*;

#[track_caller]
fn check_golden(command: Command, golden: &[u8]) {
    assert_eq!(encode_command(command.clone()), golden, "{command:?}");
    assert_eq!(decode_command(golden), Ok(command));
}

#[test]
fn golden_bytes_of_every_command() {
    check_golden(register("a"), b"\x08\x01\x12\x11\x0a\x01a\x12\x09localhost\x18\xcc\x48");
    check_golden(
        create("s", 3, ReplicaCount::Exactly(1)),
        b"\x08\x01\x1a\x0e\x0a\x01s\x12\x01s\x20\x03\x28\x01\x32\x00\x38\x01",
    );
    check_golden(
        create("s", 3, ReplicaCount::EveryBroker),
        b"\x08\x01\x1a\x0c\x0a\x01s\x12\x01s\x20\x03\x32\x00\x38\x01",
    );
    check_golden(delete("s"), b"\x08\x01\x22\x03\x0a\x01s");
    check_golden(pause("s", &[0, 2], true, 5), b"\x08\x01\x2a\x0b\x0a\x01s\x12\x02\x00\x02\x18\x01\x20\x05");
    check_golden(resume("s", &[1], 5), b"\x08\x01\x32\x08\x0a\x01s\x12\x01\x01\x18\x05");
    check_golden(set_readonly("s", &[], true, 5), b"\x08\x01\x3a\x07\x0a\x01s\x18\x01\x20\x05");
    check_golden(
        start(2),
        b"\x08\x01\x12\x22\x0a\x012\x12\x09localhost\x18\xcc\x48\x22\x0f\x08\x02\x12\x02d2\x1a\x03h:2\x28\x02\x30\x01",
    );
    check_golden(
        start_as(2, |member| member.session_timeout = Some(Duration::from_secs(20))),
        b"\x08\x01\x12\x26\x0a\x012\x12\x09localhost\x18\xcc\x48\x22\x13\x08\x02\x12\x02d2\x1a\x03h:2\x28\x02\x30\x01\x48\xa0\x9c\x01",
    );
    check_golden(Command::FenceBroker(life("a", 7)), b"\x08\x01\x42\x05\x0a\x01a\x10\x07");
    check_golden(Command::UnfenceBroker(life("a", 7)), b"\x08\x01\x4a\x05\x0a\x01a\x10\x07");
    let partition = partition_name("s", 3, 1);
    let (leader_epoch, epoch) = (LeaderEpoch::new(4), PartitionEpoch::new(5));
    let (in_sync, damaged) = (vec![life("a", 7)], Vec::new());
    check_golden(
        Command::ChangeInSync(ChangeInSync { partition: partition.clone(), leader_epoch, epoch, in_sync, damaged }),
        b"\x08\x01\x52\x14\x0a\x07\x0a\x01s\x10\x03\x18\x01\x10\x04\x18\x05\x22\x05\x0a\x01a\x10\x07",
    );
    check_golden(
        Command::MoveLeader(MoveLeader { partition: partition.clone(), epoch, to: broker("a"), leaves: false }),
        b"\x08\x01\x5a\x0e\x0a\x07\x0a\x01s\x10\x03\x18\x01\x10\x05\x1a\x01a",
    );
    check_golden(
        Command::MoveLeader(MoveLeader { partition: partition.clone(), epoch, to: broker("a"), leaves: true }),
        b"\x08\x01\x5a\x10\x0a\x07\x0a\x01s\x10\x03\x18\x01\x10\x05\x1a\x01a\x20\x01",
    );
    check_golden(
        Command::ElectUnclean(ElectUnclean { partition, to: Some(broker("a")) }),
        b"\x08\x01\x62\x0c\x0a\x07\x0a\x01s\x10\x03\x18\x01\x12\x01a",
    );
    check_golden(
        Command::RemoveBroker(RemoveBroker { id: broker("a"), forced: true }),
        b"\x08\x01\x6a\x05\x0a\x01a\x10\x01",
    );
    check_golden(Command::SetFeatureLevel(2), b"\x08\x01\x72\x02\x08\x02");
}

#[track_caller]
fn check_refused(data: &[u8], expected: DecodeError) {
    assert_eq!(decode_command(data), Err(expected), "{data:?}");
}

#[test]
fn what_this_version_does_not_know_is_refused() {
    check_refused(b"\x08\x01\x82\x06\x00", DecodeError::UnknownKind { message: "command" });
    check_refused(
        b"\x08\x02\x22\x03\x0a\x01s",
        DecodeError::NewerVersion { message: "MetadataCommand", version: 2, supported: 1 },
    );
    check_refused(b"\x22\x03\x0a\x01s", DecodeError::Missing { field: "version" });
}

#[test]
fn values_outside_their_range_are_refused() {
    let name = |source| DecodeError::Name { field: "name", source };
    check_refused(b"\x08\x01\x22\x00", name(liftbridge_types::InvalidName::Empty));
    check_refused(b"\x08\x01\x22\x04\x0a\x02..", name(liftbridge_types::InvalidName::Dots));
    let partition = DecodeError::OutOfRange { field: "partition", value: 0x8000_0000 };
    check_refused(b"\x08\x01\x32\x0a\x0a\x01s\x12\x05\x80\x80\x80\x80\x08", partition);
    let port = DecodeError::OutOfRange { field: "port", value: 65_536 };
    check_refused(b"\x08\x01\x12\x07\x0a\x01a\x18\x80\x80\x04", port);
    check_refused(b"\x08\x01\x1a\x07\x0a\x01s\x12\x02.a", DecodeError::Subject(liftbridge_types::InvalidSubject));
    let nanos = DecodeError::OutOfRange { field: "nanos", value: 1_000_000_000 };
    check_refused(b"\x08\x01\x1a\x10\x0a\x01s\x12\x01s\x32\x08\x1a\x06\x10\x80\x94\xeb\xdc\x03", nanos);
}

proptest! {
    #[test]
    fn commands_come_back_as_they_were(command in any_command()) {
        prop_assert_eq!(decode_command(&encode_command(command.clone())), Ok(command));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_command(&bytes);
    }

    #[test]
    fn damaged_commands_are_decoded_or_refused(command in any_command(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encode_command(command);
        let position = at.index(bytes.len());
        bytes[position] = byte;
        let _ = decode_command(&bytes);
    }
}
