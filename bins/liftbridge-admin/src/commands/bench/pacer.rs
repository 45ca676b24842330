//! When messages are due. Owns the schedule of an open loop; never looks at how the messages fare.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::failure::Failure;

/// Due messages that wait for their publisher. When this is full the pacer waits too, but the schedule does not move.
const DUE_MAX: usize = 1024;

/// When an open loop ends, whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) count: Option<u64>,
    pub(super) duration: Option<Duration>,
}

/// Starts to hand out due times at `rate` a second, in turn to each of `publishers` receivers.
///
/// A thread of its own, since its sleeps are exact to some 50 us; the timers of the async runtime only to 1 ms.
pub(super) fn start(rate: u32, extent: Extent, publishers: usize) -> Result<Vec<mpsc::Receiver<Instant>>, Failure> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..publishers).map(|_| mpsc::channel(DUE_MAX)).unzip();
    let run = move || {
        let started = Instant::now();
        for (due, sender) in due_times(rate, extent).zip(senders.iter().cycle()) {
            let due = started + due;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // A publisher that is gone has failed and said so.
            if sender.blocking_send(due).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("pacer".to_owned()).spawn(run).map_err(Failure::Runtime)?;
    Ok(receivers)
}

/// The due times since the start.
fn due_times(rate: u32, extent: Extent) -> impl Iterator<Item = Duration> {
    let due =
        move |number: u64| Duration::from_nanos_u128(u128::from(number) * 1_000_000_000 / u128::from(rate.max(1)));
    (0..extent.count.unwrap_or(u64::MAX)).map(due).take_while(move |due| extent.duration.is_none_or(|end| *due < end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rate: u32, count: Option<u64>, duration_ms: Option<u64>, expected_ms: &[u64]) {
        let extent = Extent { count, duration: duration_ms.map(Duration::from_millis) };
        let found: Vec<_> = due_times(rate, extent).map(|due| due.as_millis()).collect();
        assert_eq!(found, expected_ms.iter().map(|&ms| u128::from(ms)).collect::<Vec<_>>());
    }

    #[test]
    fn messages_are_due_at_even_distances_until_either_end() {
        check(100, Some(3), None, &[0, 10, 20]);
        check(100, None, Some(25), &[0, 10, 20]);
        check(100, Some(2), Some(25), &[0, 10]);
        check(3, Some(4), None, &[0, 333, 666, 1000]);
    }
}
