//! What the partition's owner does to it: publish, sync, clean, depose, park. Owns keeping the model in step.

use liftbridge_commitlog::AppendError;
use liftbridge_types::{AckPolicy, LeaderEpoch, Offset};

use super::{Step, World};
use crate::simulation::partition::{Batched, Publish, Told};

/// Most messages that arrive together.
const BURST_MAX: u64 = 6;
/// Longest value, in bytes.
const VALUE_BYTES_MAX: u64 = 300;

impl World {
    /// Several publishes arrive and become one batch.
    pub(super) fn publish(&mut self) -> Step {
        let count = 1 + self.dice.below(BURST_MAX);
        let publishes = (0..count).map(|_| self.next_publish()).collect();
        let mut told = Vec::new();
        let now = self.now;
        let batched = self.partition().publish(now, publishes, &mut told);
        let outcome = match batched {
            Batched::Nothing => "nobody was let in".to_owned(),
            Batched::Written { values, appended } => {
                self.offsets.on_append(self.model.end, &appended.offsets, values.len())?;
                self.model.append(values, appended.time);
                self.note_durable_end();
                format!("{}..{}", appended.offsets.start, appended.offsets.end)
            }
            Batched::Failed { values, error } => {
                self.model.fail(&values);
                self.after_failure(&error)?
            }
        };
        self.judge(told)?;
        Ok(outcome)
    }

    fn next_publish(&mut self) -> Publish {
        self.published += 1;
        let mut value = format!("message {} ", self.published).into_bytes();
        value.resize(value.len() + self.dice.index(usize::try_from(VALUE_BYTES_MAX).expect("it is small")), b'.');
        let ack_policy = match self.dice.below(10) {
            0..6 => AckPolicy::All,
            6..9 => AckPolicy::Leader,
            _ => AckPolicy::None,
        };
        let expected_offset = self.dice.percent(10).then(|| self.model.end.plus(self.dice.below(3)));
        Publish { value, ack_policy, expected_offset }
    }

    /// What was written is forced to the medium.
    pub(super) fn sync(&mut self) -> Step {
        let result = self.partition().log.sync();
        self.after_sync(result)
    }

    /// A sync is begun, more is written, and the sync ends.
    pub(super) fn sync_across_append(&mut self) -> Step {
        let pending = match self.partition().log.prepare_sync() {
            Ok(Some(pending)) => pending,
            Ok(None) => return Ok("nothing to sync".to_owned()),
            Err(error) => return self.after_failure(&error),
        };
        let outcome = pending.run();
        let published = self.publish()?;
        if self.partition.is_none() {
            return Ok(format!("{published}, and nobody is left to take the sync back"));
        }
        let result = self.partition().log.finish_sync(&pending, outcome);
        Ok(format!("{published}, {}", self.after_sync(result)?))
    }

    fn after_sync(&mut self, result: Result<Offset, AppendError>) -> Step {
        let end = match result {
            Ok(end) => end,
            Err(error) => return self.after_failure(&error),
        };
        self.note_durable_end();
        let (now, mut told) = (self.now, Vec::new());
        self.partition().report_durable(now, end, &mut told);
        self.judge(told)?;
        Ok(format!("durable to {end}"))
    }

    /// The log says on disk how far it is good.
    pub(super) fn checkpoint(&mut self) -> Step {
        let high_watermark = self.partition().high_watermark();
        let when_due = self.dice.percent(30);
        let log = &mut self.partition().log;
        match if when_due { log.maybe_checkpoint(high_watermark) } else { log.checkpoint(high_watermark) } {
            Ok(()) => {
                let end = self.partition().log.durable_end();
                self.after_sync(Ok(end))
            }
            Err(error) => self.after_failure(&error),
        }
    }

