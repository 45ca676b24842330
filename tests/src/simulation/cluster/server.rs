//! A machine: its volume, its clock, and the process on it while there is one. Owns what outlives a process.

use std::collections::BTreeSet;
use std::time::Duration;

use liftbridge_commitlog::{FaultyVolume, LogOptions};
use liftbridge_metadata_raft::DirectoryId;
use liftbridge_types::Timestamp;

use super::outbox::Power;
use super::process::Process;
use super::words::PartitionKey;

/// A machine.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) number: u64,
    pub(super) power: Power,
    /// How many disks it has had, and which life of its process this is.
    pub(super) disks: u64,
    pub(super) lives: u64,
    pub(super) process: Option<Process>,
    /// Whether its process stands still.
    pub(super) paused: bool,
    /// How far its clock is off, in nanoseconds.
    pub(super) clock_off: i64,
    /// When its power fails at the latest.
    pub(super) power_fails_at: Option<Duration>,
    /// Whether its former self, with another disk, is still a member.
    pub(super) is_to_be_removed: bool,
    /// Partitions whose files went, and which the cluster has not been told of.
    pub(super) lost: BTreeSet<PartitionKey>,
    /// Whether the cluster has expelled it with this disk.
    pub(super) expelled: bool,
    pub(super) log_options: LogOptions,
}

impl Server {
    pub(super) fn new(number: u64, volume_seed: u64, log_options: LogOptions) -> Self {
        Self {
            number,
            power: Power::new(FaultyVolume::new(volume_seed)),
            disks: 1,
            lives: 0,
            process: None,
            paused: false,
            clock_off: 0,
            power_fails_at: None,
            is_to_be_removed: false,
            lost: BTreeSet::new(),
            expelled: false,
            log_options,
        }
    }

    /// The id of its data directory.
    pub(super) fn directory(&self) -> DirectoryId {
        DirectoryId::new(&format!("d{}.{}", self.number, self.disks)).expect("a legal name")
    }

    /// What its clock says.
    pub(super) fn wall(&self, now: Duration) -> Timestamp {
        let since = i64::try_from(now.as_nanos()).expect("runs are short");
        Timestamp::from_nanos(1_000_000_000_000 + since + self.clock_off)
    }

    /// The process ends here. What the cluster knows to be lost need not be told again.
    pub(super) fn take_process(&mut self) -> Option<Process> {
        let process = self.process.take()?;
        if process.is_registered() {
            self.lost.clear();
        }
        Some(process)
    }

    /// Whether its process runs and moves.
    pub(super) fn is_moving(&self) -> bool {
        self.process.is_some() && !self.paused
    }

    /// Nothing on it fails by plan any more.
    pub(super) fn mend_volume(&self) {
        self.power.volume.fail_syncs(None);
        self.power.volume.limit_free_bytes(None);
    }
}
