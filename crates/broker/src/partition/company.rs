//! Whether a turn waits for publishers to come back, for how many and how long. Owns that judgement; never the waiting.
//!
//! Publishers who wait for each message before they send the next are all answered by one sync. The first of them to be
//! back would start the next sync with nobody else on board, and the others would wait for two syncs instead of one: they
//! would fall into two groups that never meet again. So a turn waits for those just answered, together with those who came
//! while the sync was under way. Publishers who do not come back cost a part of a sync, and are then not waited for.

use std::time::Duration;

/// Publishers from which on they are waited for: for fewer, the wait costs as much as it gains.
const EXPECTED_MIN: usize = 4;
/// The part of the last sync's time that is waited at most.
const PATIENCE_DIVISOR: u32 = 2;
/// The time that is waited at most, however slow the medium.
const PATIENCE_MAX: Duration = Duration::from_millis(1);
/// Most turns in a row that wait for nobody, after waits that were in vain.
const SKIPS_MAX: u32 = 64;

/// Who the next turn waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// As many publishers as were under way when the last sync ended.
    pub(super) publisher_count: usize,
    /// No longer than this.
    pub(super) patience: Duration,
}

/// What the last syncs taught about a partition's publishers.
#[derive(Debug, Default)]
pub(super) struct Company {
    expected: usize,
    patience: Duration,
    /// Turns that wait for nobody, from now on.
    skips: u32,
    /// How many such turns the next wait in vain costs.
    skips_next: u32,
}

impl Company {
    /// A sync that took `sync_time` answers so many publishers, while so many wait already.
    pub(super) fn on_synced(&mut self, answered: usize, waiting: usize, sync_time: Duration) {
        // Those who wait anyway need nobody to wait for them.
        self.expected = if answered == 0 { 0 } else { answered + waiting };
        self.patience = (sync_time / PATIENCE_DIVISOR).min(PATIENCE_MAX);
    }

    /// Who the turn that begins waits for; `None` = nobody. Asked once a turn.
    pub(super) fn next_wait(&mut self) -> Option<Wait> {
        let publisher_count = std::mem::take(&mut self.expected);
        if publisher_count < EXPECTED_MIN || self.patience.is_zero() {
            return None;
        }
        if self.skips > 0 {
            self.skips -= 1;
            return None;
        }
        Some(Wait { publisher_count, patience: self.patience })
    }

    /// Whether those came who were waited for.
    pub(super) fn on_waited(&mut self, came: bool) {
        if came {
            self.skips_next = 1;
        } else {
            self.skips = self.skips_next.max(1);
            self.skips_next = (self.skips * 2).min(SKIPS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(400);

    fn wait_for(publisher_count: usize) -> Option<Wait> {
        Some(Wait { publisher_count, patience: SYNC / 2 })
    }

    #[test]
    fn those_answered_and_those_who_came_meanwhile_are_brought_together() {
        let mut company = Company::default();
        assert_eq!(company.next_wait(), None, "before the first sync there is nobody to wait for");
        company.on_synced(40, 24, SYNC);
        assert_eq!(company.next_wait(), wait_for(64));
        assert_eq!(company.next_wait(), None, "a turn without a sync before it waits for nobody");
    }

    #[test]
    fn few_publishers_are_not_waited_for() {
        let mut company = Company::default();
        for (answered, waiting) in [(1, 0), (3, 0), (1, 2), (0, 100)] {
            company.on_synced(answered, waiting, SYNC);
            assert_eq!(company.next_wait(), None, "{answered} answered, {waiting} waiting");
        }
    }

    #[test]
    fn a_slow_medium_does_not_make_it_more_patient_than_the_bound() {
        let mut company = Company::default();
        company.on_synced(64, 0, Duration::from_secs(1));
        assert_eq!(company.next_wait(), Some(Wait { publisher_count: 64, patience: PATIENCE_MAX }));
    }

    #[test]
    fn waits_in_vain_become_rare_and_one_success_makes_up_for_them() {
        let mut company = Company::default();
        let mut turns_until_next_wait = |came: bool| {
            company.on_waited(came);
            let mut turns = 0;
            loop {
                turns += 1;
                company.on_synced(64, 0, SYNC);
                if company.next_wait().is_some() {
                    return turns;
                }
            }
        };
        let in_vain: Vec<u32> = (0..8).map(|_| turns_until_next_wait(false)).collect();
        assert_eq!(in_vain, [2, 3, 5, 9, 17, 33, 65, 65]);
        assert_eq!(turns_until_next_wait(true), 1);
        assert_eq!(turns_until_next_wait(false), 2);
    }
}