    /// Old segments go.
    pub(super) fn clean(&mut self) -> Step {
        let (now, high_watermark) = (self.now, self.partition().high_watermark());
        let log = &mut self.partition().log;
        let cleaned = log.clean(now, high_watermark);
        let start = log.log_start();
        if start > high_watermark {
            return Err(format!("retention let go of {start}, committed is what lies before {high_watermark}"));
        }
        match cleaned {
            Ok(count) => {
                self.model.retain_from(start);
                self.note_durable_end();
                // The second phase may fail or be left out; the next one, or the next opening, makes up for it.
                if self.dice.percent(70) {
                    let _ = self.partition().log.remove_released();
                }
                Ok(format!("{count} segments went, the log starts at {start}"))
            }
            // It may have announced its new start before it failed; that is known when the log is opened again.
            Err(error) => {
                self.unsure_start = Some(high_watermark);
                self.reopen_after(&error)
            }
        }
    }

    /// The leadership ends and begins anew, without a part of what was not committed.
    pub(super) fn depose(&mut self) -> Step {
        let (now, mut told) = (self.now, Vec::new());
        self.partition().resign(now, &mut told);
        self.judge(told)?;
        let high_watermark = self.partition().high_watermark();
        let uncommitted = self.model.end.since(high_watermark);
        let end = high_watermark.plus(self.dice.below(uncommitted + 1));
        if let Err(error) = self.partition().log.truncate(end) {
            // The cut is somewhere between the old end and the new one; the opened log says where.
            self.model.durable_end = self.model.durable_end.min(end);
            return self.reopen_after(&error);
        }
        self.model.truncate(end);
        self.note_durable_end();
        self.lives += 1;
        let epoch = LeaderEpoch::new(self.lives);
        self.partition().lead(epoch);
        self.subscriber = None;
        let high_watermark = self.partition().high_watermark();
        self.watermark.on_told(high_watermark, self.trusted_end())?;
        Ok(format!("cut to {end}"))
    }

    /// The partition closes its files and caches and goes on.
    pub(super) fn park(&mut self) -> Step {
        let high_watermark = self.partition().high_watermark();
        match self.partition().log.park(high_watermark) {
            Ok(()) => {
                let end = self.partition().log.durable_end();
                self.after_sync(Ok(end))
            }
            Err(error) => self.after_failure(&error),
        }
    }

    /// Hands what was told to the checkers.
    pub(super) fn judge(&mut self, told: Vec<Told>) -> Result<(), String> {
        for told in told {
            match told {
                Told::Acked { publish, offset } => {
                    self.offsets.on_ack(&publish, offset)?;
                    let trusted_end = self.trusted_end();
                    self.acked.on_ack(publish.ack_policy, offset, &publish.value, trusted_end)?;
                }
                Told::Refused { publish, refusal } => self.offsets.on_refusal(&publish, refusal)?,
                Told::Committed { end } => {
                    let trusted_end = self.trusted_end();
                    self.watermark.on_told(end, trusted_end)?;
                }
            }
        }
        Ok(())
    }

    /// The end of what may be promised: what is durable, or what is written where writing is all that is promised.
    fn trusted_end(&self) -> Offset {
        if self.survives_crashes() { self.model.durable_end } else { self.model.end }
    }

    fn note_durable_end(&mut self) {
        let end = self.partition().log.durable_end();
        self.model.sync(end);
    }

    /// A failure of the storage: a full disk is waited out, anything else closes the partition.
    fn after_failure(&mut self, error: &AppendError) -> Step {
        match error {
            AppendError::Storage(cause) if cause.is_disk_full() => {
                self.note_durable_end();
                Ok(format!("goes on after: {error}"))
            }
            other => self.reopen_after(other),
        }
    }

    fn reopen_after(&mut self, error: &AppendError) -> Step {
        self.note_durable_end();
        let (now, mut told) = (self.now, Vec::new());
        self.partition().resign(now, &mut told);
        self.judge(told)?;
        if self.partition().waiting_count() > 0 {
            return Err("a resigned leader owes answers".to_owned());
        }
        self.drop_partition();
        self.forget_what_was_not_promised();
        Ok(format!("closes after: {error}"))
    }
}
