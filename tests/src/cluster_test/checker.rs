//! What must be true of what was read back. Owns every rule a run can break and the words for it; knows no server, no client
//! and no fault.

use std::collections::{BTreeMap, HashMap};

use super::ledger::Acked;
use super::message_id::MessageId;
use super::raw_copy::RawCopy;
use super::read_back::Record;
use super::workload::GO_PUBLISHER;

/// Examples kept of each kind of finding.
const EXAMPLES_MAX: usize = 5;

/// The copy of a partition that one server keeps.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) node: String,
    pub(super) records: Vec<Record>,
}

/// Everything there is to know of one partition.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) partition: usize,
    pub(super) acked: &'a [Acked],
    pub(super) copies: &'a [Copy],
    /// What a consumer was shown during the run.
    pub(super) seen: &'a [Record],
}

/// How often a rule was broken, with some examples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) count: u64,
    pub(super) examples: Vec<String>,
}

impl Findings {
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }
}

/// What a run showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Acknowledged messages that a copy lacks.
    pub(super) lost: Findings,
    /// Acknowledged messages that are at another offset than the ack said, and messages nobody wrote like this.
    pub(super) changed: Findings,
    /// Offsets at which copies differ, and holes in one.
    pub(super) diverged: Findings,
    /// Messages that were sent once and are there more than once.
    pub(super) duplicated: Findings,
    /// Acknowledged messages of one publisher that are stored in another order than they were sent in.
    pub(super) reordered: Findings,
    /// What a consumer was shown and is not there any more, or was not shown in order.
    pub(super) forgotten: Findings,
    /// Messages that were published until they were acknowledged and are not there, or behind a later one.
    pub(super) incomplete: Findings,
    /// Batches below the high watermark that are not the same bytes on every disk.
    pub(super) unlike: Findings,
    /// Acknowledged messages.
    pub(super) acked: u64,
    /// Messages stored, in the longest copy of each partition.
    pub(super) stored: u64,
    /// Stored messages whose publisher heard of no ack.
    pub(super) unacked: u64,
    /// Messages that are there more than once because their publisher repeated them.
    pub(super) repeated: u64,
    /// Copies that were read.
    pub(super) copies: u64,
    /// Messages that consumers were shown.
    pub(super) seen: u64,
    /// Bytes below the high watermark that are on every disk, and the batches they are.
    pub(super) alike_bytes: u64,
    pub(super) alike_batches: u64,
}

