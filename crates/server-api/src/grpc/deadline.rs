//! How long a caller waits, from the `grpc-timeout` header. Owns its syntax; never what happens at the deadline.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

const HEADER: &str = "grpc-timeout";
/// The most digits the protocol allows.
const DIGITS_MAX: usize = 8;
/// Nobody waits longer, and a time further away might not be representable.
const PATIENCE_MAX: Duration = Duration::from_hours(24 * 365);

/// When the caller of `request` stops waiting; `None` when it did not say.
pub(crate) fn deadline<T>(request: &Request<T>) -> Result<Option<Instant>, Status> {
    let timeout = timeout(request.metadata())?;
    Ok(timeout.map(|timeout| Instant::now() + timeout.min(PATIENCE_MAX)))
}

fn timeout(metadata: &MetadataMap) -> Result<Option<Duration>, Status> {
    let Some(value) = metadata.get(HEADER) else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(parse);
    timeout.map(Some).ok_or_else(|| Status::invalid_argument("malformed grpc-timeout"))
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Duration>) {
        assert_eq!(parse(text), expected, "{text:?}");
    }

    #[test]
    fn every_unit_of_the_protocol_is_read_and_nothing_else() {
        check("2H", Some(Duration::from_secs(7200)));
        check("3M", Some(Duration::from_secs(180)));
        check("4S", Some(Duration::from_secs(4)));
        check("5m", Some(Duration::from_millis(5)));
        check("6u", Some(Duration::from_micros(6)));
        check("7n", Some(Duration::from_nanos(7)));
        check("99999999H", Some(Duration::from_secs(359_999_996_400)));
        for text in ["", "S", "5", "5s", "-1S", "+1S", "123456789S", "1µ", "1.5S"] {
            check(text, None);
        }
    }

    #[test]
    fn the_longest_deadline_is_representable() {
        let mut request = Request::new(());
        request.metadata_mut().insert(HEADER, "99999999H".parse().unwrap());
        assert!(deadline(&request).unwrap().unwrap() > Instant::now());
    }
}
