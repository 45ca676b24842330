//! Where streams lie on the volume, and how they go. Owns those paths; never which streams there are.
//!
//! ```text
//! streams/<stream id>-<name>/<partition>/     one partition's log
//! streams/deleted-<stream id>-<name>/         a stream that is being removed
//! ```
//!
//! The id makes the directory of every life of a name another one, and a directory goes only when its stream was deleted by
//! agreement. So no half-removed stream is ever taken for a whole one: nobody opens the directory of an id that is agreed
//! to be deleted, and the agreement is not forgotten before the directory is gone. The partitions' directories go first, each
//! when its log is closed; what is left of the stream is renamed before it is removed, so that whoever looks at the volume
//! sees that it is no stream any more.

use std::collections::BTreeSet;
use std::io;

use liftbridge_commitlog::Volume;
use liftbridge_metadata_raft::{DeletedStream, LogIndex};
use liftbridge_types::{PartitionId, StreamId, StreamName};

const ROOT: &str = "streams";
/// A live stream's directory begins with a digit.
const DELETED_PREFIX: &str = "deleted-";

/// The directory of a partition's log.
pub(crate) fn of_partition(id: StreamId, name: &StreamName, partition: PartitionId) -> String {
    format!("{ROOT}/{id}-{name}/{partition}")
}

/// Removes a deleted stream's directory. That it does not exist is no error.
pub(crate) fn remove_stream(volume: &dyn Volume, id: StreamId, name: &StreamName) -> io::Result<()> {
    let deleted = format!("{ROOT}/{DELETED_PREFIX}{id}-{name}");
    // One removed halfway before a crash would be in the way of the rename.
    volume.remove_directory(&deleted)?;
    volume.rename_directory(&format!("{ROOT}/{id}-{name}"), &deleted)?;
    volume.remove_directory(&deleted)
}

/// Removes the directories of deleted streams; the streams of which something is left.
pub(crate) fn remove_streams(volume: &dyn Volume, mut deleted: Vec<DeletedStream>) -> Vec<DeletedStream> {
    deleted.retain(|DeletedStream { id, name }| {
        let removed = remove_stream(volume, *id, name);
        if let Err(error) = &removed {
            tracing::warn!(stream = %name, %error, "a deleted stream's files were not removed; it is tried again");
        }
        removed.is_err()
    });
    deleted
}

/// Removes what an interrupted removal left.
pub(crate) fn remove_leftovers(volume: &dyn Volume) -> io::Result<()> {
    for name in volume.list_directories(ROOT)? {
        if name.starts_with(DELETED_PREFIX) {
            volume.remove_directory(&format!("{ROOT}/{name}"))?;
        }
    }
    Ok(())
}

/// Streams of which there are files though they are not agreed on: `agreed` is what there is as of `up_to`, and an id is the
/// index at which its stream was made, so one that is not there any more was deleted.
pub(crate) fn orphans(
    volume: &dyn Volume,
    up_to: LogIndex,
    agreed: &BTreeSet<StreamId>,
) -> io::Result<Vec<DeletedStream>> {
    let stream = |name: String| {
        let (id, name) = name.split_once('-')?;
        let id = StreamId::new(id.parse().ok()?);
        Some(DeletedStream { id, name: StreamName::new(name).ok()? })
    };
    let found = volume.list_directories(ROOT)?.into_iter().filter_map(stream);
    Ok(found.filter(|stream| stream.id.get() <= up_to.get() && !agreed.contains(&stream.id)).collect())
}

/// Whether there are streams on the volume.
pub(crate) fn any_stream(volume: &dyn Volume) -> io::Result<bool> {
    Ok(volume.list_directories(ROOT)?.iter().any(|name| !name.starts_with(DELETED_PREFIX)))
}