impl Judgement {
    /// The rules and what broke them.
    pub(super) fn rules(&self) -> [(&'static str, &Findings); 8] {
        [
            ("lost", &self.lost),
            ("changed", &self.changed),
            ("diverged", &self.diverged),
            ("duplicated", &self.duplicated),
            ("reordered", &self.reordered),
            ("forgotten", &self.forgotten),
            ("incomplete", &self.incomplete),
            ("unlike", &self.unlike),
        ]
    }

    /// Whether no rule was broken.
    pub(super) fn is_clean(&self) -> bool {
        self.rules().iter().all(|(_, findings)| findings.count == 0)
    }

    /// Adds what one partition shows.
    pub(super) fn weigh(&mut self, evidence: &Evidence<'_>) {
        let Evidence { partition, acked, copies, seen } = evidence;
        let Some(longest) = copies.iter().max_by_key(|copy| copy.records.len()) else {
            acked.iter().for_each(|acked| self.lost.add(|| format!("{} of partition {partition}: no copy", acked.id)));
            return;
        };
        self.acked += acked.len() as u64;
        self.copies += copies.len() as u64;
        self.stored += longest.records.len() as u64;
        self.seen += seen.len() as u64;
        for copy in copies.iter() {
            self.weigh_acked(*partition, acked, copy);
            self.weigh_copy(*partition, copy, longest);
        }
        self.weigh_copies_of_messages(*partition, acked, longest);
        self.weigh_order(*partition, acked);
        self.weigh_seen(*partition, seen, longest);
    }

    /// Everything of publishers that repeat until they hear of an ack is in every copy, and what is there for the first time
    /// is in the order it was sent in. `promised` says how many messages each of them had.
    pub(super) fn weigh_promised(&mut self, partition: usize, promised: &[(u16, u32)], copies: &[Copy]) {
        for Copy { node, records } in copies {
            let mut next: BTreeMap<u16, u32> = promised.iter().map(|(publisher, _)| (*publisher, 0)).collect();
            for id in records.iter().filter_map(|record| record.id) {
                let Some(next) = next.get_mut(&id.publisher) else { continue };
                if id.sequence > *next {
                    self.incomplete.add(|| format!("{id} of partition {partition} is before {next} on {node}"));
                }
                *next = (*next).max(id.sequence + 1);
            }
            for (publisher, count) in promised {
                let there = next.get(publisher).copied().unwrap_or(0);
                if there != *count {
                    let whose = format!("partition {partition} has {there} of {count} messages of {publisher}");
                    self.incomplete.add(|| format!("{whose} on {node}"));
                }
            }
        }
    }

    /// What lies on the disks below the high watermark is the same, byte for byte.
    pub(super) fn weigh_raw(&mut self, partition: usize, copies: &[RawCopy]) {
        let Some((first, others)) = copies.split_first() else { return };
        for copy in copies {
            for damaged in &copy.damaged {
                self.unlike.add(|| format!("{damaged} of partition {partition} on {}", copy.node));
            }
        }
        for other in others {
            let (a, b) = (&first.node, &other.node);
            for (number, (one, another)) in first.batches.iter().zip(&other.batches).enumerate() {
                if one != another {
                    self.unlike
                        .add(|| format!("batch {number} of partition {partition} is not the same on {a} and {b}"));
                }
            }
            let (one, another) = (first.batches.len(), other.batches.len());
            if one != another {
                self.unlike.add(|| format!("partition {partition} has {one} batches on {a}, {another} on {b}"));
            }
        }
        self.alike_batches += first.batches.len() as u64;
        self.alike_bytes += first.batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
    }

    /// Every acknowledged message is where its ack said, in every copy.
    fn weigh_acked(&mut self, partition: usize, acked: &[Acked], copy: &Copy) {
        let elsewhere: HashMap<MessageId, u64> =
            copy.records.iter().filter_map(|record| Some((record.id?, record.offset))).collect();
        for Acked { id, offset, acked, .. } in acked {
            let there = usize::try_from(*offset).ok().and_then(|place| copy.records.get(place));
            if there.is_some_and(|record| record.id == Some(*id)) {
                continue;
            }
            let place = format!("{id}, acked at offset {offset} of partition {partition} after {acked:.1?}");
            match elsewhere.get(id) {
                Some(found) => self.changed.add(|| format!("{place}, is at {found} on {}", copy.node)),
                None => self.lost.add(|| format!("{place}, is not on {}", copy.node)),
            }
        }
    }

    /// A copy has no holes and is the same as the others, and somebody wrote what is in it.
    fn weigh_copy(&mut self, partition: usize, copy: &Copy, longest: &Copy) {
        let node = &copy.node;
        for (expected, record) in (0..).zip(&copy.records) {
            if record.offset != expected {
                self.diverged
                    .add(|| format!("{node}: {} instead of {expected} in partition {partition}", record.offset));
            }
            if record.id.is_none() {
                self.changed.add(|| format!("{node}: nobody wrote what is at {expected} of partition {partition}"));
            }
        }
        for (record, other) in copy.records.iter().zip(&longest.records) {
            if record.digest != other.digest {
                let (a, b) = (named(record), named(other));
                let place = format!("offset {} of partition {partition}", record.offset);
                self.diverged.add(|| format!("{place} is {a} on {node}, {b} on {}", longest.node));
            }
        }
        if copy.records.len() < longest.records.len() {
            let (short, long) = (copy.records.len(), longest.records.len());
            self.diverged
                .add(|| format!("partition {partition} ends at {short} on {node}, at {long} on {}", longest.node));
        }
    }

    /// What was sent once is there once.
    fn weigh_copies_of_messages(&mut self, partition: usize, acked: &[Acked], copy: &Copy) {
        let mut places: BTreeMap<MessageId, Vec<u64>> = BTreeMap::new();
        for record in &copy.records {
            places.entry(record.id.unwrap_or(NOBODY)).or_default().push(record.offset);
        }
        places.remove(&NOBODY);
        let mut messages = 0;
        let mut last = None;
        for (id, offsets) in &places {
            // Attempts stand one after the other.
            if last != Some((id.publisher, id.sequence)) {
                messages += 1;
                last = Some((id.publisher, id.sequence));
            }
            // The Go client repeats by itself.
            if offsets.len() > 1 && id.publisher < GO_PUBLISHER {
                self.duplicated.add(|| format!("{id} is at {offsets:?} of partition {partition}"));
            }
        }
        self.repeated += copy.records.len() as u64 - messages;
        self.unacked += (copy.records.len() as u64).saturating_sub(acked.len() as u64);
    }

    /// A publisher's acknowledged messages are stored in the order they were sent in.
    fn weigh_order(&mut self, partition: usize, acked: &[Acked]) {
        let mut in_order: Vec<&Acked> = acked.iter().collect();
        in_order.sort_by_key(|acked| acked.offset);
        let mut newest: HashMap<u16, &Acked> = HashMap::new();
        for acked in in_order {
            let before = newest.insert(acked.id.publisher, acked);
            let Some(before) = before.filter(|before| before.id.sequence >= acked.id.sequence) else { continue };
            let (a, b) = (format!("{} at {}", before.id, before.offset), format!("{} at {}", acked.id, acked.offset));
            self.reordered.add(|| format!("{a}, then {b} of partition {partition}"));
        }
    }

    /// What a consumer was shown came in order and is still there.
    fn weigh_seen(&mut self, partition: usize, seen: &[Record], copy: &Copy) {
        for (expected, record) in (0..).zip(seen) {
            if record.offset != expected {
                self.forgotten
                    .add(|| format!("shown {} instead of {expected} of partition {partition}", record.offset));
                return;
            }
            let now = usize::try_from(expected).ok().and_then(|place| copy.records.get(place));
            if now.is_none_or(|now| now.digest != record.digest) {
                let (then, now) = (named(record), now.map_or_else(|| "nothing".to_owned(), named));
                self.forgotten.add(|| format!("offset {expected} of partition {partition} was {then}, is {now}"));
            }
        }
    }
}

/// Stands for messages without an author where they are counted.
const NOBODY: MessageId = MessageId { publisher: u16::MAX, sequence: u32::MAX, attempt: u16::MAX };

fn named(record: &Record) -> String {
    record.id.map_or_else(|| format!("nobody's ({:x})", record.digest), |id| format!("{id} ({:x})", record.digest))
}

#[cfg(test)]
mod tests;
