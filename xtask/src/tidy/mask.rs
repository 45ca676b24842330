//! Splits Rust text into code and comments, keeping every character's place. Owns just enough of the lexer for that;
//! knows no grammar.

/// The same text twice, each with what is not its business replaced by blanks: lines and columns stay what they were.
pub(super) struct Masked {
    /// Code without comments and without the insides of literals.
    pub(super) code: String,
    /// Comments only.
    pub(super) comments: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Splits `text`.
pub(super) fn mask(text: &str) -> Masked {
    let characters: Vec<char> = text.chars().collect();
    let mut masked = Masked { code: String::with_capacity(text.len()), comments: String::with_capacity(text.len()) };
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let previous = at.checked_sub(1).map(|before| characters[before]);
        let (kind, length) = next_piece(rest, previous);
        for character in &rest[..length] {
            masked.push(*character, kind);
        }
        at += length;
    }
    masked
}

impl Masked {
    fn push(&mut self, character: char, kind: Kind) {
        let blank = if character == '\n' { '\n' } else { ' ' };
        self.code.push(if kind == Kind::Code { character } else { blank });
        self.comments.push(if kind == Kind::Comment { character } else { blank });
    }
}

/// What starts here and how long it is; at least one character.
fn next_piece(rest: &[char], previous: Option<char>) -> (Kind, usize) {
    let in_word = previous.is_some_and(|character| character.is_alphanumeric() || character == '_');
    match rest {
        ['/', '/', ..] => (Kind::Comment, rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => (Kind::Comment, block_comment_length(rest)),
        ['"', ..] => (Kind::Literal, quoted_length(rest, '"')),
        ['r', '"' | '#', ..] if !in_word => raw_string(rest),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => (Kind::Literal, quoted_length(rest, '\'')),
        _ => (Kind::Code, 1),
    }
}

fn block_comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_length(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `r"…"`, `r#"…"#` and so on; `r#name` is a word.
fn raw_string(rest: &[char]) -> (Kind, usize) {
    let hashes = rest[1..].iter().take_while(|character| **character == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return (Kind::Code, 1);
    }
    let mut at = 2 + hashes;
    while at < rest.len() {
        let closing = rest[at] == '"' && rest[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        if closing {
            return (Kind::Literal, at + 1 + hashes);
        }
        at += 1;
    }
    (Kind::Literal, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str, comments: &str) {
        let masked = mask(text);
        assert_eq!((masked.code.trim_end(), masked.comments.trim()), (code, comments), "of `{text}`");
        assert_eq!(masked.code.chars().count(), text.chars().count(), "places are kept in `{text}`");
    }

    #[test]
    fn code_comments_and_literals_are_told_apart() {
        check("a // b", "a", "// b");
        check("a /* b /* c */ d */ e", "a                   e", "/* b /* c */ d */");
        check(r#"f("{ // no") }"#, "f(         ) }", "");
        check(r#"f("a\"{") }"#, "f(      ) }", "");
        check("f('{', '\\'', 'a)", "f(   ,     , 'a)", "");
        check("r#\"{\"#; r#fn", "      ; r#fn", "");
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}", "");
        check("\"unfinished", "", "");
        check("/* unfinished", "", "/* unfinished");
    }
}
