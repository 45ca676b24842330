//! What a server says goes through here. Owns that a server without power says nothing; never what becomes of what it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use liftbridge_commitlog::FaultyVolume;
use parking_lot::Mutex;

use super::words::Said;

/// A server's power supply, and its volume on it.
#[derive(Clone, Debug)]
pub(super) struct Power {
    pub(super) volume: FaultyVolume,
    /// The number of the last operation that the volume carries out.
    last_operation: Arc<AtomicU64>,
}

impl Power {
    /// Power that stays on.
    pub(super) fn new(volume: FaultyVolume) -> Self {
        Self { volume, last_operation: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Lets so many more operations happen.
    pub(super) fn cut_after(&self, operations: u64) {
        self.volume.cut_power(Some(operations));
        self.last_operation.store(self.volume.operation_count() + operations, Ordering::Relaxed);
    }

    /// Whether an operation came too late.
    pub(super) fn is_off(&self) -> bool {
        self.volume.operation_count() > self.last_operation.load(Ordering::Relaxed)
    }

    /// Loses what was not synced; the power is on again.
    pub(super) fn crash(&self) {
        self.volume.crash();
        self.last_operation.store(u64::MAX, Ordering::Relaxed);
    }
}

/// What a server has said and nobody has heard yet. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    power: Power,
    said: Arc<Mutex<Vec<Said>>>,
}

impl Outbox {
    pub(super) fn new(power: Power) -> Self {
        Self { power, said: Arc::default() }
    }

    pub(super) fn say(&self, said: Said) {
        if !self.power.is_off() {
            self.said.lock().push(said);
        }
    }

    pub(super) fn take(&self) -> Vec<Said> {
        std::mem::take(&mut *self.said.lock())
    }
}
