//! Sizes: the limits and the list of what exceeds them. Owns that the list can only shrink; an entry that is larger than
//! what it excuses, or excuses nothing, is a finding too.

use std::collections::BTreeMap;

use super::functions::functions;
use super::source::Source;

/// Most lines of production code in a file.
const FILE_LINES_MAX: usize = 500;
/// Most lines of a function.
const FUNCTION_LINES_MAX: usize = 70;

/// The exceptions: what may be larger, and how large it is.
pub(super) struct Ratchet {
    /// `path` or `path::function` to its lines.
    allowed: BTreeMap<String, usize>,
    used: Vec<String>,
}

impl Ratchet {
    /// Reads `<lines> <path>` and `<lines> <path>::<function>` lines; `#` begins a comment.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut allowed = BTreeMap::new();
        for line in text.lines() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            let (lines, subject) = entry.split_once(' ').ok_or_else(|| line.to_owned())?;
            let lines = lines.parse().map_err(|_| line.to_owned())?;
            allowed.insert(subject.trim().to_owned(), lines);
        }
        Ok(Self { allowed, used: Vec::new() })
    }

    /// What is too large in this file.
    pub(super) fn check(&mut self, source: &Source) -> Vec<String> {
        let mut findings = Vec::new();
        findings.extend(self.judge(&source.path, source.production_lines(), FILE_LINES_MAX));
        for function in functions(&source.code) {
            if !source.is_test_line(function.line) {
                let subject = format!("{}::{}", source.path, function.name);
                findings.extend(self.judge(&subject, function.lines, FUNCTION_LINES_MAX));
            }
        }
        findings
    }

    /// Entries that excuse nothing any more.
    pub(super) fn unused(&self) -> Vec<String> {
        let unused = self.allowed.keys().filter(|subject| !self.used.contains(subject));
        unused.map(|subject| format!("{subject}: within the limits now, remove its entry from the ratchet")).collect()
    }

    fn judge(&mut self, subject: &str, lines: usize, limit: usize) -> Option<String> {
        if lines <= limit {
            return None;
        }
        let Some(allowed) = self.allowed.get(subject).copied() else {
            return Some(format!("{subject}: {lines} lines, the limit is {limit}"));
        };
        self.used.push(subject.to_owned());
        match lines.cmp(&allowed) {
            std::cmp::Ordering::Greater => Some(format!("{subject}: grew from {allowed} to {lines} lines")),
            std::cmp::Ordering::Less => {
                Some(format!("{subject}: has {lines} lines now, lower its entry from {allowed}"))
            }
            std::cmp::Ordering::Equal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ratchet: &str, function_lines: usize, expected: &[&str]) {
        let mut ratchet = Ratchet::parse(ratchet).expect("a legal list");
        let text = format!("fn f() {{{}}}\n", "\n".repeat(function_lines - 1));
        let mut findings = ratchet.check(&Source::new("crates/a.rs", text));
        findings.extend(ratchet.unused());
        assert_eq!(findings, expected);
    }

    #[test]
    fn sizes_only_go_down() {
        check("", 70, &[]);
        check("", 71, &["crates/a.rs::f: 71 lines, the limit is 70"]);
        check("80 crates/a.rs::f # a table", 80, &[]);
        check("80 crates/a.rs::f", 81, &["crates/a.rs::f: grew from 80 to 81 lines"]);
        check("80 crates/a.rs::f", 79, &["crates/a.rs::f: has 79 lines now, lower its entry from 80"]);
        check("80 crates/a.rs::f", 9, &["crates/a.rs::f: within the limits now, remove its entry from the ratchet"]);
        check("", 501, &["crates/a.rs: 501 lines, the limit is 500", "crates/a.rs::f: 501 lines, the limit is 70"]);
    }

    #[test]
    fn unreadable_entries_are_refused() {
        assert_eq!(Ratchet::parse("many crates/a.rs").err().as_deref(), Some("many crates/a.rs"));
    }
}
