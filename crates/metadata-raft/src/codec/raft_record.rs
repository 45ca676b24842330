//! Raft's entries and hard state as bytes: the records of the log under `raft/`.
//!
//! Raft brings protobuf types of its own; what stands on disk is this project's message, so that bytes from a disk never
//! meet that old decoder.

use bytes::Bytes;
use liftbridge_proto::v1::{self, raft_record::Record as Wire};
use prost::Message;
use raft::eraftpb::{Entry, EntryType, HardState};

use super::DecodeError;
use crate::log_index::LogIndex;

/// One record of the raft log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RaftRecord {
    /// An entry; it takes the place of any earlier one with its index, and of all that follow that one.
    Entry(Entry),
    /// The hard state, in place of any earlier one.
    HardState(HardState),
    /// A snapshot came from elsewhere: every entry before is void, and the next one follows the snapshot.
    Reset(LogIndex),
}

/// The record of an entry.
pub(crate) fn encode_entry(entry: &Entry) -> Vec<u8> {
    v1::RaftRecord { record: Some(Wire::Entry(wire_entry(entry))) }.encode_to_vec()
}

/// The record that voids all entries before it.
pub(crate) fn encode_reset(snapshot: LogIndex) -> Vec<u8> {
    v1::RaftRecord { record: Some(Wire::Reset(v1::RaftReset { index: snapshot.get() })) }.encode_to_vec()
}

/// The record of a hard state.
pub(crate) fn encode_hard_state(state: &HardState) -> Vec<u8> {
    let wire = v1::RaftHardState { term: state.term, vote: state.vote, commit: state.commit };
    v1::RaftRecord { record: Some(Wire::HardState(wire)) }.encode_to_vec()
}

/// The record these bytes hold.
pub(crate) fn decode_record(bytes: Bytes) -> Result<RaftRecord, DecodeError> {
    let message = v1::RaftRecord::decode(bytes)?;
    match message.record.ok_or(DecodeError::UnknownKind { message: "raft record" })? {
        Wire::Entry(wire) => Ok(RaftRecord::Entry(decode_entry(wire)?)),
        Wire::HardState(wire) => {
            let mut state = HardState::default();
            (state.term, state.vote, state.commit) = (wire.term, wire.vote, wire.commit);
            Ok(RaftRecord::HardState(state))
        }
        Wire::Reset(wire) => Ok(RaftRecord::Reset(LogIndex::new(wire.index))),
    }
}

pub(super) fn wire_entry(entry: &Entry) -> v1::RaftEntry {
    // Persisted, never reuse.
    let kind = match entry.get_entry_type() {
        EntryType::EntryNormal => 0,
        EntryType::EntryConfChange => 1,
        EntryType::EntryConfChangeV2 => 2,
    };
    let (index, term) = (entry.index, entry.term);
    v1::RaftEntry { index, term, kind, data: entry.data.clone(), context: entry.context.clone() }
}

pub(super) fn decode_entry(wire: v1::RaftEntry) -> Result<Entry, DecodeError> {
    let mut entry = Entry::default();
    entry.set_entry_type(match wire.kind {
        0 => EntryType::EntryNormal,
        1 => EntryType::EntryConfChange,
        2 => EntryType::EntryConfChangeV2,
        _ => return Err(DecodeError::UnknownKind { message: "raft entry" }),
    });
    (entry.index, entry.term, entry.data, entry.context) = (wire.index, wire.term, wire.data, wire.context);
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, kind: EntryType) -> Entry {
        let mut entry = Entry::default();
        entry.set_entry_type(kind);
        (entry.index, entry.term) = (index, 3);
        entry.data = Bytes::from_static(b"data");
        entry
    }

    #[test]
    fn entries_and_hard_states_come_back_as_they_were() {
        for kind in [EntryType::EntryNormal, EntryType::EntryConfChange, EntryType::EntryConfChangeV2] {
            let written = entry(7, kind);
            assert_eq!(decode_record(encode_entry(&written).into()), Ok(RaftRecord::Entry(written)));
        }
        let mut state = HardState::default();
        (state.term, state.vote, state.commit) = (9, 1, 77);
        assert_eq!(decode_record(encode_hard_state(&state).into()), Ok(RaftRecord::HardState(state)));
        let reset = LogIndex::new(300);
        assert_eq!(decode_record(encode_reset(reset).into()), Ok(RaftRecord::Reset(reset)));
    }

    #[test]
    fn golden_bytes_of_a_record() {
        let golden = b"\x0a\x0a\x08\x07\x10\x03\x22\x04data";
        assert_eq!(encode_entry(&entry(7, EntryType::EntryNormal)), golden);
    }

    #[test]
    fn records_of_unknown_kinds_are_refused() {
        let unknown_record = DecodeError::UnknownKind { message: "raft record" };
        assert_eq!(decode_record(Bytes::from_static(b"\x22\x00")), Err(unknown_record));
        let unknown_entry = DecodeError::UnknownKind { message: "raft entry" };
        assert_eq!(decode_record(Bytes::from_static(b"\x0a\x02\x18\x03")), Err(unknown_entry));
        assert!(matches!(decode_record(Bytes::from_static(b"\x0a\xff")), Err(DecodeError::Malformed(_))));
    }
}
