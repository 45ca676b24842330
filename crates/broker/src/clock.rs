//! What time it is. Owns the port to the clocks; never what is done at a time.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use liftbridge_types::Timestamp;

/// The node's two clocks. One object, so that a test moves both together.
pub(crate) trait Clock: Send + Sync + fmt::Debug {
    /// The time of day, which records and acknowledgements carry. It may be set back.
    fn now(&self) -> Timestamp;

    /// Time since this clock was made, which deadlines are reckoned in. It never goes back.
    fn elapsed(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose elapsed time begins now.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp::EPOCH.plus(since),
            Err(before) => Timestamp::EPOCH.minus(before.duration()),
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
