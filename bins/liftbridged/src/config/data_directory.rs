//! Where data is kept when nobody says. Owns a place that survives a reboot, unlike temporary directories, and does not
//! depend on where the server was started.

use std::ffi::OsString;
use std::path::PathBuf;

/// The last resort, for services without a home.
const SYSTEM_STATE: &str = "/var/lib";

/// `liftbridge/<namespace>` in `$XDG_STATE_HOME`, else in `$HOME/.local/state`, else in `/var/lib`.
pub(crate) fn default(namespace: &str, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.unwrap_or_else(|| PathBuf::from(SYSTEM_STATE)).join("liftbridge").join(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(state: &str, home: &str, expected: &str) {
        let variable = |name: &str| match name {
            "XDG_STATE_HOME" => Some(state.into()),
            "HOME" => Some(home.into()),
            _ => None,
        };
        assert_eq!(default("ns", variable), PathBuf::from(expected));
    }

    #[test]
    fn data_is_kept_where_the_system_keeps_state() {
        check("/state", "/home/ada", "/state/liftbridge/ns");
        check("", "/home/ada", "/home/ada/.local/state/liftbridge/ns");
        check("relative", "/home/ada", "/home/ada/.local/state/liftbridge/ns");
        check("", "", "/var/lib/liftbridge/ns");
    }
}
