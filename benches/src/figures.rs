//! From many measured values to the one that is shown. Owns medians and rates; never where the values come from.

use std::time::Duration;

use crate::Failure;

/// Measures `N` things in turn, `rounds` times, and returns the median of each. What disturbs a round disturbs all of them.
pub(crate) fn medians<const N: usize>(
    rounds: usize,
    mut round: impl FnMut() -> Result<[f64; N], Failure>,
) -> Result<[f64; N], Failure> {
    let measured = (0..rounds.max(1)).map(|_| round()).collect::<Result<Vec<_>, _>>()?;
    Ok(std::array::from_fn(|column| median(measured.iter().map(|row| row[column]).collect())))
}

/// The middle value, the upper one of the two in the middle of an even number; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// How many a second.
pub(crate) fn per_second(count: u64, elapsed: Duration) -> f64 {
    to_f64(count) / elapsed.as_secs_f64()
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "figures are shown with four digits")]
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_median_of_its_own() {
        let mut rows = [[3.0, 10.0], [1.0, 30.0], [2.0, 20.0]].into_iter();
        assert_eq!(medians(3, || Ok(rows.next().unwrap())).unwrap(), [2.0, 20.0]);
    }

    #[test]
    fn a_round_that_fails_fails_the_measurement() {
        assert!(medians::<1>(3, || Err("the disk is full".into())).is_err());
    }
}
