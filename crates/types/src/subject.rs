//! NATS subjects and the patterns streams attach to. Owns what is legal and what matches; never who is subscribed.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::PartitionId;

/// The longest subject, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 1024;

/// A text that cannot be a subject: empty, too long, with a blank or control character, or with an empty token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("Subject is invalid")]
pub struct InvalidSubject;

/// A dot-separated subject. As an attachment it may hold the wildcards `*` (one token) and, last, `>` (one or more).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject, if `text` can be one; wildcards are legal.
    ///
    /// # Errors
    /// See [`InvalidSubject`].
    pub fn new(text: &str) -> Result<Self, InvalidSubject> {
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if text.is_empty()
            || text.len() > SUBJECT_BYTES_MAX
            || text.contains(blank)
            || text.split('.').any(str::is_empty)
        {
            return Err(InvalidSubject);
        }
        Ok(Self(text.into()))
    }

    /// The text of the subject.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it holds a wildcard token, so that it can be subscribed to but not published on.
    pub fn has_wildcard(&self) -> bool {
        self.0.split('.').any(|token| token == "*" || token == ">")
    }

    /// The subject a partition of a stream on this subject listens on: the subject itself for partition 0, else
    /// `<subject>.<partition>` (behaviour spec, section 3).
    #[must_use]
    pub fn of_partition(&self, partition: PartitionId) -> Self {
        if partition.get() == 0 { self.clone() } else { Self(format!("{}.{partition}", self.0).into()) }
    }

    /// Whether a message published on `published` reaches a subscription to this subject (NATS subject rules).
    pub fn matches(&self, published: &str) -> bool {
        let mut tokens = published.split('.');
        let mut pattern = self.0.split('.').peekable();
        while let Some(expected) = pattern.next() {
            if expected == ">" && pattern.peek().is_none() {
                return tokens.next().is_some();
            }
            match tokens.next() {
                Some(token) if expected == "*" || expected == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, published: &str, expected: bool) {
        assert_eq!(Subject::new(pattern).unwrap().matches(published), expected, "{pattern} on {published}");
    }

    #[test]
    fn wildcards_match_as_in_nats() {
        check("foo", "foo", true);
        check("foo", "foo.bar", false);
        check("foo.*", "foo.bar", true);
        check("foo.*", "foo", false);
        check("foo.*", "foo.bar.baz", false);
        check("*.bar", "foo.bar", true);
        check("foo.>", "foo.bar.baz", true);
        check("foo.>", "foo", false);
        check(">", "anything.at.all", true);
        check("foo.>.bar", "foo.x.bar", false);
        check("foo.*.1", "foo.a.1", true);
    }

    #[test]
    fn subjects_nats_would_refuse_are_refused() {
        for text in ["", "a b", "a\tb", "a\nb", ".a", "a.", "a..b", &"a".repeat(1025)] {
            assert_eq!(Subject::new(text), Err(InvalidSubject), "{text:?}");
        }
    }

    #[test]
    fn partition_zero_listens_on_the_stream_subject_itself() {
        let subject = Subject::new("foo.*").unwrap();
        assert_eq!(subject.of_partition(PartitionId::from_wire(0).unwrap()).as_str(), "foo.*");
        assert_eq!(subject.of_partition(PartitionId::from_wire(2).unwrap()).as_str(), "foo.*.2");
    }
}
