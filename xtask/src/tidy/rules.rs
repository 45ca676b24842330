//! The rules about a file's text. Owns each rule and its wording; knows no file system.

use super::functions::line_of;
use super::source::Source;

/// Parts of the code base that get time, randomness and I/O as arguments, and the calls that would break that. Lints
/// catch the clocks; here the rest is caught, and only outside tests, which drive threads of their own.
const PURE: &[&str] =
    &["crates/types/src/", "crates/replication/src/", "crates/commitlog/src/", "crates/metadata-raft/src/state/"];
const IMPURE_CALLS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "thread::spawn",
    "thread::sleep",
    "thread::Builder",
    "std::net",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "rand::",
    "tokio::",
];
/// The protocol cores have no files either; the log reaches them through its `Storage` port only.
const WITHOUT_FILES: &[&str] = &["crates/types/src/", "crates/replication/src/", "crates/metadata-raft/src/state/"];
const FILE_CALLS: &[&str] = &["std::fs", "File::open", "File::create", "OpenOptions"];

/// Macros that mean "not finished".
const UNFINISHED: &[&str] = &["todo!(", "unimplemented!(", "dbg!("];
/// Comment words that need the number of the issue that will remove them, as in `(#12)`.
const MARKERS: &[&str] = &["TODO", "FIXME", "XXX"];
/// Ways of hoping that something has happened by now.
const SLEEPS: &[&str] = &["thread::sleep(", "time::sleep(", "sleep(Duration"];
/// Words that say nothing, or that something is not done yet.
const EMPTY_PHRASES: &[&str] = &[
    "placeholder",
    "for now",
    "blazing",
    "seamless",
    "world-class",
    "battle-tested",
    "enterprise-grade",
    "state-of-the-art",
    "cutting-edge",
    "quick and dirty",
];

/// Everything wrong with one Rust file, one line each.
pub(super) fn check_source(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    findings.extend(missing_module_doc(source));
    findings.extend(in_code(source, UNFINISHED, |_| true, "is not finished code"));
    findings.extend(markers_without_issue(source));
    findings.extend(in_code(source, SLEEPS, |line| source.is_test_line(line), "in a test: wait for an event instead"));
    findings.extend(allows_without_reason(source));
    findings.extend(impure_calls(source));
    if source.path != "xtask/src/tidy/rules.rs" {
        findings.extend(empty_phrases(&source.path, &source.comments));
    }
    findings
}

/// Everything wrong with one document.
pub(super) fn check_document(path: &str, text: &str) -> Vec<String> {
    empty_phrases(path, text)
}

fn missing_module_doc(source: &Source) -> Option<String> {
    // What the tests of a module are about is said by where they are.
    if source.is_test_file() && !source.path.starts_with("tests/") {
        return None;
    }
    let documented =
        source.text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//! "));
    (!documented).then(|| format!("{}:1: begins without a `//!` that says what the module owns", source.path))
}

/// Occurrences of any of `words` in code, on lines that `matters` picks.
fn in_code(source: &Source, words: &[&str], matters: impl Fn(usize) -> bool, objection: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for word in words {
        for (place, _) in source.code.match_indices(word) {
            let line = line_of(&source.code, place);
            let inside_word = source.code[..place].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if !inside_word && matters(line) {
                findings.push(format!("{}:{line}: `{}` {objection}", source.path, word.trim_end_matches('(')));
            }
        }
    }
    findings
}

fn markers_without_issue(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in source.comments.lines().enumerate() {
        let words = line.split(|c: char| !c.is_alphanumeric());
        let marked = words.into_iter().any(|word| MARKERS.contains(&word));
        if marked && !names_issue(line) {
            findings.push(format!("{}:{}: a marker without the number of its issue", source.path, index + 1));
        }
    }
    findings
}

