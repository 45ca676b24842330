//! The names of a log's files. Owns their spelling; never their content.

use liftbridge_types::Offset;

/// The newest checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The table of leader epochs.
pub(crate) const LEADER_EPOCHS: &str = "leader-epochs";
/// The note that batches claim what is not true here.
pub(crate) const VOID_CLAIMS: &str = "void-claims";
/// Suffix of a file that retention let go of; it is unlinked later, at the latest by the next open.
pub(crate) const RELEASED_SUFFIX: &str = ".deleted";

const LOG_SUFFIX: &str = ".log";
const BASE_DIGITS: usize = 20;

/// The file that holds a segment's batches.
pub(crate) fn log(base: Offset) -> String {
    format!("{:0BASE_DIGITS$}{LOG_SUFFIX}", base.get())
}

/// The file that holds a segment's index.
pub(crate) fn index(base: Offset) -> String {
    format!("{:0BASE_DIGITS$}.index", base.get())
}

/// The base offset of a segment's log file; `None` for any other file.
pub(crate) fn parse_log(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(LOG_SUFFIX)?;
    let canonical = digits.len() == BASE_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if canonical { digits.parse().ok().map(Offset::new) } else { None }
}

/// The base offset of a segment's index file; `None` for any other file.
pub(crate) fn parse_index(name: &str) -> Option<Offset> {
    let log = format!("{}{LOG_SUFFIX}", name.strip_suffix(".index")?);
    parse_log(&log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_names_are_segments() {
        let base = Offset::new(1234);
        assert_eq!(parse_log(&log(base)), Some(base));
        assert_eq!(parse_index(&index(base)), Some(base));
        for name in
            ["12.log", "0000000000000000001x.log", "+0000000000000000012.log", "00000000000000000012.log.deleted"]
        {
            assert_eq!(parse_log(name), None, "{name}");
        }
        assert_eq!(parse_log("99999999999999999999.log"), None, "beyond u64");
    }
}
