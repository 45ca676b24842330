//! The name someone probably meant. Owns how different two names are.

/// The candidate that differs least from `name`, if any is near enough to be a slip.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(2);
    let near = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    near.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many characters have to be inserted, removed or replaced.
fn distance(source: &str, target: &str) -> usize {
    let target: Vec<char> = target.chars().collect();
    let mut row: Vec<usize> = (0..=target.len()).collect();
    for (i, from) in source.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in target.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[target.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_changes() {
        for (source, target, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("port", "prot", 2),
            ("port", "ports", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(source, target), expected, "{source} {target}");
        }
    }

    #[test]
    fn only_a_slip_is_suggested() {
        assert_eq!(nearest("data.dri", ["data.dir", "port"]), Some("data.dir"));
        assert_eq!(nearest("colour", ["data.dir", "port"]), None);
    }
}
