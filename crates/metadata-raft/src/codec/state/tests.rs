use proptest::prelude::*;

use super::*;
use crate::test_commands::*;

fn sample() -> ClusterState {
    let mut state = ClusterState::founded("c1".to_owned());
    let commands = [register("a"), create("s", 2, crate::ReplicaCount::Exactly(1)), pause("s", &[1], true, 9)];
    for (command, index) in commands.into_iter().zip(2..) {
        state.apply(LogIndex::new(index), command).unwrap();
    }
    state
}

/// What software of feature level 1 wrote.
const GOLDEN_OF_LEVEL_1: &[u8] = b"\x08\x01\x10\x04\x18\x02\x22\x01\x01\x32\x51\
    \x0a\x02c1\x10\x01\
    \x1a\x13\x0a\x01a\x12\x09localhost\x18\xcc\x48\x20\x02\
    \x22\x34\x08\x03\x12\x01s\x1a\x01s\x28\x01\x32\x00\x38\x01\x40\x01\
    \x4a\x0c\x08\x00\x12\x01\x00\x1a\x01\x00\x20\x03\x28\x03\
    \x4a\x14\x08\x00\x12\x01\x00\x1a\x01\x00\x20\x03\x28\x03\x30\x01\x42\x04\x08\x09\x10\x09";

#[test]
fn snapshots_of_level_1_are_read() {
    let state = ClusterState { feature_level: 1, digest: None, ..sample() };
    assert_eq!(decode_snapshot(GOLDEN_OF_LEVEL_1).unwrap().state, state);
}

fn sample_of_level_2() -> ClusterState {
    let mut state = sample();
    state.change_membership(added(2));
    for (command, index) in [start(2), create("t", 1, crate::ReplicaCount::Exactly(2))].into_iter().zip(5..) {
        state.apply(LogIndex::new(index), command).unwrap();
    }
    state
}

/// What software wrote that knew no digests. The state is \xa3\x01 bytes long.
const GOLDEN_WITHOUT_DIGEST: &[u8] = b"\x08\x01\x10\x06\x18\x02\x22\x01\x01\x2a\x01\x02\x32\xa3\x01\
        \x0a\x02\x63\x31\x10\x02\
        \x1a\x19\x0a\x01\x32\x12\x09\x6c\x6f\x63\x61\x6c\x68\x6f\x73\x74\x18\xcc\x48\x20\x05\x28\x01\x38\x02\x40\x02\
        \x1a\x15\x0a\x01\x61\x12\x09\x6c\x6f\x63\x61\x6c\x68\x6f\x73\x74\x18\xcc\x48\x20\x02\x38\x01\
        \x22\x36\x08\x03\x12\x01\x73\x1a\x01\x73\x28\x01\x32\x00\x38\x01\x40\x01\x4a\x0c\x08\x01\x12\x01\x01\x1a\x01\x01\
        \x20\x03\x28\x03\x4a\x14\x08\x01\x12\x01\x01\x1a\x01\x01\x20\x03\x28\x03\x30\x01\x42\x04\x08\x09\x10\x09\x50\x01\
        \x22\x1f\x08\x06\x12\x01\x74\x1a\x01\x74\x28\x02\x32\x00\x38\x01\x4a\x0d\x08\x01\x12\x02\x01\x00\x1a\x01\x01\x20\
        \x06\x28\x06\x50\x02\x2a\x0e\x08\x02\x12\x01\x32\x1a\x02\x64\x32\x22\x03\x68\x3a\x32\x30\x02";

#[test]
fn a_snapshot_without_a_digest_is_read_and_written_as_ever() {
    let state = ClusterState { digest: None, ..sample_of_level_2() };
    assert_eq!(encode_snapshot(LogIndex::new(6), 2, &[1], &[2], &state), GOLDEN_WITHOUT_DIGEST);
    assert_eq!(decode_snapshot(GOLDEN_WITHOUT_DIGEST).unwrap().state, state);
}

#[test]
fn golden_bytes_of_a_snapshot() {
    let mut golden = GOLDEN_WITHOUT_DIGEST.to_vec();
    golden[13] = 0xac;
    golden.extend(b"\x39\x08\x07\x06\x05\x04\x03\x02\x01");
    let state = ClusterState { digest: Some(Digest::new(0x0102_0304_0506_0708)), ..sample_of_level_2() };
    assert_eq!(encode_snapshot(LogIndex::new(6), 2, &[1], &[2], &state), golden);
    assert_eq!(decode_snapshot(&golden).unwrap().state, state);
}

fn wire() -> v1::MetadataSnapshot {
    v1::MetadataSnapshot::decode(&*encode_snapshot(LogIndex::new(4), 2, &[1], &[], &sample())).unwrap()
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut v1::MetadataSnapshot, &mut v1::MetadataState), expected: DecodeError) {
    let mut message = wire();
    let mut state = message.state.take().unwrap();
    change(&mut message, &mut state);
    message.state = Some(state);
    assert_eq!(decode_snapshot(&message.encode_to_vec()), Err(expected));
}

#[test]
fn snapshots_that_make_no_sense_are_refused() {
    let newer = |message, version, supported| DecodeError::NewerVersion { message, version, supported };
    check_refused(|message, _| message.version = 2, newer("MetadataSnapshot", 2, 1));
    check_refused(|_, state| state.feature_level = 9, newer("feature level", 9, FEATURE_LEVEL));
    check_refused(|_, state| state.feature_level = 0, DecodeError::Missing { field: "version" });
    let twice = |field| DecodeError::OutOfOrder { field };
    check_refused(|_, state| state.brokers.push(state.brokers[0].clone()), twice("brokers"));
    check_refused(|_, state| state.streams.push(state.streams[0].clone()), twice("streams"));
    let nobody = DecodeError::OutOfRange { field: "broker position", value: 1 };
    check_refused(|_, state| state.streams[0].partitions[1].isr.push(1), nobody.clone());
    check_refused(|_, state| state.streams[0].partitions[0].leader = Some(1), nobody);
    let many = |state: &mut v1::MetadataState| {
        let partition = state.streams[0].partitions[0].clone();
        state.streams[0].partitions.resize(10_001, partition);
    };
    check_refused(|_, state| many(state), DecodeError::OutOfRange { field: "partitions", value: 10_001 });
    assert_eq!(
        decode_snapshot(&v1::MetadataSnapshot { version: 1, ..Default::default() }.encode_to_vec()),
        Err(DecodeError::Missing { field: "state" })
    );
}

proptest! {
    #[test]
    fn damaged_snapshots_are_decoded_or_refused(at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encode_snapshot(LogIndex::new(4), 2, &[1], &[], &sample());
        let position = at.index(bytes.len());
        bytes[position] = byte;
        let _ = decode_snapshot(&bytes);
    }
}
