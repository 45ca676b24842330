//! Durations as Go writes them. Owns the syntax; never what a duration is for.

use std::time::Duration;

/// The duration a text means: `1h30m`, `1.5s`, `250ms`, `0`, or a bare number of nanoseconds. `None` for anything else,
/// negative and overlong ones included.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_nanos);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total_nanos: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (nanos, after) = part(rest)?;
        total_nanos = total_nanos.checked_add(nanos)?;
        rest = after;
    }
    // Go keeps them signed; nothing here needs the 292 years beyond.
    (total_nanos <= i64::MAX.unsigned_abs()).then(|| Duration::from_nanos(total_nanos))
}

/// One number with its unit, and what follows it.
fn part(text: &str) -> Option<(u64, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_length = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(unit_length)?;
    let unit_nanos = nanos_of(unit)?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos = whole.checked_mul(unit_nanos)?.checked_add(fraction_of(fraction, unit_nanos))?;
    Some((nanos, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// `0.<digits>` of a unit, digits beyond its precision cut off.
fn fraction_of(digits: &str, unit_nanos: u64) -> u64 {
    let mut nanos = 0;
    let mut place = unit_nanos;
    for digit in digits.bytes() {
        place /= 10;
        nanos += u64::from(digit - b'0') * place;
    }
    nanos
}

fn nanos_of(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        "us" | "µs" | "μs" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Duration>) {
        assert_eq!(parse(text), expected, "{text:?}");
    }

    #[test]
    fn go_durations_are_read_as_go_reads_them() {
        check("1h30m", Some(Duration::from_mins(90)));
        check("250ms", Some(Duration::from_millis(250)));
        check("1.5s", Some(Duration::from_millis(1500)));
        check(".5h", Some(Duration::from_mins(30)));
        check("72h0m0.5s", Some(Duration::from_millis(72 * 3_600_000 + 500)));
        check("1µs", Some(Duration::from_micros(1)));
        check("+1s", Some(Duration::from_secs(1)));
        check("0", Some(Duration::ZERO));
        check("5000000000", Some(Duration::from_secs(5)));
    }

    #[test]
    fn what_go_would_refuse_and_what_is_negative_is_refused() {
        for text in ["", "-1s", "-1", "1d", "1 s", "s", ".s", "1.h.", "1h30", "++1s", "9999999999h", "1e3s"] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-zµ.+ -]{0,24}") {
            let _ = parse(&text);
        }

        #[test]
        fn whole_seconds_and_their_nanoseconds_mean_the_same(seconds in 0_u64..1_000_000_000) {
            prop_assert_eq!(parse(&format!("{seconds}s")), parse(&(seconds * 1_000_000_000).to_string()));
        }
    }
}
