//! What raft nodes say to each other, as bytes. Bytes from the network never meet raft's own protobuf decoder, and what
//! raft would answer with a panic is refused here.

use liftbridge_proto::v1;
use prost::Message as _;
use raft::eraftpb::{ConfState, Message, MessageType, Snapshot};

use super::DecodeError;
use super::raft_record::{decode_entry, wire_entry};
use crate::digest::{Digest, Stamp};
use crate::log_index::LogIndex;

/// The kinds of messages and their numbers; never reuse one.
const KINDS: [(u32, MessageType); 10] = [
    (1, MessageType::MsgAppend),
    (2, MessageType::MsgAppendResponse),
    (3, MessageType::MsgRequestVote),
    (4, MessageType::MsgRequestVoteResponse),
    (5, MessageType::MsgSnapshot),
    (6, MessageType::MsgHeartbeat),
    (7, MessageType::MsgHeartbeatResponse),
    (8, MessageType::MsgTimeoutNow),
    (9, MessageType::MsgRequestPreVote),
    (10, MessageType::MsgRequestPreVoteResponse),
];

/// The message as bytes, and with a heartbeat what its sender came to; `None` for a kind that stays on its server.
pub(crate) fn encode_message(message: Message, stamp: Option<Stamp>) -> Option<Vec<u8>> {
    let kind = KINDS.iter().find(|(_, kind)| *kind == message.get_msg_type()).map(|(number, _)| *number)?;
    let snapshot = message.has_snapshot().then(|| {
        let metadata = message.get_snapshot().get_metadata();
        v1::RaftSnapshot {
            data: message.get_snapshot().data.clone(),
            index: metadata.index,
            term: metadata.term,
            voters: metadata.get_conf_state().voters.clone(),
            learners: metadata.get_conf_state().learners.clone(),
        }
    });
    let stamp = stamp.filter(|_| message.get_msg_type() == MessageType::MsgHeartbeat);
    let wire = v1::RaftMessage {
        kind,
        to: message.to,
        from: message.from,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.iter().map(wire_entry).collect(),
        commit: message.commit,
        commit_term: message.commit_term,
        snapshot,
        request_snapshot: message.request_snapshot,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context.clone(),
        priority: message.priority,
        applied: stamp.map_or(0, |stamp| stamp.index.get()),
        digest: stamp.map(|stamp| stamp.digest.get()),
    };
    Some(wire.encode_to_vec())
}

/// The message these bytes hold, and what its sender came to.
pub(crate) fn decode_message(bytes: &[u8]) -> Result<(Message, Option<Stamp>), DecodeError> {
    let wire = v1::RaftMessage::decode(bytes)?;
    let kind = KINDS.iter().find(|(number, _)| *number == wire.kind).map(|(_, kind)| *kind);
    let kind = kind.ok_or(DecodeError::UnknownKind { message: "raft message" })?;
    let mut message = Message::default();
    message.set_msg_type(kind);
    (message.to, message.from, message.term) = (wire.to, wire.from, wire.term);
    (message.log_term, message.index) = (wire.log_term, wire.index);
    (message.commit, message.commit_term) = (wire.commit, wire.commit_term);
    (message.request_snapshot, message.reject, message.reject_hint) =
        (wire.request_snapshot, wire.reject, wire.reject_hint);
    (message.context, message.priority) = (wire.context, wire.priority);
    // A message of term 0 is one that a node sends to itself.
    for (field, value) in [("term", message.term), ("from", message.from), ("to", message.to)] {
        if value == 0 {
            return Err(DecodeError::OutOfRange { field, value });
        }
    }
    let mut next = message.index;
    for entry in wire.entries {
        next = next.saturating_add(1);
        if entry.index != next || kind != MessageType::MsgAppend {
            return Err(DecodeError::OutOfRange { field: "entry", value: entry.index });
        }
        message.entries.push(decode_entry(entry)?);
    }
    match (kind, wire.snapshot) {
        (MessageType::MsgSnapshot, Some(snapshot)) => message.set_snapshot(decode_snapshot(snapshot)?),
        (MessageType::MsgSnapshot, None) => return Err(DecodeError::Missing { field: "snapshot" }),
        (_, Some(_)) => return Err(DecodeError::UnknownKind { message: "raft message" }),
        (_, None) => {}
    }
    let index = LogIndex::new(wire.applied);
    Ok((message, wire.digest.map(|digest| Stamp { index, digest: Digest::new(digest) })))
}

