//! Who takes part in the agreement, as bytes: the context of entries that change it, and what a joined directory remembers.
//!
//! Raft has a message of its own for such changes; it stands in the same entries and is never read.

use liftbridge_proto::v1::{self, membership_change::Change as Wire};
use prost::Message;

use super::{DecodeError, broker_id, check_version, directory_id, raft_id};
use crate::apply::MembershipChange;
use crate::node_id::RaftId;

/// The version of the member file written here, and the newest one understood.
const VERSION: u32 = 1;

/// What a data directory that joined a cluster was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    /// Raft's number for it.
    pub(crate) raft_id: RaftId,
    /// The cluster it joined.
    pub(crate) cluster_id: String,
}

/// The change as the context of an entry.
pub(crate) fn encode_membership_change(change: &MembershipChange) -> Vec<u8> {
    let change = match change {
        MembershipChange::Add { id, broker, directory, peer_address } => Wire::Add(v1::AddedNode {
            raft_id: id.get(),
            broker: broker.as_str().to_owned(),
            directory: directory.as_str().to_owned(),
            peer_address: peer_address.clone(),
        }),
        MembershipChange::Promote(id) => Wire::Promote(id.get()),
        MembershipChange::Remove(id) => Wire::Remove(id.get()),
    };
    v1::MembershipChange { change: Some(change) }.encode_to_vec()
}

/// The change an entry's context holds.
pub(crate) fn decode_membership_change(context: &[u8]) -> Result<MembershipChange, DecodeError> {
    let message = v1::MembershipChange::decode(context)?;
    Ok(match message.change.ok_or(DecodeError::UnknownKind { message: "membership change" })? {
        Wire::Add(wire) => MembershipChange::Add {
            id: raft_id(wire.raft_id)?,
            broker: broker_id(&wire.broker)?,
            directory: directory_id(&wire.directory)?,
            peer_address: wire.peer_address,
        },
        Wire::Promote(id) => MembershipChange::Promote(raft_id(id)?),
        Wire::Remove(id) => MembershipChange::Remove(raft_id(id)?),
    })
}

/// What a joined directory remembers, without a checksum.
pub(crate) fn encode_member(member: &JoinedMember) -> Vec<u8> {
    let (raft_id, cluster_id) = (member.raft_id.get(), member.cluster_id.clone());
    v1::RaftMember { version: VERSION, raft_id, cluster_id }.encode_to_vec()
}

/// What a joined directory was told.
pub(crate) fn decode_member(bytes: &[u8]) -> Result<JoinedMember, DecodeError> {
    let wire = v1::RaftMember::decode(bytes)?;
    check_version("RaftMember", wire.version, VERSION)?;
    Ok(JoinedMember { raft_id: raft_id(wire.raft_id)?, cluster_id: wire.cluster_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> RaftId {
        RaftId::new(number).unwrap()
    }

    #[track_caller]
    fn check_golden(change: &MembershipChange, golden: &[u8]) {
        assert_eq!(encode_membership_change(change), golden);
        assert_eq!(decode_membership_change(golden).as_ref(), Ok(change));
    }

    #[test]
    fn golden_bytes_of_every_change() {
        let add = MembershipChange::Add {
            id: id(2),
            broker: broker_id("b").unwrap(),
            directory: directory_id("d").unwrap(),
            peer_address: "h:1".to_owned(),
        };
        check_golden(&add, b"\x0a\x0d\x08\x02\x12\x01b\x1a\x01d\x22\x03h:1");
        check_golden(&MembershipChange::Promote(id(2)), b"\x10\x02");
        check_golden(&MembershipChange::Remove(id(300)), b"\x18\xac\x02");
    }

    #[test]
    fn golden_bytes_of_a_member() {
        let member = JoinedMember { raft_id: id(3), cluster_id: "c1".to_owned() };
        let golden = b"\x08\x01\x10\x03\x1a\x02c1";
        assert_eq!(encode_member(&member), golden);
        assert_eq!(decode_member(golden), Ok(member));
    }

    #[test]
    fn what_names_nobody_is_refused() {
        let nobody = DecodeError::OutOfRange { field: "raft id", value: 0 };
        assert_eq!(decode_membership_change(b"\x10\x00"), Err(nobody.clone()));
        assert_eq!(decode_member(b"\x08\x01"), Err(nobody));
        let unknown = DecodeError::UnknownKind { message: "membership change" };
        assert_eq!(decode_membership_change(b"\x28\x01"), Err(unknown));
    }
}
