//! Where functions begin and end. Owns counting their lines; knows no rule about them.

/// One function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name; several may share one.
    pub(super) name: String,
    /// The line its `fn` stands on, from 1.
    pub(super) line: usize,
    /// Lines from its `fn` to its closing brace, both included.
    pub(super) lines: usize,
}

/// All functions in masked code, in order.
pub(super) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(place) = code[from..].find("fn ") {
        let start = from + place;
        from = start + 3;
        let starts_word = !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let name: String = code[from..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !starts_word || name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(code, from) {
            let lines = code[start..end].matches('\n').count() + 1;
            found.push(Function { name, line: line_of(code, start), lines });
        }
    }
    found
}

/// The byte after the brace that closes what opens next; `None` for a declaration without a body.
fn body_end(code: &str, from: usize) -> Option<usize> {
    let declaration_ends = code[from..].find(['{', ';']).map(|place| from + place)?;
    // `[u8; 4]` in a signature: its semicolon ends nothing.
    let open_brackets = |text: &str| text.matches(['(', '[']).count() > text.matches([')', ']']).count();
    if code[declaration_ends..].starts_with(';') {
        let inside = open_brackets(&code[from..declaration_ends]);
        return if inside { body_end(code, declaration_ends + 1) } else { None };
    }
    closing_brace(code, declaration_ends)
}

/// The byte after the brace that closes the one at `open`.
pub(super) fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (place, character) in code[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(open + place + 1);
        }
    }
    None
}

/// The line a byte is on, from 1.
pub(super) fn line_of(code: &str, place: usize) -> usize {
    code[..place].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, expected: &[(&str, usize, usize)]) {
        let expected: Vec<Function> = expected
            .iter()
            .map(|(name, line, lines)| Function { name: (*name).into(), line: *line, lines: *lines })
            .collect();
        assert_eq!(functions(code), expected, "of `{code}`");
    }

    #[test]
    fn functions_are_found_with_their_sizes() {
        check("fn a() {}", &[("a", 1, 1)]);
        check("\nfn a() {\n  if x { y }\n}\n", &[("a", 2, 3)]);
        check("trait T { fn a(); fn b() {\n} }", &[("b", 1, 2)]);
        check("fn a(x: [u8; 4]) {\n}", &[("a", 1, 2)]);
        check("type F = fn (u8); fn b() {}", &[("b", 1, 1)]);
        check("fn outer() {\n  fn inner() {\n  }\n}", &[("outer", 1, 4), ("inner", 2, 2)]);
        check("fn unfinished() {", &[]);
    }
}
