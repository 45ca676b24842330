//! A measured ratio and its bound. Owns taking turns, medians and the table; knows nothing of what is measured.

use std::fmt::Write as _;

/// How thorough the measuring is.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Turns each side gets.
    pub rounds: usize,
    /// Work per turn, in hundredths of the full amount.
    pub percent: usize,
}

impl Effort {
    /// What numbers are quoted from.
    pub const FULL: Self = Self { rounds: 7, percent: 100 };
    /// Shows that the measuring works.
    pub const QUICK: Self = Self { rounds: 1, percent: 2 };

    /// This much of an amount of work, at least one.
    pub fn of(self, amount: usize) -> usize {
        (amount * self.percent / 100).max(1)
    }
}

/// What a ratio has to be.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// At least so much of the baseline.
    AtLeast(f64),
    /// At most so much of the baseline.
    AtMost(f64),
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was measured.
    pub what: String,
    /// Our number, for reading.
    pub ours: String,
    /// The baseline's number, for reading.
    pub baseline: String,
    /// Our number divided by the baseline's.
    pub ratio: f64,
    /// What it has to be.
    pub bound: Bound,
}

impl Comparison {
    /// A comparison of two rates.
    pub fn of_rates(what: &str, unit: &str, ours: f64, baseline: f64, at_least: f64) -> Self {
        Self {
            what: what.to_owned(),
            ours: format!("{} {unit}", grouped(ours)),
            baseline: format!("{} {unit}", grouped(baseline)),
            ratio: ours / baseline,
            bound: Bound::AtLeast(at_least),
        }
    }

    /// A number that has to stay below a limit.
    pub fn of_limit(what: &str, unit: &str, ours: f64, limit: f64) -> Self {
        Self {
            what: what.to_owned(),
            ours: format!("{ours:.2} {unit}"),
            baseline: format!("{limit} {unit}"),
            ratio: ours / limit,
            bound: Bound::AtMost(1.0),
        }
    }

    /// Whether the bound is kept.
    pub fn passes(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.ratio >= bound,
            Bound::AtMost(bound) => self.ratio <= bound,
        }
    }
}

/// Lets both sides take turns and returns the median of each.
pub fn take_turns(effort: Effort, mut ours: impl FnMut() -> f64, mut baseline: impl FnMut() -> f64) -> (f64, f64) {
    let (mut our_results, mut baseline_results) = (Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        // Whoever is first finds other caches than who is second; neither always is.
        if round % 2 == 0 {
            our_results.push(ours());
            baseline_results.push(baseline());
        } else {
            baseline_results.push(baseline());
            our_results.push(ours());
        }
    }
    (median(&mut our_results), median(&mut baseline_results))
}

/// The middle value; the upper one of two.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The table, aligned, with a verdict for each line.
pub fn table(comparisons: &[Comparison]) -> String {
    let mut text =
        format!("{:<58} {:>22} {:>22} {:>8} {:>8}  verdict\n", "what", "ours", "baseline or limit", "ratio", "bound");
    for comparison in comparisons {
        let Comparison { what, ours, baseline, ratio, bound } = comparison;
        let bound = match bound {
            Bound::AtLeast(bound) => format!(">= {bound}"),
            Bound::AtMost(bound) => format!("<= {bound}"),
        };
        let verdict = if comparison.passes() { "PASS" } else { "FAIL" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what:<58} {ours:>22} {baseline:>22} {ratio:>8.3} {bound:>8}  {verdict}");
    }
    text
}

/// A rounded number with its thousands apart.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept_or_not() {
        let check = |ours, bound, passes| {
            let comparison = Comparison { bound, ..Comparison::of_rates("x", "1/s", ours, 100.0, 0.0) };
            assert_eq!(comparison.passes(), passes, "{comparison:?}");
        };
        check(70.0, Bound::AtLeast(0.7), true);
        check(69.0, Bound::AtLeast(0.7), false);
        check(300.0, Bound::AtMost(3.0), true);
        check(301.0, Bound::AtMost(3.0), false);
    }

    #[test]
    fn each_side_takes_every_turn_and_the_median_counts() {
        let (mut a, mut b) = (0.0, 100.0);
        let ours = || {
            a += 1.0;
            a
        };
        let baseline = || {
            b += 1.0;
            b
        };
        assert_eq!(take_turns(Effort { rounds: 5, percent: 100 }, ours, baseline), (3.0, 103.0));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([grouped(1.4), grouped(1234.0), grouped(1_234_567.0)], ["1", "1,234", "1,234,567"]);
    }
}
