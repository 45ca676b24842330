//! Who this server is: the id its volume was given first. Owns the file that keeps it; never what is done under the id.
//!
//! The file `server-id` in the root of the volume is one line of text. It is written once, before anything else, and wins
//! over whatever is configured later: replicas are known by the id, so a renamed server would not find its own data.

use std::io;

use liftbridge_commitlog::Volume;
use liftbridge_types::BrokerId;

use crate::config::StartError;
use crate::one_line_file::{self, Line};

const FILE: &str = "server-id";

/// The id this volume has; `configured` becomes it when it has none.
pub(crate) fn load_or_create(volume: &dyn Volume, configured: &BrokerId) -> Result<BrokerId, StartError> {
    let id = match one_line_file::read(volume, FILE).map_err(|error| unusable("read", &error))? {
        Line::Missing => {
            let created = one_line_file::create(volume, FILE, configured.as_str());
            created.map_err(|error| unusable("write", &error))?;
            return Ok(configured.clone());
        }
        Line::Whole(line) => BrokerId::new(&line).ok(),
        Line::Damaged => None,
    };
    id.ok_or_else(|| StartError::Storage {
        reason: format!(
            "the file `{FILE}` is damaged: it must hold the id this server had before, one line of text without blanks; \
             write that id into it (the server logs it at each start as `id`), or restore the file from a backup"
        ),
    })
}

fn unusable(operation: &str, error: &io::Error) -> StartError {
    StartError::Storage { reason: format!("cannot {operation} the file `{FILE}`: {error}") }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use liftbridge_commitlog::MemoryVolume;
    use liftbridge_types::NAME_BYTES_MAX;

    use super::*;

    fn id(text: &str) -> BrokerId {
        BrokerId::new(text).unwrap()
    }

    fn volume_with(content: &[u8]) -> MemoryVolume {
        let volume = MemoryVolume::new();
        let file = volume.directory("").create(FILE).unwrap();
        file.append(0, &mut [IoSlice::new(content)]).unwrap();
        volume
    }

    #[test]
    fn the_first_id_stays() {
        let volume = MemoryVolume::new();
        assert_eq!(load_or_create(&volume, &id("first")).unwrap(), id("first"));
        assert_eq!(load_or_create(&volume, &id("second")).unwrap(), id("first"));
    }

    #[test]
    fn the_longest_id_fits() {
        let longest = id(&"x".repeat(NAME_BYTES_MAX));
        let volume = MemoryVolume::new();
        load_or_create(&volume, &longest).unwrap();
        assert_eq!(load_or_create(&volume, &id("other")).unwrap(), longest);
    }

    #[test]
    fn a_damaged_file_is_refused_and_never_replaced() {
        for content in [&b""[..], b"cut", b"with space\n", b"\xff\xfe\n", &[b'x'; 500]] {
            let volume = volume_with(content);
            let refused = load_or_create(&volume, &id("configured"));
            let text = refused.expect_err("it is no id").to_string();
            assert!(text.contains("`server-id`") && text.contains("must hold the id"), "{content:?}: {text}");
        }
    }

    #[test]
    fn what_an_interrupted_first_start_left_is_no_obstacle() {
        let volume = MemoryVolume::new();
        volume.directory("").create("server-id.unfinished").unwrap();
        assert_eq!(load_or_create(&volume, &id("a")).unwrap(), id("a"));
    }
}
