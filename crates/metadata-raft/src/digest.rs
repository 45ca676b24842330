//! A digest of everything that was agreed on up to one entry, and a memory of the latest ones, to compare with what another
//! server came to. Owns how it follows from the entries; never what is done about a difference.
//!
//! It is a checksum over the bytes that were applied, each with its index and the digest before it. Equal logs have equal
//! digests wherever snapshots were taken, because those carry it. Raft compares logs by index and term, and so takes two
//! entries for the same that are not, where a server voted twice after its directory was set back.

use std::collections::VecDeque;

use liftbridge_types::BrokerId;

use crate::log_index::LogIndex;

/// How many digests are remembered: how far another server may be behind when what it says is compared.
const REMEMBERED_MAX: usize = 1024;

/// The digest after one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Digest {
    /// That of a cluster that was just founded.
    pub(crate) fn founded(cluster_id: &str) -> Self {
        Self(0).then(LogIndex::default(), cluster_id.as_bytes())
    }

    /// The digest with this number.
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// The digest after these bytes were applied at `index`.
    #[must_use]
    pub(crate) fn then(self, index: LogIndex, bytes: &[u8]) -> Self {
        // Persisted and compared with other servers: the same in every version.
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        digest.update(&self.0.to_le_bytes());
        digest.update(&index.get().to_le_bytes());
        digest.update(bytes);
        Self(digest.finalize())
    }
}

/// What a server came to at one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) index: LogIndex,
    pub(crate) digest: Digest,
}

/// This server came to something else at an index than another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Differs {
    pub(crate) index: LogIndex,
    pub(crate) from: BrokerId,
}

/// The latest digests of this server.
///
/// Invariant: in order; the one of an index is that of the last entry up to it that changed anything.
#[derive(Debug, Default)]
pub(crate) struct DigestHistory {
    stamps: VecDeque<Stamp>,
    /// What another server came to where this one has still to come.
    awaited: Option<(BrokerId, Stamp)>,
}

impl DigestHistory {
    /// Begins anew with the state after `index`, of which the digest is known or not.
    pub(crate) fn begin(&mut self, index: LogIndex, digest: Option<Digest>) {
        self.stamps.clear();
        self.note(index, digest);
    }

    /// The entry at `index` led to this digest.
    pub(crate) fn note(&mut self, index: LogIndex, digest: Option<Digest>) {
        let Some(digest) = digest else { return };
        if self.stamps.len() == REMEMBERED_MAX {
            self.stamps.pop_front();
        }
        self.stamps.push_back(Stamp { index, digest });
    }

    /// Compares what another server came to, now or once this one is as far. What is too old to be remembered is not compared.
    pub(crate) fn compare(&mut self, applied: LogIndex, from: &BrokerId, other: Stamp) -> Result<(), Differs> {
        if other.index > applied {
            self.awaited.get_or_insert_with(|| (from.clone(), other));
            return Ok(());
        }
        match self.at(other.index) {
            Some(digest) if digest != other.digest => Err(Differs { index: other.index, from: from.clone() }),
            _ => Ok(()),
        }
    }

    /// Everything up to `applied` is applied: compares what was waiting for that.
    pub(crate) fn reach(&mut self, applied: LogIndex) -> Result<(), Differs> {
        match self.awaited.take_if(|(_, awaited)| awaited.index <= applied) {
            Some((from, awaited)) => self.compare(applied, &from, awaited),
            None => Ok(()),
        }
    }

    fn at(&self, index: LogIndex) -> Option<Digest> {
        let after = self.stamps.partition_point(|stamp| stamp.index <= index);
        self.stamps.get(after.checked_sub(1)?).map(|stamp| stamp.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_commands::broker;

    fn index(number: u64) -> LogIndex {
        LogIndex::new(number)
    }

    fn stamp(number: u64, digest: u64) -> Stamp {
        Stamp { index: index(number), digest: Digest::new(digest) }
    }

    fn differs(number: u64) -> Result<(), Differs> {
        Err(Differs { index: index(number), from: broker("a") })
    }

    /// Entries 3 and 5 changed something; everything up to 6 is applied.
    fn history() -> DigestHistory {
        let mut history = DigestHistory::default();
        history.begin(index(3), Some(Digest::new(30)));
        history.note(index(5), Some(Digest::new(50)));
        history
    }

    #[track_caller]
    fn check(other: Stamp, expected: Result<(), Differs>) {
        assert_eq!(history().compare(index(6), &broker("a"), other), expected, "{other:?}");
    }

    #[test]
    fn what_was_applied_where_and_in_which_order_is_told_apart() {
        let from = Digest::founded("c1");
        assert_ne!(from, Digest::founded("c2"));
        assert_ne!(from.then(index(2), b"ab"), from.then(index(2), b"ba"));
        assert_ne!(from.then(index(2), b"ab"), from.then(index(3), b"ab"));
        let (ab, ba) = (from.then(index(2), b"a").then(index(3), b"b"), from.then(index(2), b"b").then(index(3), b"a"));
        assert_ne!(ab, ba);
    }

    #[test]
    fn the_digest_of_some_entries_is_the_same_in_every_version() {
        let digest = Digest::founded("c1").then(index(2), b"entry");
        assert_eq!(format!("{:016x}", digest.get()), "31003daac516123a");
    }

    #[test]
    fn what_both_know_is_compared() {
        check(stamp(3, 30), Ok(()));
        check(stamp(4, 30), Ok(()));
        check(stamp(4, 50), differs(4));
        check(stamp(5, 30), differs(5));
        check(stamp(6, 50), Ok(()));
        check(stamp(2, 99), Ok(()));
    }

    #[test]
    fn what_another_server_knows_already_is_compared_when_this_one_is_as_far() {
        let mut history = history();
        assert_eq!(history.compare(index(6), &broker("a"), stamp(8, 80)), Ok(()));
        // The first one that is waited for is not driven out by the next.
        assert_eq!(history.compare(index(6), &broker("b"), stamp(9, 50)), Ok(()));
        history.note(index(7), Some(Digest::new(70)));
        assert_eq!(history.reach(index(7)), Ok(()));
        assert_eq!(history.reach(index(8)), differs(8));
        assert_eq!(history.reach(index(9)), Ok(()));
    }

    #[test]
    fn what_is_unknown_here_is_not_compared() {
        let mut history = DigestHistory::default();
        history.begin(index(3), None);
        history.note(index(4), None);
        assert_eq!(history.compare(index(4), &broker("a"), stamp(4, 40)), Ok(()));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut history = DigestHistory::default();
        for number in 0..2 * REMEMBERED_MAX as u64 {
            history.note(index(number), Some(Digest::new(number)));
        }
        assert_eq!(history.stamps.len(), REMEMBERED_MAX);
        assert_eq!(history.at(index(REMEMBERED_MAX as u64 - 1)), None);
    }
}
