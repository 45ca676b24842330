//! What one file holds, twice: as the process sees it, and as the medium would have it after a power cut.

use std::ops::Range;

use crate::storage::faulty::random::Random;
use crate::storage::memory::write_at;

/// What a medium writes whole or not at all, wherever the power goes.
const SECTOR_BYTES: usize = 512;
/// What an operating system most often writes at once.
const PAGE_BYTES: usize = 4096;

/// Something done to a file that no sync has covered yet.
#[derive(Clone, Debug)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    Truncate { bytes: usize },
}

/// A file's bytes and how much of them would survive.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    current: Vec<u8>,
    stable: Vec<u8>,
    unsynced: Vec<Change>,
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        write_at(&mut self.current, position, bytes);
        self.unsynced.push(Change::Write { position, bytes: bytes.to_owned() });
    }

    pub(super) fn truncate(&mut self, bytes: usize) {
        self.current.resize(bytes, 0);
        self.unsynced.push(Change::Truncate { bytes });
    }

    /// Everything so far will survive.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            apply(&mut self.stable, change);
        }
    }

    /// A sync that fails writes some of it, and forgets that the rest was ever to be written: the process goes on seeing bytes
    /// which no later sync will bring to the medium.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        self.settle(false, random);
    }

    /// The process sees what the medium has and what is waiting to be written, and nothing else any more.
    pub(super) fn drop_cache(&mut self) {
        self.current.clone_from(&self.stable);
        for change in &self.unsynced {
            apply(&mut self.current, change.clone());
        }
    }

    /// After a power cut the process, too, sees what the medium has.
    pub(super) fn crash(&mut self, random: &mut Random) {
        self.settle(true, random);
        self.current.clone_from(&self.stable);
    }

    /// Damages the medium and what is cached of it. `false` when the file is not that long.
    pub(super) fn flip_bit(&mut self, position: usize, bit: u8) -> bool {
        let mask = 1_u8 << (bit % 8);
        let flip = |bytes: &mut Vec<u8>| bytes.get_mut(position).map(|byte| *byte ^= mask).is_some();
        flip(&mut self.stable);
        flip(&mut self.current)
    }

    /// Decides the fate of every unsynced change. Now and then all have the same, which chance alone would make too rare.
    fn settle(&mut self, is_crash: bool, random: &mut Random) {
        let changes = std::mem::take(&mut self.unsynced);
        match random.up_to(3) {
            0 => {}
            1 => changes.into_iter().for_each(|change| apply(&mut self.stable, change)),
            _ => self.tear(&changes, is_crash, random),
        }
    }

    fn tear(&mut self, changes: &[Change], is_crash: bool, random: &mut Random) {
        let mut rest = changes.len();
        for run in changes.chunk_by(|before, after| before.is_write() && after.is_write()) {
            rest -= run.len();
            match run {
                [Change::Truncate { bytes }] if random.coin() => self.stable.resize(*bytes, 0),
                [Change::Truncate { .. }] => {}
                writes => self.tear_writes(writes, is_crash && rest == 0, random),
            }
        }
    }

    /// Every sector is as it was at some moment between these writes, or before or after them, and so is the file's length;
    /// which may be that of a moment amid a write, too, if nothing that came later can make the file longer again. What never
    /// arrived reads as zeros.
    fn tear_writes(&mut self, writes: &[Change], are_last: bool, random: &mut Random) {
        let ends: Vec<usize> = writes.iter().map(Change::end).collect();
        let length_before = self.stable.len();
        let length_at = |moment: usize| ends.iter().take(moment).fold(length_before, |length, end| length.max(*end));
        let moment = random.up_to(writes.len());
        let mut length = length_at(moment);
        if are_last && random.coin() {
            length -= random.up_to(length - length_at(moment.saturating_sub(1)));
        }
        let all_arrived = random.coin();
        let unit_bytes = if random.coin() { SECTOR_BYTES } else { PAGE_BYTES };
        let begin = writes.iter().map(Change::position).min().unwrap_or_default() / unit_bytes;
        let end = length_at(writes.len()).div_ceil(unit_bytes);
        for unit in begin..end {
            let arrived = if all_arrived { writes.len() } else { random.up_to(writes.len()) };
            let bounds = unit * unit_bytes..(unit + 1) * unit_bytes;
            for write in writes.iter().take(arrived) {
                write.apply_within(&bounds, &mut self.stable);
            }
        }
        self.stable.resize(length, 0);
    }
}

impl Change {
    fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. })
    }

    fn position(&self) -> usize {
        match self {
            Self::Write { position, .. } => *position,
            Self::Truncate { bytes } => *bytes,
        }
    }

    /// How long it makes a file that is not longer.
    fn end(&self) -> usize {
        match self {
            Self::Write { position, bytes } => position.saturating_add(bytes.len()),
            Self::Truncate { bytes } => *bytes,
        }
    }

    /// Does what of it falls within `bounds`.
    fn apply_within(&self, bounds: &Range<usize>, target: &mut Vec<u8>) {
        let Self::Write { position, bytes } = self else { return };
        let (from, to) = (bounds.start.max(*position), bounds.end.min(self.end()));
        if let Some(part) =
            from.checked_sub(*position).and_then(|skipped| bytes.get(skipped..to.checked_sub(*position)?))
        {
            write_at(target, from, part);
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: Change) {
    match change {
        Change::Write { position, bytes: written } => write_at(bytes, position, &written),
        Change::Truncate { bytes: count } => bytes.resize(count, 0),
    }
}
