//! Where two logs part. Owns the comparison of their epochs; never a log.
//!
//! What makes it work: in one leader epoch one broker appends, at growing offsets, and never twice at the same one. So two
//! logs that have a record of the same epoch at the same offset are the same up to there (Raft's log matching), and the end
//! of a log is told by two numbers, its last epoch and its end: a [`LogTail`].
//!
//! A follower says how its log ends. If that lies inside the leader's log, the follower continues there. Else the leader
//! names the largest of its epochs that is not above the follower's last one, and where it ends (KIP-101). The follower cuts
//! to where both may agree: the smaller of the two ends of that epoch, or, if it does not have that epoch, the end of
//! its largest one below (KIP-279). Then it asks again. Each round ends at an earlier epoch or in agreement.
//!
//! Worked example, one letter per record, epochs above. A led in epoch 1, B in epoch 2, C in epoch 3, each cut off from the
//! others before it could replicate its last records:
//!
//! ```text
//!  C, leader in epoch 4   1 1 1 3 3          (epoch, start): (1, 0) (3, 3)
//!  B, follower            1 1 1 2 2 2        (epoch, start): (1, 0) (2, 3)
//!
//!  B: my log ends at 6 in epoch 2      C: not inside mine; epoch 1 ends at 3
//!  B cuts to 3: my log ends at 3 in 1  C: inside; appends 3 3
//! ```

use liftbridge_types::{LeaderEpoch, Offset};

/// How a log, or a part of one, ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogTail {
    /// The epoch of its last record; `None` where it has none.
    pub epoch: Option<LeaderEpoch>,
    /// The offset after its last record.
    pub end: Offset,
}

/// Which leadership wrote which part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Every epoch with records in the log and the offset of its first one; both strictly ascending.
    epochs: Vec<(LeaderEpoch, Offset)>,
    start: Offset,
    end: Offset,
}

/// What a leader makes of the end of a follower's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The follower's log is the beginning of the leader's.
    Inside,
    /// It is not, as far as can be said. This may be the end of what both have.
    Parted(LogTail),
    /// What would tell is gone: the follower must begin where the leader's log starts.
    Gone,
}

impl History {
    /// The history of a log that reaches from `start` to `end`, with the epochs that have records in it.
    pub fn new(epochs: Vec<(LeaderEpoch, Offset)>, start: Offset, end: Offset) -> Self {
        let mut history = Self { epochs: Vec::new(), start, end: start };
        for (epoch, begins) in epochs {
            history.append(epoch, begins.max(start));
        }
        history.end = end;
        history.truncate(end);
        history
    }

    /// How the log ends.
    pub fn tail(&self) -> LogTail {
        LogTail { epoch: self.epochs.last().map(|(epoch, _)| *epoch), end: self.end }
    }

    /// The first offset.
    pub(crate) fn start(&self) -> Offset {
        self.start
    }

    /// The offset after the last record.
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// Records of `epoch` from `start` on come in; [`History::extend`] says how far they reach.
    pub(crate) fn append(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.epochs.last().is_none_or(|(newest, _)| epoch > *newest) {
            // What began here before has lost all its records to retention.
            self.epochs.pop_if(|(_, begins)| *begins >= start);
            self.epochs.push((epoch, start));
        }
    }

    /// The log reaches to `end` now.
    pub(crate) fn extend(&mut self, end: Offset) {
        self.end = self.end.max(end);
    }

    /// Everything at or after `end` goes.
    pub(crate) fn truncate(&mut self, end: Offset) {
        self.epochs.retain(|(_, begins)| *begins < end);
        self.end = self.end.min(end);
        self.start = self.start.min(end);
    }

    /// Which leaderships wrote the log is known better now.
    pub(crate) fn learn(&mut self, epochs: &[(LeaderEpoch, Offset)]) {
        *self = Self::new(epochs.to_vec(), self.start, self.end);
    }

    /// A log that is the beginning of this one ends with `tail`: rot may have hidden here that its epoch begins that early.
    pub(crate) fn learn_from(&mut self, tail: LogTail) {
        let Some(last) = tail.end.previous().filter(|last| *last >= self.start) else { return };
        let index = self.epochs.partition_point(|(known, _)| Some(*known) < tail.epoch);
        let is_free =
            index.checked_sub(1).and_then(|before| self.epochs.get(before)).is_none_or(|(_, begins)| *begins < last);
        match self.epochs.get_mut(index) {
            Some((known, begins)) if Some(*known) == tail.epoch && *begins > last && is_free => *begins = last,
            _ => {}
        }
    }

    /// Everything goes, and the log begins again at `start`.
    pub(crate) fn reset(&mut self, start: Offset) {
        *self = Self { epochs: Vec::new(), start, end: start };
    }

