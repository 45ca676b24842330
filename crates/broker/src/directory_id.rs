//! Which data directory this is: random text, made when the directory is used first. Owns the file `directory-id`; never
//! what follows from it.
//!
//! A server that comes back under its id with another directory id has lost its disk, and the cluster must not believe that
//! it still has what it had. A damaged file is made anew for the same reason: then this is not the directory it was.

use liftbridge_commitlog::Volume;
use liftbridge_metadata_raft::DirectoryId;

use crate::config::StartError;
use crate::one_line_file::{self, Line};

const FILE: &str = "directory-id";

/// The directory's id, made if it has none.
pub(crate) fn load_or_create(volume: &dyn Volume) -> Result<DirectoryId, StartError> {
    let unusable = |error: std::io::Error| StartError::Storage { reason: format!("the file `{FILE}`: {error}") };
    let known = match one_line_file::read(volume, FILE).map_err(unusable)? {
        Line::Whole(line) => DirectoryId::new(&line).ok(),
        Line::Damaged | Line::Missing => None,
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let text = format!("{:032x}", rand::random::<u128>());
    one_line_file::remove(volume, FILE).map_err(unusable)?;
    one_line_file::create(volume, FILE, &text).map_err(unusable)?;
    DirectoryId::new(&text).map_err(|error| StartError::Storage { reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use liftbridge_commitlog::{FaultyVolume, MemoryVolume};

    use super::*;

    #[test]
    fn a_directory_keeps_its_id_and_another_one_has_another() {
        let volume = FaultyVolume::new(1);
        let first = load_or_create(&volume).unwrap();
        volume.crash();
        assert_eq!(load_or_create(&volume).unwrap(), first);
        assert_ne!(load_or_create(&MemoryVolume::new()).unwrap(), first);
    }

    #[test]
    fn a_directory_with_a_damaged_id_is_another_directory() {
        let volume = FaultyVolume::new(2);
        let first = load_or_create(&volume).unwrap();
        volume.flip_bit(FILE, 32, 0).unwrap();
        let second = load_or_create(&volume).unwrap();
        assert_ne!(second, first);
        assert_eq!(load_or_create(&volume).unwrap(), second);
    }
}
