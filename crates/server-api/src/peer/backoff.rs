//! How long to wait before trying to connect again. Owns the rule; never the clock or the dice.

use std::time::Duration;

/// After the first failure.
const DELAY_MIN: Duration = Duration::from_millis(50);
/// However many there were. A peer that comes back is found within this, or at once when it calls.
const DELAY_MAX: Duration = Duration::from_secs(2);

/// The wait after this many failures in a row: twice as long for each, spread by `dice` (0 to 1) over its upper half so that
/// servers that lost the same peer do not come back to it together.
pub(crate) fn delay(failures: u32, dice: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let longest = DELAY_MIN.saturating_mul(doubled).min(DELAY_MAX);
    longest.mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_spread_over_their_upper_half() {
        let waits = [1, 2, 3, 6, 7, 100, u32::MAX].map(|failures| delay(failures, 1.0).as_millis());
        assert_eq!(waits, [50, 100, 200, 1600, 2000, 2000, 2000]);
        assert_eq!(delay(1, 0.0), DELAY_MIN / 2);
        assert_eq!(delay(100, 0.5), DELAY_MAX.mul_f64(0.75));
        assert_eq!(delay(1, f64::NAN.max(0.0)), DELAY_MIN / 2);
    }
}
