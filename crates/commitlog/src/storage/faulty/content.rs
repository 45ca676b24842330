//! What one file holds, twice: as the process sees it, and as the medium would have it after a power cut.

use crate::storage::faulty::random::Random;
use crate::storage::memory::write_at;

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
        self.settle(random);
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
        self.settle(random);
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
    fn settle(&mut self, random: &mut Random) {
        let changes = std::mem::take(&mut self.unsynced);
        let common = match random.up_to(3) {
            0 => Some(Fate::Lost),
            1 => Some(Fate::Whole),
            _ => None,
        };
        for change in changes {
            match common.unwrap_or_else(|| Fate::draw(random)) {
                Fate::Lost => {}
                Fate::Whole => apply(&mut self.stable, change),
                Fate::Torn => self.tear(change, random),
                Fate::Zeroed => self.zero(&change),
            }
        }
    }

    fn tear(&mut self, change: Change, random: &mut Random) {
        match change {
            Change::Write { position, mut bytes } => {
                bytes.truncate(random.up_to(bytes.len()));
                write_at(&mut self.stable, position, &bytes);
            }
            Change::Truncate { .. } => apply(&mut self.stable, change),
        }
    }

    /// The file got its new length, but not the bytes.
    fn zero(&mut self, change: &Change) {
        if let Change::Write { position, bytes } = change {
            let end = position.saturating_add(bytes.len());
            if self.stable.len() < end {
                self.stable.resize(end, 0);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Lost,
    Whole,
    Torn,
    Zeroed,
}

impl Fate {
    fn draw(random: &mut Random) -> Self {
        match random.up_to(3) {
            0 => Self::Lost,
            1 => Self::Torn,
            2 => Self::Zeroed,
            _ => Self::Whole,
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: Change) {
    match change {
        Change::Write { position, bytes: written } => write_at(bytes, position, &written),
        Change::Truncate { bytes: count } => bytes.resize(count, 0),
    }
}