fn decode_snapshot(wire: v1::RaftSnapshot) -> Result<Snapshot, DecodeError> {
    if wire.index == 0 || wire.voters.is_empty() {
        return Err(DecodeError::Missing { field: "snapshot" });
    }
    let twice = wire.voters.iter().chain(&wire.learners).collect::<std::collections::BTreeSet<_>>().len();
    if twice != wire.voters.len() + wire.learners.len() {
        return Err(DecodeError::OutOfOrder { field: "voters" });
    }
    let mut snapshot = Snapshot { data: wire.data, ..Snapshot::default() };
    let metadata = snapshot.mut_metadata();
    (metadata.index, metadata.term) = (wire.index, wire.term);
    metadata.set_conf_state(ConfState::from((wire.voters, wire.learners)));
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use raft::eraftpb::Entry;

    use super::*;

    const STAMP: Stamp = Stamp { index: LogIndex::new(7), digest: Digest::new(0) };

    fn append() -> Message {
        let mut entry = Entry::default();
        (entry.index, entry.term, entry.data) = (8, 3, bytes::Bytes::from_static(b"data"));
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgAppend);
        (message.to, message.from, message.term, message.index, message.log_term) = (2, 1, 3, 7, 3);
        message.commit = 6;
        message.entries.push(entry);
        message
    }

    fn with_snapshot() -> Message {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgSnapshot);
        (message.to, message.from, message.term) = (2, 1, 3);
        let snapshot = message.mut_snapshot();
        snapshot.data = bytes::Bytes::from_static(b"state");
        let metadata = snapshot.mut_metadata();
        (metadata.index, metadata.term) = (40, 2);
        metadata.set_conf_state(ConfState::from((vec![1, 3], vec![2])));
        message
    }

    #[test]
    fn messages_come_back_as_they_were() {
        for (_, kind) in KINDS {
            let mut message = if kind == MessageType::MsgSnapshot { with_snapshot() } else { append() };
            message.set_msg_type(kind);
            if kind != MessageType::MsgAppend {
                message.entries.clear();
            }
            (message.reject, message.reject_hint, message.priority) = (true, 9, -1);
            let bytes = encode_message(message.clone(), Some(STAMP)).unwrap();
            let stamp = (kind == MessageType::MsgHeartbeat).then_some(STAMP);
            assert_eq!(
                decode_message(&bytes),
                Ok((message.clone(), stamp)),
                "who applied something says so in heartbeats"
            );
            let bytes = encode_message(message.clone(), None).unwrap();
            assert_eq!(decode_message(&bytes), Ok((message, None)));
        }
    }

    #[test]
    fn golden_bytes_of_an_append() {
        let golden = b"\x08\x01\x10\x02\x18\x01\x20\x03\x28\x03\x30\x07\x3a\x0a\x08\x08\x10\x03\x22\x04data\x40\x06";
        assert_eq!(encode_message(append(), None).unwrap(), golden);
    }

    #[test]
    fn messages_that_a_node_sends_to_itself_stay_there() {
        let mut message = append();
        message.set_msg_type(MessageType::MsgPropose);
        assert_eq!(encode_message(message, None), None);
    }

    #[track_caller]
    fn check_refused(change: impl FnOnce(&mut v1::RaftMessage), from: Message) {
        let mut wire = v1::RaftMessage::decode(&*encode_message(from, None).unwrap()).unwrap();
        change(&mut wire);
        decode_message(&wire.encode_to_vec()).expect_err("it makes no sense");
    }

    #[test]
    fn what_raft_would_panic_at_is_refused() {
        check_refused(|wire| wire.kind = 0, append());
        check_refused(|wire| wire.kind = 11, append());
        check_refused(|wire| wire.term = 0, append());
        check_refused(|wire| wire.from = 0, append());
        check_refused(|wire| wire.index = 3, append());
        check_refused(|wire| wire.kind = 6, append());
        check_refused(|wire| wire.kind = 5, append());
        check_refused(|wire| wire.snapshot.as_mut().unwrap().index = 0, with_snapshot());
        check_refused(|wire| wire.snapshot.as_mut().unwrap().voters.clear(), with_snapshot());
        check_refused(|wire| wire.snapshot.as_mut().unwrap().learners.push(1), with_snapshot());
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_message(&bytes);
        }

        #[test]
        fn damaged_messages_are_decoded_or_refused(at in any::<prop::sample::Index>(), byte: u8) {
            for message in [append(), with_snapshot()] {
                let mut bytes = encode_message(message, None).unwrap();
                let position = at.index(bytes.len());
                bytes[position] = byte;
                let _ = decode_message(&bytes);
            }
        }
    }
}
