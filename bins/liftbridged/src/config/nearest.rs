//! The name someone probably meant. Owns how different two names are.

/// The candidate that differs least from `name`, if any is near enough to be a slip. Case does not count, nor do parts that are
/// missing at an end, much: whoever writes `retention.max.bytes` means `streams.retention.max.bytes`.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let allowed = (name.chars().count() / 2).max(2);
    let near = candidates.into_iter().map(|candidate| (difference(&name, &candidate.to_ascii_lowercase()), candidate));
    near.filter(|(difference, _)| *difference <= allowed)
        .min_by_key(|(difference, _)| *difference)
        .map(|(_, name)| name)
}

/// How different two names are: one for each changed character, and one for all parts that only one of them has at an end.
fn difference(name: &str, candidate: &str) -> usize {
    let begins = candidate.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let tails = |long: &str, short: &str| {
        let tails = long.match_indices('.').filter_map(|(dot, _)| long.get(dot + 1..));
        tails.map(|tail| 1 + distance(tail, short)).min()
    };
    let cut = [tails(candidate, name), tails(name, candidate), begins.then_some(1)];
    cut.into_iter().flatten().fold(distance(name, candidate), usize::min)
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
        assert_eq!(nearest("colours", ["data.dir", "port"]), None);
        let keys =
            ["port", "logging.level", "streams.retention.max.bytes", "streams.compact.enabled", "host", "tls.cert"];
        for (slip, meant) in [
            ("retention.max.bytes", "streams.retention.max.bytes"),
            ("log.level", "logging.level"),
            ("Port", "port"),
            ("server.port", "port"),
            ("streams.compact", "streams.compact.enabled"),
            ("tls.certificate", "tls.cert"),
        ] {
            assert_eq!(nearest(slip, keys), Some(meant), "{slip}");
        }
    }
}
