//! Stops, crashes and what disks do. Owns when they happen and what they entitle the partition to forget.

use std::io;

use liftbridge_commitlog::{LogOptions, Volume};

use super::{Step, World, options};
use crate::simulation::action::Action;
use crate::simulation::checkers::Stop;
use crate::simulation::partition::DIRECTORY;
use crate::simulation::rot;

/// Most operations that pass before a planned fault strikes.
const FAULT_DISTANCE_MAX: u64 = 12;
/// Most bytes that a disk running full still has.
const FREE_BYTES_MAX: u64 = 800;

impl World {
    /// A clean stop and a new start.
    pub(super) fn restart(&mut self) -> Step {
        let parked = self.park()?;
        let Some(partition) = &self.partition else { return Ok(parked) };
        let stopped_cleanly = partition.log.is_parked() && self.model.durable_end == self.model.end;
        self.drop_partition();
        if self.dice.percent(20) {
            // Somebody configured other sizes and limits meanwhile.
            self.options = LogOptions { sync: self.options.sync, ..options(&mut self.dice) };
        }
        let opened = self.open(if stopped_cleanly { Stop::Clean } else { Stop::Failed })?;
        Ok(format!("{parked}; {opened}"))
    }

    /// The process is killed and starts anew.
    pub(super) fn kill(&mut self) -> Step {
        self.drop_partition();
        self.open(Stop::Killed)
    }

    /// The power fails, most often in the middle of something.
    pub(super) fn crash(&mut self) -> Step {
        let mut told = String::new();
        if self.dice.percent(60) {
            self.volume.cut_power(Some(self.dice.below(FAULT_DISTANCE_MAX)));
            let amid = Action::roll_writing(&mut self.dice);
            told = format!("amid {amid:?}: {}; ", self.act(amid)?);
        }
        self.drop_partition();
        self.volume.crash();
        self.forget_what_was_not_promised();
        Ok(told + &self.open(Stop::Failed)?)
    }

    /// Without syncs nothing is promised for a crash of the machine, nor for a medium that fails.
    pub(super) fn forget_what_was_not_promised(&mut self) {
        if !self.survives_crashes() {
            self.watermark.forget();
            self.acked.forget();
        }
    }

    /// One of the next storage operations fails.
    pub(super) fn fail_operation(&mut self) -> String {
        let after = self.dice.below(FAULT_DISTANCE_MAX);
        let kind = if self.dice.percent(70) { io::ErrorKind::Other } else { io::ErrorKind::Interrupted };
        self.volume.fail_operation(after, kind);
        format!("after {after}: {kind}")
    }

    /// The medium refuses to sync until the log is opened anew.
    pub(super) fn fail_syncs(&mut self) -> String {
        self.volume.fail_syncs(Some(io::ErrorKind::Other));
        "from now on".to_owned()
    }

    /// The medium runs full.
    pub(super) fn fill_disk(&mut self) -> String {
        let bytes = self.dice.below(FREE_BYTES_MAX);
        self.volume.limit_free_bytes(Some(bytes));
        format!("{bytes} bytes are free")
    }

    /// There is space again.
    pub(super) fn free_disk(&mut self) -> String {
        self.volume.limit_free_bytes(None);
        "without limit".to_owned()
    }

    /// A bit of a durable batch flips.
    pub(super) fn flip_bit_in_log(&mut self) -> String {
        let storage = self.volume.directory(DIRECTORY);
        let flipped = rot::flip_in_log(&self.volume, &*storage, DIRECTORY, self.model.durable_end, &mut self.dice);
        match flipped {
            Some(offsets) => {
                let told = format!("{}..{}", offsets.start, offsets.end);
                self.model.rot(offsets);
                told
            }
            None => "no batch to choose".to_owned(),
        }
    }

    /// A bit of a file flips that can be derived from the log.
    pub(super) fn flip_bit_in_derived_file(&mut self) -> String {
        let storage = self.volume.directory(DIRECTORY);
        let flipped = rot::flip_in_derived_file(&self.volume, &*storage, &mut self.dice);
        flipped.unwrap_or_else(|| "no file to choose".to_owned())
    }

    /// A file that can be derived from the log is lost, or the end of it.
    pub(super) fn lose_derived_file(&mut self) -> String {
        let storage = self.volume.directory(DIRECTORY);
        let lost = rot::lose_derived_file(&*storage, &mut self.dice);
        lost.unwrap_or_else(|| "no file to choose".to_owned())
    }
}
