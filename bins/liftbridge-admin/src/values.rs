//! How values are written on the command line: sizes, times, positions, headers. Owns reading and writing them for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use liftbridge_client::{AckPolicy, Offset, PartitionId, Start, Stop, Timestamp};

/// Reads `10s`, `5min`, `7days 12h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    // A bare 0 is what people write for "none".
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 500ms, 10s, 5min, 12h or 7days"))
}

/// Reads `4096`, `64KiB`, `1MB`, `2GiB` as bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(format!("unknown unit `{unit}`; write it as 4096, 64KiB, 1MB or 2GiB")),
    };
    let number: u64 = number.parse().map_err(|_| "write it as 4096, 64KiB, 1MB or 2GiB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

/// Reads a partition number.
pub(crate) fn partition(text: &str) -> Result<PartitionId, String> {
    text.parse().ok().and_then(PartitionId::new).ok_or_else(|| "partitions are numbered from 0".to_owned())
}

/// Reads `NAME=VALUE`.
pub(crate) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// Reads `leader`, `all` or `none`.
pub(crate) fn ack_policy(text: &str) -> Result<AckPolicy, String> {
    match text {
        "leader" => Ok(AckPolicy::Leader),
        "all" => Ok(AckPolicy::All),
        "none" => Ok(AckPolicy::None),
        _ => Err("it is `leader`, `all` or `none`".to_owned()),
    }
}

/// The word [`ack_policy`] reads.
pub(crate) fn ack_policy_name(policy: AckPolicy) -> &'static str {
    match policy {
        AckPolicy::Leader => "leader",
        AckPolicy::All => "all",
        AckPolicy::None => "none",
    }
}

/// Reads where to begin.
pub(crate) fn start(text: &str) -> Result<Start, String> {
    match text.split_once(':') {
        None if text == "earliest" => Ok(Start::Earliest),
        None if text == "latest" => Ok(Start::Latest),
        None if text == "new" => Ok(Start::NewOnly),
        Some(("offset", number)) => offset(number).map(Start::Offset),
        Some(("time", time)) => timestamp(time).map(Start::Time),
        _ => Err("it is earliest, latest, new, offset:N, time:2013-01-01T06:00:00Z or time:NANOSECONDS".to_owned()),
    }
}

/// Reads where to end.
pub(crate) fn stop(text: &str) -> Result<Stop, String> {
    match text.split_once(':') {
        None if text == "latest" => Ok(Stop::Latest),
        Some(("offset", number)) => offset(number).map(Stop::Offset),
        Some(("time", time)) => timestamp(time).map(Stop::Time),
        _ => Err("it is latest, offset:N, time:2013-01-01T06:00:00Z or time:NANOSECONDS".to_owned()),
    }
}

fn offset(text: &str) -> Result<Offset, String> {
    // The API has signed 64-bit offsets.
    text.parse::<i64>()
        .ok()
        .and_then(|number| u64::try_from(number).ok())
        .map(Offset::new)
        .ok_or_else(|| "offsets are numbers from 0".to_owned())
}

/// Reads nanoseconds since 1970, or a time in RFC 3339 in UTC.
fn timestamp(text: &str) -> Result<Timestamp, String> {
    if let Ok(nanos) = text.parse() {
        return Ok(Timestamp::from_nanos(nanos));
    }
    let time = humantime::parse_rfc3339(text)
        .map_err(|error| format!("{error}; write it as 2013-01-01T06:00:00Z, or as nanoseconds since 1970"))?;
    let since_epoch = time.duration_since(UNIX_EPOCH).map_err(|_| "times begin in 1970".to_owned())?;
    i64::try_from(since_epoch.as_nanos()).map(Timestamp::from_nanos).map_err(|_| "times end in 2262".to_owned())
}

/// A time in RFC 3339 to the nanosecond, or the bare nanoseconds before 1970.
pub(crate) fn time_text(time: Timestamp) -> String {
    match u64::try_from(time.as_nanos()) {
        Ok(nanos) => {
            let time: SystemTime = UNIX_EPOCH + Duration::from_nanos(nanos);
            humantime::format_rfc3339_nanos(time).to_string()
        }
        Err(_) => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_size(text: &str, expected: Option<u64>) {
        assert_eq!(size(text).ok(), expected, "{text:?}");
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        check_size("0", Some(0));
        check_size("4096", Some(4096));
        check_size("64KiB", Some(65_536));
        check_size("64 kib", Some(65_536));
        check_size("1MB", Some(1_000_000));
        check_size("1m", Some(1_048_576));
        check_size("", None);
        check_size("-1", None);
        check_size("1.5GB", None);
        check_size("1 parsec", None);
        check_size("99999999999TiB", None);
    }

    #[test]
    fn starts_are_words_offsets_and_times() {
        assert_eq!(start("earliest"), Ok(Start::Earliest));
        assert_eq!(start("latest"), Ok(Start::Latest));
        assert_eq!(start("new"), Ok(Start::NewOnly));
        assert_eq!(start("offset:7"), Ok(Start::Offset(Offset::new(7))));
        assert_eq!(start("time:5"), Ok(Start::Time(Timestamp::from_nanos(5))));
        let time = Timestamp::from_nanos(1_357_020_000_500_000_000);
        assert_eq!(start("time:2013-01-01T06:00:00.5Z"), Ok(Start::Time(time)));
        for text in ["", "offset", "offset:-1", "offset:x", "time:", "time:yesterday", "EARLIEST"] {
            assert!(start(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn stops_are_latest_offsets_and_times() {
        assert_eq!(stop("latest"), Ok(Stop::Latest));
        assert_eq!(stop("offset:0"), Ok(Stop::Offset(Offset::ZERO)));
        assert!(stop("earliest").is_err());
    }

    #[test]
    fn times_read_as_they_were_written() {
        let time = Timestamp::from_nanos(1_357_020_000_123_456_789);
        assert_eq!(time_text(time), "2013-01-01T06:00:00.123456789Z");
        assert_eq!(timestamp(&time_text(time)), Ok(time));
        assert_eq!(time_text(Timestamp::from_nanos(-5)), "-5ns");
    }

    #[test]
    fn headers_need_a_name() {
        assert_eq!(header("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(header("=b").is_err());
        assert!(header("a").is_err());
    }

    #[test]
    fn zero_needs_no_unit() {
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        assert!(duration("2").is_err());
    }
}
