//! Flipping bits. Owns the choice of a bit whose damage must be noticed and must stay; knows nothing of how it is told.

use std::ops::Range;

use liftbridge_commitlog::scan::{ScanItem, log_files, scan_file};
use liftbridge_commitlog::{Batch, FaultyVolume, FileEntry, Storage};
use liftbridge_types::Offset;

use super::partition::DIRECTORY;
use crate::dice::Dice;

/// A good batch and where it is.
struct Place {
    file: String,
    file_position: u64,
    batch: Batch,
}

/// Flips a bit of a durable batch, the newest one too; the offsets it holds. `None` when there is no batch to choose.
pub(super) fn flip_in_log(
    volume: &FaultyVolume,
    storage: &dyn Storage,
    directory: &str,
    durable_end: Offset,
    dice: &mut Dice,
) -> Option<Range<Offset>> {
    let mut places = Vec::new();
    for file in log_files(storage).ok()? {
        let walked = scan_file(storage, &file, |item| {
            if let ScanItem::Batch { file_position, batch } = item {
                places.push(Place { file: file.name.clone(), file_position, batch });
            }
            true
        });
        walked.ok()?;
    }
    places.retain(|place| place.batch.header().end_offset() <= durable_end);
    if places.is_empty() {
        return None;
    }
    let Place { file, file_position, batch } = places.swap_remove(dice.index(places.len()));
    let position = file_position + dice.below(u64::from(batch.header().bytes));
    let bit = u8::try_from(dice.below(8)).expect("it is below 8");
    volume.flip_bit(&format!("{directory}/{file}"), position, bit).ok()?;
    Some(batch.header().base_offset..batch.header().end_offset())
}

/// Flips a bit of an index, a checkpoint or a table of epochs; its file's name.
pub(super) fn flip_in_derived_file(volume: &FaultyVolume, storage: &dyn Storage, dice: &mut Dice) -> Option<String> {
    let file = choose_derived_file(storage, dice)?;
    let bit = u8::try_from(dice.below(8)).expect("it is below 8");
    volume.flip_bit(&format!("{DIRECTORY}/{}", file.name), dice.below(file.bytes), bit).ok()?;
    Some(file.name)
}

/// Removes an index, a checkpoint or a table of epochs, or cuts it short; what became of which.
pub(super) fn lose_derived_file(storage: &dyn Storage, dice: &mut Dice) -> Option<String> {
    let FileEntry { name, bytes } = choose_derived_file(storage, dice)?;
    if dice.percent(50) {
        storage.remove(&name).ok()?;
        storage.sync_directory().ok()?;
        return Some(format!("{name} is gone"));
    }
    let left = dice.below(bytes);
    let file = storage.open(&name).ok()?;
    file.truncate(left).ok()?;
    file.sync().ok()?;
    Some(format!("{name} has {left} bytes left"))
}

fn choose_derived_file(storage: &dyn Storage, dice: &mut Dice) -> Option<FileEntry> {
    let mut files = storage.list().ok()?;
    files.retain(|file| !file.name.ends_with(".log") && file.bytes > 0);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    if files.is_empty() { None } else { Some(files.swap_remove(dice.index(files.len()))) }
}
