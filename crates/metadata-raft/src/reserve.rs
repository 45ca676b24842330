//! Room on the medium that nobody else can take. Owns the file that occupies it; never what the room is given up for.
//!
//! A server has to store its vote and its registration before it can serve reads, and a deletion, which makes room, has to
//! be agreed on first. On a full disk all of that would fail. So the file `raft/reserve` occupies some room with bytes that
//! no file system can leave out or compress. A write that finds the disk full cuts a slice off it and is tried again. Cut is
//! little at a time, because whoever else writes may be quicker to take what becomes free.
//!
//! Half of it is kept for starts: a server whose reserve was used up by changes would not start before there is room.
//! The file's length is all that counts; what is missing is written again, best effort, as soon as there is room.

use std::io::{self, IoSlice};
use std::sync::Arc;

use liftbridge_commitlog::{Storage, StorageFile};

const FILE: &str = "reserve";
/// What is given up at once; several blocks of any usual file system.
const SLICE_BYTES: usize = 32 * 1024;
/// The whole reserve.
const SLICES: u64 = 16;
/// What is left to the next starts, each of which stores twice.
const SLICES_FOR_STARTS: u64 = 8;

/// The reserve.
#[derive(Debug)]
pub(crate) struct Reserve {
    storage: Arc<dyn Storage>,
    /// `None` while the file could not be made.
    file: Option<Arc<dyn StorageFile>>,
    /// Whole slices in the file.
    slices: u64,
    /// Slices that are not given up in this life.
    kept: u64,
}

impl Reserve {
    /// The reserve in a directory, as large as there is room for. Starting may use all of it.
    pub(crate) fn open(storage: Arc<dyn Storage>) -> Self {
        let mut reserve = Self { storage, file: None, slices: 0, kept: 0 };
        if let Err(error) = reserve.measure() {
            tracing::warn!(%error, "cannot look at the file `raft/reserve`: this server may not start on a full disk");
        }
        reserve.replenish();
        reserve
    }

    /// The server has started: from now on a part is kept for the next start.
    pub(crate) fn keep_for_starts(&mut self) {
        self.kept = SLICES_FOR_STARTS;
    }

    /// Makes a little room; `false` when there is nothing left to give.
    pub(crate) fn give_up_slice(&mut self) -> bool {
        if self.slices <= self.kept {
            return false;
        }
        let Some(file) = &self.file else { return false };
        let slices = self.slices - 1;
        // File systems let others have the room only when the cut is on the medium.
        let given_up = file.truncate(bytes_of(slices)).and_then(|()| file.sync());
        self.slices = slices;
        match given_up {
            Ok(()) => tracing::warn!(slices_left = slices, "disk is full: metadata uses its reserve"),
            Err(error) => {
                tracing::warn!(%error, "the metadata's reserve could not be given up");
                // Nothing is known about the file any more.
                self.file = None;
            }
        }
        self.file.is_some()
    }

    /// Takes back what is missing, as far as there is room. What cannot be taken is left for later.
    pub(crate) fn replenish(&mut self) {
        if self.slices == SLICES {
            return;
        }
        if let Err(error) = self.grow() {
            tracing::debug!(%error, slices = self.slices, "the metadata's reserve is not whole");
        }
    }

    fn measure(&mut self) -> io::Result<()> {
        let file = match self.storage.open(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        self.slices = (file.bytes()? / SLICE_BYTES as u64).min(SLICES);
        self.file = Some(file);
        Ok(())
    }

    fn grow(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.measure()?;
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = self.storage.create(FILE)?;
                self.storage.sync_directory()?;
                Arc::clone(self.file.insert(file))
            }
        };
        let before = self.slices;
        // A crash may have left a part of a slice.
        file.truncate(bytes_of(before))?;
        let mut grown = Ok(());
        while grown.is_ok() && self.slices < SLICES {
            let end = bytes_of(self.slices);
            grown = file.append(end, &mut [IoSlice::new(&incompressible(self.slices))]);
            match &grown {
                Ok(()) => self.slices += 1,
                // The part of a slice there was room for belongs to whoever needs it.
                Err(_) => file.truncate(end)?,
            }
        }
        if self.slices > before {
            file.sync()?;
        }
        grown
    }
}

fn bytes_of(slices: u64) -> u64 {
    slices * SLICE_BYTES as u64
}

/// A slice of bytes without a pattern, other ones for each slice.
fn incompressible(slice: u64) -> Vec<u8> {
    let mut state = slice.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let next_word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(next_word).take(SLICE_BYTES / size_of::<u64>()).flat_map(u64::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use liftbridge_commitlog::{DiskVolume, FaultyVolume, Volume};

    use super::*;

    fn occupied(volume: &dyn Volume) -> u64 {
        let files = volume.directory("raft").list().unwrap();
        files.iter().find(|file| file.name == FILE).map_or(0, |file| file.bytes)
    }

    fn open(volume: &dyn Volume) -> Reserve {
        Reserve::open(volume.directory("raft"))
    }

    fn check_giving_up_and_taking_back(volume: &dyn Volume) {
        let mut reserve = open(volume);
        assert_eq!(occupied(volume), bytes_of(SLICES));
        assert!(reserve.give_up_slice());
        assert_eq!(occupied(volume), bytes_of(SLICES - 1));
        reserve.replenish();
        assert_eq!(occupied(volume), bytes_of(SLICES));
        while reserve.give_up_slice() {}
        assert_eq!(occupied(volume), 0);
        drop(reserve);
        open(volume);
        assert_eq!(occupied(volume), bytes_of(SLICES));
    }

    #[test]
    fn a_slice_given_up_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        check_giving_up_and_taking_back(&DiskVolume::new(directory.path()));
        check_giving_up_and_taking_back(&FaultyVolume::new(1));
    }

    #[test]
    fn a_started_server_keeps_a_part_for_the_next_start() {
        let volume = FaultyVolume::new(1);
        let mut reserve = open(&volume);
        reserve.keep_for_starts();
        while reserve.give_up_slice() {}
        assert_eq!(occupied(&volume), bytes_of(SLICES_FOR_STARTS));
    }

    #[test]
    fn giving_up_makes_exactly_that_room() {
        let volume = FaultyVolume::new(1);
        let mut reserve = open(&volume);
        volume.limit_free_bytes(Some(0));
        assert!(reserve.give_up_slice());
        assert_eq!(volume.free_bytes(), Some(SLICE_BYTES as u64));
    }

    #[test]
    fn no_part_of_a_slice_is_occupied_when_a_whole_one_does_not_fit() {
        let volume = FaultyVolume::new(1);
        volume.limit_free_bytes(Some(2 * SLICE_BYTES as u64 + 100));
        let mut reserve = open(&volume);
        assert_eq!((occupied(&volume), volume.free_bytes()), (bytes_of(2), Some(100)));
        volume.limit_free_bytes(None);
        reserve.replenish();
        assert_eq!(occupied(&volume), bytes_of(SLICES));
    }
}
