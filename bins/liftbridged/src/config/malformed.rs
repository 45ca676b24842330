//! What is wrong with the text of a configuration file, in the words of this server: the library that reads YAML speaks to
//! programmers. Owns those texts; never what settings there are.

use serde_saphyr::Error;
use thiserror::Error as ThisError;

/// Why a text is no list of settings. Every text is one line that goes behind the file's name.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub(crate) enum Malformed {
    #[error("line {line}: {} is there for the second time; keep one of them, and below it what is below either", named(name.as_deref()))]
    Doubled { name: Option<String>, line: u64 },
    #[error(
        "line {line}: `{sign}` is YAML's sign for a value that is repeated, and here it stands for none; write the value itself, \
         in quotes if it begins with `{sign}`"
    )]
    NothingRepeated { sign: char, line: u64 },
    #[error(
        "line {line}: what `*` repeats here repeats itself, or is too much for a configuration; write the values themselves"
    )]
    RepeatedTooMuch { line: u64 },
    #[error(
        "line {line}: there is more in it, or deeper within each other, than in any configuration; keep only settings"
    )]
    TooMuch { line: u64 },
    #[error("line {line}: a second document begins here; remove the `---` before it and have everything in one")]
    SecondDocument { line: u64 },
    #[error("it must hold settings, one `name: value` a line")]
    NoSettings,
    #[error("`{name}` must be a list of texts")]
    NoTexts { name: String },
    /// The library's own words, which say what and where: a bracket that is not closed, a sign that does not belong there.
    #[error("{0}")]
    Yaml(String),
}

impl Malformed {
    /// What the library says about `text`, in the words of this server as far as it has any.
    pub(super) fn of(error: &Error, text: &str) -> Self {
        let location = error.location();
        let line = location.map_or(1, |location| location.line());
        let sign = location.and_then(|location| sign_at(text, location.line(), location.column()));
        match (error.without_snippet(), sign) {
            (Error::DuplicateMappingKey { key, .. }, _) => Self::Doubled { name: key.clone(), line },
            (Error::MultipleDocuments { .. }, _) => Self::SecondDocument { line },
            (Error::UnknownAnchor { .. } | Error::ExternalMessage { .. }, Some(sign)) => {
                Self::NothingRepeated { sign, line }
            }
            (_, Some('*')) => Self::RepeatedTooMuch { line },
            (Error::Budget { .. }, _) => Self::TooMuch { line },
            (error, _) => Self::Yaml(error.to_string().lines().next().unwrap_or_default().trim().to_owned()),
        }
    }
}

/// The sign of something repeated, if one stands there; lines and columns are counted from 1.
fn sign_at(text: &str, line: u64, column: u64) -> Option<char> {
    let before = |count: u64| usize::try_from(count).ok()?.checked_sub(1);
    let found = text.lines().nth(before(line)?)?.chars().nth(before(column)?)?;
    matches!(found, '*' | '&').then_some(found)
}

fn named(name: Option<&str>) -> String {
    name.map_or_else(|| "a name".to_owned(), |name| format!("`{name}`"))
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
    }

    #[test]
    fn a_name_given_twice_is_named_with_its_line() {
        let twice = "is there for the second time; keep one of them, and below it what is below either";
        check("port: 1\nhost: a\nport: 2\n", &format!("line 3: `port` {twice}"));
        check("tls:\n  cert: a\nport: 1\n# more\ntls:\n  key: b\n", &format!("line 5: `tls` {twice}"));
        check("tls:\n  cert: a\n  cert: b\n", &format!("line 3: `cert` {twice}"));
    }

    #[test]
    fn a_sign_that_repeats_nothing_is_explained() {
        let repeats = |sign: char| {
            format!(
                "`{sign}` is YAML's sign for a value that is repeated, and here it stands for none; write the value itself, \
                 in quotes if it begins with `{sign}`"
            )
        };
        check("port: 1\nhost: *other\n", &format!("line 2: {}", repeats('*')));
        check("listen: *:9292\n", &format!("line 1: {}", repeats('*')));
        check("host: *\n", &format!("line 1: {}", repeats('*')));
        check("host: &\n", &format!("line 1: {}", repeats('&')));
    }

    #[test]
    fn what_repeats_too_much_is_told_to_be_written_out() {
        let text =
            "what `*` repeats here repeats itself, or is too much for a configuration; write the values themselves";
        check("a: &x [*x]\n", &format!("line 1: {text}"));
        check("a: &x\n  b: *x\n", &format!("line 2: {text}"));
        let many: String = (0..60_000).map(|number| format!("k{number}: *x\n")).collect();
        check(&format!("a: &x 1\n{many}"), &format!("line 50002: {text}"));
    }

    #[test]
    fn what_is_no_configuration_is_told_apart() {
        check(
            "port: 1\n---\nport: 2\n",
            "line 3: a second document begins here; remove the `---` before it and have everything in one",
        );
        check("- a\n", "it must hold settings, one `name: value` a line");
        check("a: [1, [2]]\n", "`a` must be a list of texts");
        check("a: [1\n", "unclosed bracket '[' at line 1, column 4");
        let deep = "it, or deeper within each other, than in any configuration; keep only settings";
        check(&format!("a: [{}]", "x, ".repeat(250_000)), &format!("line 1: there is more in {deep}"));
    }
}