    /// Everything before `start` goes.
    pub(crate) fn trim(&mut self, start: Offset) {
        let gone = self.epochs.partition_point(|(_, begins)| *begins <= start).saturating_sub(1);
        self.epochs.drain(..gone);
        if let Some((_, begins)) = self.epochs.first_mut() {
            *begins = start.max(*begins);
        }
        self.start = self.start.max(start);
    }

    /// The epoch of the record before `offset`; `None` where there is none, or none any more.
    pub(crate) fn epoch_before(&self, offset: Offset) -> Option<LeaderEpoch> {
        let index = self.epochs.partition_point(|(_, begins)| *begins < offset);
        index.checked_sub(1).and_then(|index| self.epochs.get(index)).map(|(epoch, _)| *epoch)
    }

    /// The largest epoch that is not above `epoch`, and where its records end; the start of the log where there is none.
    pub(crate) fn end_of(&self, epoch: Option<LeaderEpoch>) -> LogTail {
        let count = self.epochs.partition_point(|(known, _)| Some(*known) <= epoch);
        let Some(found) = count.checked_sub(1).and_then(|index| self.epochs.get(index)) else {
            return LogTail { epoch: None, end: self.start };
        };
        let end = self.epochs.get(count).map_or(self.end, |(_, begins)| *begins);
        LogTail { epoch: Some(found.0), end }
    }

    /// What the leader of this log makes of a follower whose log ends with `tail`.
    pub(crate) fn judge(&self, tail: LogTail) -> Verdict {
        if tail.end < self.start {
            return Verdict::Gone;
        }
        let Some(epoch) = tail.epoch else {
            // An empty log has nothing that could differ.
            return if tail.end <= self.end { Verdict::Inside } else { Verdict::Parted(self.tail()) };
        };
        if tail.end == self.start && self.start > Offset::ZERO {
            // The record before is gone, and with it the means to compare.
            return Verdict::Gone;
        }
        let known = self.end_of(Some(epoch));
        // Where the epoch begins does not matter: both have a record of it, at the follower's end or behind, so they are the same
        // up to there. A log whose first records of an epoch are rotten does not know where it begins.
        if known.epoch == Some(epoch) && tail.end <= known.end {
            return Verdict::Inside;
        }
        if known.epoch.is_none() && self.start > Offset::ZERO { Verdict::Gone } else { Verdict::Parted(known) }
    }

