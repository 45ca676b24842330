//! Which names a storage accepts. Owns the rule that no name leads out of the volume; never what a name stands for.

use std::io;

/// Whether `name` can name a file in a directory.
pub(super) fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` cannot be the name of a file")));
    }
    Ok(())
}

/// Whether `path` can be that of a directory below the root of a volume; the root itself is empty.
pub(super) fn check_path(path: &str) -> io::Result<()> {
    if path.is_empty() { Ok(()) } else { path.split('/').try_for_each(check_name) }
}

/// Like [`check_path`], without the root, which is neither renamed nor removed.
pub(super) fn check_path_below_root(path: &str) -> io::Result<()> {
    path.split('/').try_for_each(check_name)
}

/// What `path` is called below the directory `parent`: its first name there. `None` when it lies elsewhere.
pub(super) fn child_of<'a>(parent: &str, path: &'a str) -> Option<&'a str> {
    let below = if parent.is_empty() { path } else { path.strip_prefix(parent)?.strip_prefix('/')? };
    below.split('/').next().filter(|name| !name.is_empty())
}

/// `path` after `source` was renamed to `target`; `None` when it lies elsewhere.
pub(super) fn renamed(path: &str, source: &str, target: &str) -> Option<String> {
    let below = path.strip_prefix(source)?;
    (below.is_empty() || below.starts_with('/')).then(|| format!("{target}{below}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, is_legal: bool) {
        assert_eq!(check_path(path).is_ok(), is_legal, "{path:?}");
    }

    #[test]
    fn no_path_leads_out_of_the_volume() {
        check("", true);
        check("orders", true);
        check("orders/0", true);
        check("..", false);
        check("orders/..", false);
        check("orders/./0", false);
        check("/etc", false);
        check("orders//0", false);
        check("orders/", false);
        check("a\\b", false);
        check("a\0", false);
    }

    #[test]
    fn a_child_is_the_first_name_below_its_parent() {
        assert_eq!(child_of("", "orders/0"), Some("orders"));
        assert_eq!(child_of("orders", "orders/0/x"), Some("0"));
        assert_eq!(child_of("orders", "orders"), None);
        assert_eq!(child_of("orders", "orders2/0"), None);
    }

    #[test]
    fn a_rename_moves_what_lies_below() {
        assert_eq!(renamed("a", "a", "b").as_deref(), Some("b"));
        assert_eq!(renamed("a/c", "a", "b").as_deref(), Some("b/c"));
        assert_eq!(renamed("ac", "a", "b"), None);
    }
}
