//! What publishers were told. Owns every acknowledgement and the count of everything else; judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::message_id::MessageId;

/// A message that was acknowledged under `ALL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acked {
    pub(super) id: MessageId,
    pub(super) offset: u64,
    /// When it was handed to the client, from the start of the run.
    pub(super) sent: Duration,
    /// When its ack arrived.
    pub(super) acked: Duration,
}

/// The acknowledgements of all publishers.
#[derive(Debug)]
pub(super) struct Ledger {
    started: Instant,
    told: Mutex<Told>,
}

/// Everything publishers were told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// By partition, in the order of arrival.
    pub(super) acked: Vec<Vec<Acked>>,
    /// How often publishing failed, by reason.
    pub(super) failed: BTreeMap<String, u64>,
}

impl Ledger {
    /// An empty one; time counts from now.
    pub(super) fn new(partitions: usize) -> Self {
        let told = Told { acked: vec![Vec::new(); partitions], failed: BTreeMap::new() };
        Self { started: Instant::now(), told: Mutex::new(told) }
    }

    /// How long the run has been going on.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A message was acknowledged just now.
    pub(super) fn acked(&self, partition: usize, id: MessageId, offset: u64, sent: Duration) {
        let acked = self.now();
        self.told.lock().acked[partition].push(Acked { id, offset, sent, acked });
    }

    /// A message was not acknowledged, for this reason.
    pub(super) fn failed(&self, reason: &str) {
        *self.told.lock().failed.entry(reason.to_owned()).or_default() += 1;
    }

    /// Everything so far.
    pub(super) fn told(&self) -> Told {
        self.told.lock().clone()
    }
}

impl Told {
    /// The longest time between `start` and `end` in which this partition's publishers heard of no success.
    pub(super) fn silence(&self, partition: usize, start: Duration, end: Duration) -> Duration {
        longest_gap(self.acked[partition].iter().map(|acked| acked.acked), start, end)
    }

    /// The longest time in which no publisher of any partition heard of one.
    pub(super) fn silence_of_all(&self, start: Duration, end: Duration) -> Duration {
        let mut times: Vec<Duration> = self.acked.iter().flatten().map(|acked| acked.acked).collect();
        times.sort_unstable();
        longest_gap(times.into_iter(), start, end)
    }

    /// When the first message of this partition that was sent after `moment` was acknowledged.
    pub(super) fn first_acked_after(&self, partition: usize, moment: Duration) -> Option<Duration> {
        self.acked[partition].iter().filter(|acked| acked.sent >= moment).map(|acked| acked.acked).min()
    }
}

/// The longest gap between ascending times, with the ends of the range among them.
fn longest_gap(times: impl Iterator<Item = Duration>, start: Duration, end: Duration) -> Duration {
    let mut last = start;
    let mut longest = Duration::ZERO;
    for time in times.filter(|time| (start..end).contains(time)).chain([end]) {
        longest = longest.max(time.saturating_sub(last));
        last = time;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(times: &[(u64, u64)]) -> Told {
        let acked = times.iter().map(|&(sent, acked)| Acked {
            id: MessageId { publisher: 0, sequence: 0, attempt: 0 },
            offset: 0,
            sent: Duration::from_millis(sent),
            acked: Duration::from_millis(acked),
        });
        Told { acked: vec![acked.collect()], failed: BTreeMap::new() }
    }

    #[test]
    fn silence_counts_to_the_end_of_the_run() {
        let end = Duration::from_millis(100);
        assert_eq!(told(&[(0, 10), (10, 40)]).silence(0, Duration::ZERO, end), Duration::from_millis(60));
        assert_eq!(told(&[]).silence_of_all(Duration::ZERO, end), end);
    }

    #[test]
    fn an_ack_of_a_message_sent_before_the_fault_does_not_end_an_outage() {
        let told = told(&[(10, 60), (55, 90)]);
        assert_eq!(told.first_acked_after(0, Duration::from_millis(50)), Some(Duration::from_millis(90)));
        assert_eq!(told.first_acked_after(0, Duration::from_millis(56)), None);
    }
}