    /// Where a follower with this log cuts it when its leader answers with `answer`.
    pub(crate) fn cut(&self, answer: LogTail) -> Offset {
        let own = self.end_of(answer.epoch);
        if own.epoch == answer.epoch { own.end.min(answer.end) } else { own.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(epochs: &[(u64, u64)], start: u64, end: u64) -> History {
        let epochs = epochs.iter().map(|(epoch, start)| (LeaderEpoch::new(*epoch), Offset::new(*start))).collect();
        History::new(epochs, Offset::new(start), Offset::new(end))
    }

    fn leader_of_three() -> History {
        history(&[(1, 0), (3, 4), (5, 48)], 0, 63)
    }

    fn tail(epoch: Option<u64>, end: u64) -> LogTail {
        LogTail { epoch: epoch.map(LeaderEpoch::new), end: Offset::new(end) }
    }

    #[track_caller]
    fn check(leader: &History, follower: LogTail, expected: Verdict) {
        assert_eq!(leader.judge(follower), expected);
    }

    #[test]
    fn a_log_is_inside_when_its_last_record_is_there() {
        let leader = history(&[(1, 0), (3, 5)], 0, 9);
        for inside in [tail(None, 0), tail(Some(1), 1), tail(Some(1), 5), tail(Some(3), 6), tail(Some(3), 9)] {
            check(&leader, inside, Verdict::Inside);
        }
        check(&leader, tail(Some(1), 6), Verdict::Parted(tail(Some(1), 5)));
        check(&leader, tail(Some(2), 4), Verdict::Parted(tail(Some(1), 5)));
        check(&leader, tail(Some(3), 10), Verdict::Parted(tail(Some(3), 9)));
        check(&leader, tail(Some(9), 4), Verdict::Parted(tail(Some(3), 9)));
        check(&history(&[(5, 0)], 0, 4), tail(Some(2), 3), Verdict::Parted(tail(None, 0)));
    }

    #[test]
    fn rot_at_the_beginning_of_an_epoch_does_not_part_two_logs() {
        let leader = history(&[(3, 4), (5, 48)], 0, 63);
        check(&leader, tail(Some(3), 4), Verdict::Inside);
        check(&leader, tail(Some(3), 2), Verdict::Inside);
        check(&leader, tail(Some(3), 49), Verdict::Parted(tail(Some(3), 48)));
        let learned = |from| {
            let mut leader = leader_of_three();
            leader.learn_from(from);
            leader
        };
        assert_eq!(learned(tail(Some(3), 3)), history(&[(1, 0), (3, 2), (5, 48)], 0, 63));
        for nothing_new in [tail(Some(3), 5), tail(Some(3), 1), tail(Some(2), 3), tail(Some(5), 50), tail(None, 0)] {
            assert_eq!(learned(nothing_new), leader_of_three(), "{nothing_new:?}");
        }
    }

    #[test]
    fn what_the_leader_does_not_have_any_more_cannot_be_compared() {
        let leader = history(&[(3, 5)], 5, 9);
        check(&leader, tail(Some(1), 4), Verdict::Gone);
        check(&leader, tail(Some(1), 5), Verdict::Gone);
        check(&leader, tail(Some(1), 7), Verdict::Gone);
        check(&leader, tail(None, 4), Verdict::Gone);
        check(&leader, tail(None, 5), Verdict::Inside);
        check(&leader, tail(Some(3), 6), Verdict::Inside);
    }

    #[test]
    fn the_epoch_before_an_offset_is_that_of_the_record_before_it() {
        let history = history(&[(1, 0), (3, 5)], 0, 9);
        let before = |offset| history.epoch_before(Offset::new(offset)).map(LeaderEpoch::get);
        assert_eq!([before(0), before(1), before(5), before(6), before(9)], [None, Some(1), Some(1), Some(3), Some(3)]);
    }

    #[test]
    fn a_history_follows_its_log() {
        let mut log = history(&[(1, 0), (3, 5)], 0, 9);
        log.append(LeaderEpoch::new(3), Offset::new(9));
        log.append(LeaderEpoch::new(4), Offset::new(12));
        log.extend(Offset::new(20));
        assert_eq!(log, history(&[(1, 0), (3, 5), (4, 12)], 0, 20));
        log.trim(Offset::new(7));
        assert_eq!(log, history(&[(3, 7), (4, 12)], 7, 20));
        log.truncate(Offset::new(12));
        assert_eq!(log, history(&[(3, 7)], 7, 12));
        log.reset(Offset::new(30));
        assert_eq!(log, history(&[], 30, 30));
    }

    #[test]
    fn an_epoch_without_records_gives_its_place_to_the_next() {
        let mut log = history(&[(1, 0), (3, 5)], 0, 9);
        log.trim(Offset::new(9));
        assert_eq!(log.tail(), tail(Some(3), 9));
        log.append(LeaderEpoch::new(4), Offset::new(9));
        log.extend(Offset::new(11));
        assert_eq!(log, history(&[(4, 9)], 9, 11));
        check(&log, tail(Some(4), 11), Verdict::Inside);
        check(&log, tail(Some(3), 10), Verdict::Gone);
    }

    /// One log of an epoch history: in each of some epochs somebody appended to some earlier log, cut anywhere.
    fn random_logs(random: &mut impl FnMut(usize) -> usize) -> Vec<Vec<u64>> {
        let mut logs: Vec<Vec<u64>> = vec![Vec::new(); 3];
        for epoch in 1..7 {
            let leader = random(3);
            for _ in 0..random(4) {
                logs[leader].push(epoch);
            }
            let follower = random(3);
            if follower != leader {
                // It agrees with the leader, then copies some.
                let common = logs[leader].iter().zip(&logs[follower]).take_while(|(a, b)| a == b).count();
                let copied = common + random(1 + logs[leader].len() - common);
                logs[follower] = logs[leader][..copied].to_vec();
            }
        }
        logs
    }

    fn history_of(log: &[u64]) -> History {
        let starts = (0..log.len()).filter(|at| *at == 0 || log[at - 1] != log[*at]);
        let epochs: Vec<(u64, u64)> = starts.map(|at| (log[at], at as u64)).collect();
        history(&epochs, 0, log.len() as u64)
    }

    #[test]
    fn agreement_is_reached_and_keeps_the_whole_common_part() {
        for seed in 0..5000_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut random = |below: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from((state >> 11) % below as u64).unwrap()
            };
            let logs = random_logs(&mut random);
            let (leader, mut follower) = (history_of(&logs[0]), history_of(&logs[1]));
            let common = logs[0].iter().zip(&logs[1]).take_while(|(a, b)| a == b).count() as u64;
            let mut rounds = 0;
            while let Verdict::Parted(answer) = leader.judge(follower.tail()) {
                let cut = follower.cut(answer);
                assert!(cut < follower.end(), "seed {seed}: no progress");
                follower.truncate(cut);
                rounds += 1;
                assert!(rounds < 10, "seed {seed}");
            }
            assert_eq!(follower.end().get(), common, "seed {seed}: {logs:?}");
        }
    }
}
