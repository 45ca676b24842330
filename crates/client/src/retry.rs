//! How often a call is tried again and how long is waited in between. Owns the numbers; never what is called.

use std::time::Duration;

/// A bounded number of tries with growing pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetryPlan {
    /// Tries altogether, the first included.
    pub tries_max: u32,
    /// The pause after the first try.
    pub pause: Duration,
    /// How much longer each further pause is.
    pub pause_step: Duration,
}

impl RetryPlan {
    /// For calls that only a partition's leader answers: an election takes a while.
    pub(crate) const LEADER: Self =
        Self { tries_max: 5, pause: Duration::from_millis(10), pause_step: Duration::from_millis(50) };

    /// For calls that any broker answers: the next one is probably up.
    pub(crate) const ANY: Self = Self { tries_max: 10, pause: Duration::from_millis(50), pause_step: Duration::ZERO };

    /// Whether there is another try after try `number` (from 0).
    pub(crate) fn goes_on_after(&self, number: u32) -> bool {
        number + 1 < self.tries_max
    }

    /// Waits as long as is due after try `number` (from 0).
    pub(crate) async fn pause_after(&self, number: u32) {
        tokio::time::sleep(self.pause_after_try(number)).await;
    }

    fn pause_after_try(&self, number: u32) -> Duration {
        self.pause + self.pause_step * number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leader_calls_are_tried_five_times_and_wait_longer_each_time() {
        let pauses: Vec<_> = (0..4).map(|number| RetryPlan::LEADER.pause_after_try(number).as_millis()).collect();
        assert_eq!(pauses, [10, 60, 110, 160]);
        assert!(RetryPlan::LEADER.goes_on_after(3));
        assert!(!RetryPlan::LEADER.goes_on_after(4));
    }

    #[test]
    fn other_calls_are_tried_ten_times() {
        assert!(RetryPlan::ANY.goes_on_after(8));
        assert!(!RetryPlan::ANY.goes_on_after(9));
    }
}
