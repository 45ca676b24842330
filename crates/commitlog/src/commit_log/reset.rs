//! Beginning anew at a later offset. Owns the order of steps that makes it safe at every instruction; never why.
//!
//! First the log is emptied, which is a truncation like any other. Then a checkpoint claims that an empty log begins at the new
//! start; files of the old beginning, which hold nothing, go after it. A crash before the claim leaves a log that is empty, or
//! was cut somewhere; one after it leaves an empty log that ends at the new start.

use liftbridge_types::Offset;

use super::CommitLog;
use crate::checkpoint::Checkpoint;
use crate::error::AppendError;
use crate::file_names;
use crate::small_file;

impl CommitLog {
    /// Removes every record, durably, and goes on at `start`, which is not before the log's start: what lies between was
    /// removed elsewhere and is not to come.
    ///
    /// # Errors
    /// When the storage fails; then the log is read-only until it is opened again.
    pub fn reset(&mut self, start: Offset) -> Result<(), AppendError> {
        self.truncate(self.log_start())?;
        if start <= self.log_end() {
            return Ok(());
        }
        let result = self.begin_at(start);
        result.map_err(|error| match error {
            AppendError::Storage(error) => self.fail(error),
            other => other,
        })
    }

    fn begin_at(&mut self, start: Offset) -> Result<(), AppendError> {
        let emptied = self.shared.segments();
        self.active = None;
        self.truncation_count += 1;
        self.clear_tail();
        let checkpoint = Checkpoint {
            segment: start,
            file_position: 0,
            recovery_offset: start,
            log_start: start,
            high_watermark: start,
            newest_time: self.newest_time,
        };
        checkpoint.write(self.storage())?;
        self.checkpointed = None;
        self.sync_directory()?;
        self.shared.set_log_end(start);
        self.high_watermark = start;
        self.shared.set_durable_end(start);
        self.shared.replace_segments(Vec::new());
        self.shared.set_log_start(start);
        for segment in emptied.iter().rev() {
            small_file::remove(self.storage(), &file_names::index(segment.base()))?;
            small_file::remove(self.storage(), &file_names::log(segment.base()))?;
            self.sync_directory()?;
        }
        self.epochs_dirty |= self.epochs.truncate(Offset::ZERO);
        self.store_epochs()
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

    use crate::batch::BatchBuilder;
    use crate::storage::{FaultyVolume, MemoryVolume, Volume};
    use crate::{CommitLog, LogOptions};

    fn open(volume: &dyn Volume) -> CommitLog {
        CommitLog::open(volume.directory("log"), LogOptions::default()).unwrap().0
    }

    fn append(log: &mut CommitLog, value: &str, epoch: u64) -> Offset {
        let mut batch = BatchBuilder::new();
        batch.push(None, value.as_bytes(), &[]).unwrap();
        log.append(&mut batch, LeaderEpoch::new(epoch), Timestamp::from_nanos(1)).unwrap().offsets.start
    }

    #[track_caller]
    fn check(log: &CommitLog, start: u64, end: u64) {
        assert_eq!(
            (log.log_start(), log.log_end(), log.durable_end()),
            (Offset::new(start), Offset::new(end), log.log_end())
        );
    }

    #[test]
    fn a_log_goes_on_at_a_later_offset_and_stays_there() {
        let volume = MemoryVolume::new();
        let mut log = open(&volume);
        append(&mut log, "gone", 3);
        log.reset(Offset::new(100)).unwrap();
        check(&log, 100, 100);
        assert_eq!(log.leader_epochs(), []);
        drop(log);
        let mut log = open(&volume);
        check(&log, 100, 100);
        assert_eq!(append(&mut log, "next", 4), Offset::new(100));
        log.sync().unwrap();
        drop(log);
        let log = open(&volume);
        check(&log, 100, 101);
        assert_eq!(log.leader_epochs(), [(LeaderEpoch::new(4), Offset::new(100))]);
        let read = log.view().reader(Offset::ZERO).read(Offset::MAX, 1024).unwrap();
        assert_eq!(read[0].header().base_offset, Offset::new(100));
    }

    #[test]
    fn an_empty_log_goes_on_at_a_later_offset() {
        let volume = MemoryVolume::new();
        let mut log = open(&volume);
        log.reset(Offset::new(7)).unwrap();
        log.reset(Offset::new(9)).unwrap();
        check(&log, 9, 9);
        drop(log);
        check(&open(&volume), 9, 9);
    }

    #[test]
    fn a_power_cut_at_any_operation_leaves_an_empty_or_a_shorter_log_and_never_records_of_the_old_one_after_the_new_start()
     {
        for after in 0..40 {
            let volume = FaultyVolume::new(after);
            let mut log = open(&volume);
            for value in ["a", "b", "c"] {
                append(&mut log, value, 3);
            }
            log.park(Offset::new(3)).unwrap();
            volume.cut_power(Some(after));
            let done = log.reset(Offset::new(100)).is_ok();
            drop(log);
            volume.crash();
            let log = open(&volume);
            let end = log.log_end().get();
            assert!(end <= 3 || end == 100, "after {after}: ends at {end}");
            assert!(!done || (log.log_start(), end) == (Offset::new(100), 100), "after {after}");
        }
    }
}
