//! One Rust file as the rules see it. Owns what counts as test code; knows no rule.

use super::functions::{closing_brace, line_of};
use super::mask::mask;

/// A file, split into code and comments, with its test code marked.
pub(super) struct Source {
    /// Path from the root, with `/`.
    pub(super) path: String,
    /// The text as it is.
    pub(super) text: String,
    /// Its code, masked.
    pub(super) code: String,
    /// Its comments, masked.
    pub(super) comments: String,
    /// Lines of test modules inside it, from 1, half-open.
    test_lines: Vec<std::ops::Range<usize>>,
}

impl Source {
    /// Reads one file's text.
    pub(super) fn new(path: &str, text: String) -> Self {
        let masked = mask(&text);
        let test_lines = test_modules(&masked.code);
        Self { path: path.to_owned(), text, code: masked.code, comments: masked.comments, test_lines }
    }

    /// Whether the whole file is test code.
    pub(super) fn is_test_file(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("tests.rs")
    }

    /// Whether this line (from 1) is test code.
    pub(super) fn is_test_line(&self, line: usize) -> bool {
        self.is_test_file() || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// Lines that are not test code, with their numbers.
    pub(super) fn production_lines(&self) -> usize {
        (1..=self.text.lines().count()).filter(|line| !self.is_test_line(*line)).count()
    }
}

/// The lines of every `#[cfg(test)] mod x { … }`.
fn test_modules(code: &str) -> Vec<std::ops::Range<usize>> {
    const MARK: &str = "#[cfg(test)]";
    let mut found = Vec::new();
    for (place, _) in code.match_indices(MARK) {
        let Some(brace) = code[place..].find(['{', ';']).map(|offset| place + offset) else { continue };
        let declares_module = code[place..brace].contains("mod ");
        if !declares_module || code[brace..].starts_with(';') {
            continue;
        }
        if let Some(end) = closing_brace(code, brace) {
            found.push(line_of(code, place)..line_of(code, end - 1) + 1);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_modules_do_not_count_as_production() {
        let text = "//! Doc.\nfn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n";
        let source = Source::new("crates/x/src/lib.rs", text.to_owned());
        assert_eq!(source.production_lines(), 3);
        assert!(source.is_test_line(5) && !source.is_test_line(2) && !source.is_test_line(7));
    }

    #[test]
    fn test_files_are_known_by_their_path() {
        let is_test = |path: &str| Source::new(path, String::new()).is_test_file();
        assert!(
            is_test("tests/src/server.rs") && is_test("crates/x/src/log/tests.rs") && is_test("crates/x/tests/a.rs")
        );
        assert!(!is_test("crates/x/src/lib.rs") && !is_test("xtask/src/tidy.rs"));
    }
}
