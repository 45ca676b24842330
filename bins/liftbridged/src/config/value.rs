//! Values of settings: as they are given, and as they are meant. Owns how each kind is read; never which are given.

use std::fmt;
use std::time::Duration;

use liftbridge_commitlog::SyncPolicy;

use super::go_duration;
use super::keys::Kind;

/// A value as someone wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    Text(String),
    List(Vec<String>),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::List(texts) => write!(f, "[{}]", texts.join(", ")),
        }
    }
}

/// A value as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Flag(bool),
    Integer(i64),
    Duration(Duration),
    List(Vec<String>),
    Sync(SyncPolicy),
}

/// How often an interval of `log.sync` may come round at most.
const SYNC_INTERVAL_MIN: Duration = Duration::from_millis(1);

impl Value {
    /// What `raw` means for a setting of this kind; `None` when it means nothing.
    pub(crate) fn of(raw: &Raw, kind: Kind) -> Option<Self> {
        match (raw, kind) {
            (Raw::Text(text), kind) => Self::of_text(text, kind),
            (Raw::List(texts), Kind::List) => Some(Self::List(trimmed(texts.iter().map(String::as_str)))),
            (Raw::List(_), _) => None,
        }
    }

    /// The same for a text. A list is written with commas.
    pub(crate) fn of_text(text: &str, kind: Kind) -> Option<Self> {
        let text = text.trim();
        match kind {
            Kind::Text | Kind::Path => Some(Self::Text(text.to_owned())),
            Kind::Flag => flag(text).map(Self::Flag),
            Kind::Integer(min, max) => {
                text.parse().ok().filter(|number| (min..=max).contains(number)).map(Self::Integer)
            }
            Kind::Duration => go_duration::parse(text).map(Self::Duration),
            Kind::List => Some(Self::List(trimmed(text.split(',')))),
            Kind::OneOf(words) => {
                words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| Self::Text((*word).to_owned()))
            }
            Kind::Sync => sync(text).map(Self::Sync),
        }
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn sync(text: &str) -> Option<SyncPolicy> {
    match text.to_ascii_lowercase().as_str() {
        "commit" => Some(SyncPolicy::Commit),
        "never" => Some(SyncPolicy::Never),
        text => go_duration::parse(text).filter(|interval| *interval >= SYNC_INTERVAL_MIN).map(SyncPolicy::Interval),
    }
}

/// The texts without blanks around them, and without empty ones.
fn trimmed<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kind: Kind, expected: Option<Value>) {
        assert_eq!(Value::of_text(text, kind), expected, "{text:?} as {kind:?}");
    }

    #[test]
    fn each_kind_takes_its_own_and_refuses_the_rest() {
        check("Yes", Kind::Flag, Some(Value::Flag(true)));
        check("maybe", Kind::Flag, None);
        check(" 7 ", Kind::Integer(0, 10), Some(Value::Integer(7)));
        check("11", Kind::Integer(0, 10), None);
        check("-1", Kind::Integer(0, 10), None);
        check("1.5", Kind::Integer(0, 10), None);
        check("INFO", Kind::OneOf(&["info"]), Some(Value::Text("info".to_owned())));
        check("loud", Kind::OneOf(&["info"]), None);
        check("commit", Kind::Sync, Some(Value::Sync(SyncPolicy::Commit)));
        check("never", Kind::Sync, Some(Value::Sync(SyncPolicy::Never)));
        check("100ms", Kind::Sync, Some(Value::Sync(SyncPolicy::Interval(Duration::from_millis(100)))));
        check("1us", Kind::Sync, None);
        check("sometimes", Kind::Sync, None);
    }

    #[test]
    fn lists_are_split_at_commas_trimmed_and_freed_of_empty_texts() {
        let servers = Some(Value::List(vec!["nats://a".to_owned(), "nats://b".to_owned()]));
        check(" nats://a ,, nats://b ,", Kind::List, servers.clone());
        let raw = Raw::List(vec!["nats://a, ".to_owned(), "nats://b".to_owned()]);
        assert_eq!(Value::of(&raw, Kind::List), servers);
        assert_eq!(Value::of(&raw, Kind::Text), None);
    }
}
