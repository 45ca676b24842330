//! How far a log goes that was closed cleanly, without opening it. Owns when a checkpoint and the names of the files say that for
//! sure; never changes a file.

use liftbridge_types::Offset;

use crate::checkpoint::Checkpoint;
use crate::error::LogError;
use crate::file_names;
use crate::storage::Storage;

/// How far a log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnds {
    /// The first offset kept.
    pub log_start: Offset,
    /// The offset the next record gets.
    pub log_end: Offset,
    /// The end of what was known to be committed.
    pub high_watermark: Offset,
}

impl LogEnds {
    /// Those of the log in `storage`, as opening it would find them; `None` when there is none, or only opening it can tell: it was
    /// not parked, or its files are not those it was parked with. What is damaged inside is not looked for. Reads one small file.
    ///
    /// # Errors
    /// When the medium cannot be read.
    pub fn of_parked(storage: &dyn Storage) -> Result<Option<Self>, LogError> {
        let files = storage.list().map_err(|error| LogError::new("list", ".", error))?;
        let log_files = files.iter().filter_map(|file| Some((file_names::parse_log(&file.name)?, file.bytes)));
        let mut segments: Vec<(Offset, u64)> = log_files.collect();
        segments.sort_unstable();
        let Some(newest) = segments.last() else { return Ok(None) };
        let Some(checkpoint) = Checkpoint::load(storage)?.flatten() else { return Ok(None) };
        if *newest != (checkpoint.segment, checkpoint.file_position) {
            return Ok(None);
        }
        // What lies before the one that the log starts with was let go of (`F3` of [`crate::recovery`]).
        let mut bases = segments.iter().map(|(base, _)| *base);
        let kept = bases.clone().rfind(|base| *base <= checkpoint.log_start);
        Ok(kept.or_else(|| bases.next()).map(|log_start| Self {
            log_start,
            log_end: checkpoint.recovery_offset,
            high_watermark: checkpoint.high_watermark.min(checkpoint.recovery_offset),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use liftbridge_types::{LeaderEpoch, Timestamp};

    use super::*;
    use crate::batch::BatchBuilder;
    use crate::commit_log::CommitLog;
    use crate::options::{LogOptions, RetentionLimits};
    use crate::storage::{FaultyVolume, Volume};

    /// Segments of a few records, of which retention keeps the newest.
    fn options() -> LogOptions {
        let retention = RetentionLimits { messages: Some(20), ..RetentionLimits::default() };
        LogOptions { segment_bytes_max: 600, index_interval_bytes: 150, retention, ..LogOptions::default() }
    }

    fn open(storage: &Arc<dyn Storage>) -> CommitLog {
        CommitLog::open(Arc::clone(storage), options()).unwrap().0
    }

    fn append(log: &mut CommitLog, count: u64) {
        for _ in 0..count {
            let mut builder = BatchBuilder::new();
            builder.push(None, b"some value", &[]).unwrap();
            log.append(&mut builder, LeaderEpoch::new(1), Timestamp::EPOCH).unwrap();
        }
    }

    #[track_caller]
    fn check_as_opened(storage: &Arc<dyn Storage>) {
        let told = LogEnds::of_parked(&**storage).unwrap();
        let log = open(storage);
        let (log_start, log_end, high_watermark) = (log.log_start(), log.log_end(), log.high_watermark());
        assert_eq!(told, Some(LogEnds { log_start, log_end, high_watermark }));
    }

    #[test]
    fn a_parked_log_is_told_as_it_is_opened() {
        let volume = FaultyVolume::new(1);
        let storage = volume.directory("log");
        let mut log = open(&storage);
        for (count, committed) in [(1, 0), (2, 3), (40, 30), (20, 63)] {
            append(&mut log, count);
            log.clean(Timestamp::EPOCH, Offset::new(committed)).unwrap();
            log.park(Offset::new(committed)).unwrap();
            check_as_opened(&storage);
        }
        assert!(log.log_start() > Offset::ZERO, "retention has let go of some");
        log.truncate(Offset::new(60)).unwrap();
        log.park(Offset::new(60)).unwrap();
        check_as_opened(&storage);
        drop(log);
        volume.crash();
        check_as_opened(&volume.directory("log"));
    }

    #[test]
    fn a_log_whose_retention_a_crash_undid_in_part_begins_where_its_checkpoint_says() {
        let volume = FaultyVolume::new(1);
        let storage = volume.directory("log");
        let mut log = open(&storage);
        append(&mut log, 60);
        log.clean(Timestamp::EPOCH, Offset::new(60)).unwrap();
        log.park(Offset::new(60)).unwrap();
        let released: Vec<String> = storage.list().unwrap().into_iter().map(|file| file.name).collect();
        for name in released.iter().filter_map(|name| name.strip_suffix(file_names::RELEASED_SUFFIX)) {
            storage.rename(&format!("{name}{}", file_names::RELEASED_SUFFIX), name).unwrap();
        }
        assert!(log.log_start() > Offset::ZERO);
        drop(log);
        check_as_opened(&storage);
    }

    #[test]
    fn what_was_not_parked_is_not_told() {
        let volume = FaultyVolume::new(1);
        let storage = volume.directory("log");
        let told = || LogEnds::of_parked(&*storage).unwrap();
        assert_eq!(told(), None);
        let mut log = open(&storage);
        append(&mut log, 1);
        assert_eq!(told(), None, "there is no checkpoint");
        log.park(Offset::new(1)).unwrap();
        assert!(told().is_some());
        append(&mut log, 1);
        assert_eq!(told(), None, "more was appended");
        append(&mut log, 40);
        assert_eq!(told(), None, "other segments were begun");
        log.park(Offset::new(1)).unwrap();
        assert!(told().is_some());
        volume.flip_bit("log/checkpoint", 30, 1).unwrap();
        assert_eq!(told(), None, "the checkpoint is garbled");
    }

    #[test]
    fn looking_changes_nothing_and_costs_little_however_long_the_log_is() {
        let volume = FaultyVolume::new(1);
        let storage = volume.directory("log");
        let mut log =
            CommitLog::open(Arc::clone(&storage), LogOptions { segment_bytes_max: 1, ..options() }).unwrap().0;
        append(&mut log, 500);
        log.park(Offset::new(500)).unwrap();
        let before = (storage.list().unwrap(), volume.operation_count());
        assert_eq!(LogEnds::of_parked(&*storage).unwrap().map(|ends| ends.log_end), Some(Offset::new(500)));
        let operations = volume.operation_count() - before.1;
        assert!(operations <= 4, "{operations} operations");
        assert_eq!(storage.list().unwrap(), before.0);
    }
}