/// Whether there is a `#` with digits after it.
fn names_issue(line: &str) -> bool {
    line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn allows_without_reason(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for mark in ["[allow(", "[expect("] {
        for (place, _) in source.code.match_indices(mark) {
            // A bracket inside a reason's text is masked, so the next one closes the attribute.
            let attribute = source.code[place..].split(']').next().unwrap_or_default();
            if !attribute.contains("reason") {
                let line = line_of(&source.code, place);
                findings.push(format!("{}:{line}: silences a lint without a `reason`", source.path));
            }
        }
    }
    findings
}

fn impure_calls(source: &Source) -> Vec<String> {
    let applies = |folders: &[&str]| folders.iter().any(|folder| source.path.starts_with(folder));
    let production = |line: usize| !source.is_test_line(line);
    let mut findings = Vec::new();
    if applies(PURE) {
        findings.extend(in_code(source, IMPURE_CALLS, production, "in pure code: take it as an argument"));
    }
    if applies(WITHOUT_FILES) {
        findings.extend(in_code(source, FILE_CALLS, production, "in code that has no files"));
    }
    findings
}

fn empty_phrases(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for phrase in EMPTY_PHRASES.iter().filter(|phrase| line.contains(**phrase)) {
            findings.push(format!("{path}:{}: \"{phrase}\" says nothing a reader can use", index + 1));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings for `text` at `path`, without the path in front of them.
    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let source = Source::new(path, format!("//! Doc.\n{text}\n"));
        let findings = check_source(&source);
        let told: Vec<&str> = findings.iter().map(|f| f.strip_prefix(path).unwrap_or(f)).collect();
        assert_eq!(told, expected, "of `{text}`");
    }

    const CODE: &str = "crates/broker/src/a.rs";
    const PURE_CODE: &str = "crates/replication/src/a.rs";
    const TEST: &str = "tests/src/a.rs";

    #[test]
    fn modules_say_what_they_own() {
        let undocumented = Source::new(CODE, "use std::fmt;\n".to_owned());
        assert_eq!(check_source(&undocumented).len(), 1);
        check(CODE, "use std::fmt;", &[]);
    }

    #[test]
    fn unfinished_code_is_found_outside_of_texts() {
        check(CODE, "fn a() { todo!() }", &[":2: `todo!` is not finished code"]);
        check(CODE, "fn a() { f(\"todo!()\") } // todo!()", &[]);
        check(CODE, "fn a() { dbg!(1); }", &[":2: `dbg!` is not finished code"]);
    }

    #[test]
    fn markers_name_their_issue() {
        check(CODE, "// TODO later", &[":2: a marker without the number of its issue"]);
        check(CODE, "// TODO(#12): later", &[]);
        check(CODE, "// FIXME: #x", &[":2: a marker without the number of its issue"]);
        check(CODE, "let todo = \"TODO\";", &[]);
    }

    #[test]
    fn tests_wait_for_events() {
        check(TEST, "fn a() { std::thread::sleep(x) }", &[":2: `thread::sleep` in a test: wait for an event instead"]);
        check(CODE, "fn a() { tokio::time::sleep(x) }", &[]);
        let inline = "#[cfg(test)]\nmod tests {\n  fn a() { tokio::time::sleep(x) }\n}";
        check(CODE, inline, &[":4: `time::sleep` in a test: wait for an event instead"]);
    }

    #[test]
    fn pure_code_gets_its_time_and_luck_from_outside() {
        check(PURE_CODE, "let t = Instant::now();", &[":2: `Instant::now` in pure code: take it as an argument"]);
        check(PURE_CODE, "use std::fs;", &[":2: `std::fs` in code that has no files"]);
        check(PURE_CODE, "let operand::x = 1;", &[]);
        check(CODE, "let t = Instant::now();", &[]);
    }

    #[test]
    fn silenced_lints_say_why() {
        check(CODE, "#[allow(dead_code)]", &[":2: silences a lint without a `reason`"]);
        check(CODE, "#[expect(dead_code, reason = \"kept ]\")]", &[]);
    }

    #[test]
    fn comments_say_something() {
        check(CODE, "// A Placeholder.", &[":2: \"placeholder\" says nothing a reader can use"]);
        assert_eq!(check_document("README.md", "Fine.\nBlazing fast.").len(), 1);
    }
}
