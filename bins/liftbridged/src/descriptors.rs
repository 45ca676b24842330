//! How many files and connections the process may have open. Owns raising that limit and what of it connections may take;
//! never what opens them.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Lets the process open as many files as the system allows it, and returns how many; `None` = there is no limit.
pub(crate) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            let error = io::Error::from(error);
            warn!(limit = ?limit.current, %error, "cannot raise the limit of open files");
            limit.current
        }
    }
}

/// How many connections there may be where `configured` are asked for: at most half of all descriptors, so that logs can be
/// opened whatever clients do.
pub(crate) fn connections_max(configured: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return configured };
    let share = usize::try_from(limit / 2).unwrap_or(usize::MAX).max(1);
    if share < configured {
        warn!(
            configured,
            connections = share,
            open_files = limit,
            "fewer connections than `limits.connections` are let in: half of the open files the process may have is kept for logs; raise its limit (`ulimit -n`, `LimitNOFILE=`)"
        );
    }
    configured.min(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_what_the_system_allows() {
        let before = getrlimit(Resource::Nofile);
        let Some(maximum) = before.maximum else { return };
        setrlimit(Resource::Nofile, Rlimit { current: Some(maximum - 1), maximum: Some(maximum) }).unwrap();
        assert_eq!(raise_limit(), Some(maximum));
        assert_eq!(getrlimit(Resource::Nofile).current, Some(maximum));
    }

    #[test]
    fn connections_leave_half_of_the_descriptors_to_logs() {
        assert_eq!(connections_max(10_000, Some(1024)), 512);
        assert_eq!(connections_max(10_000, Some(20_000)), 10_000);
        assert_eq!(connections_max(10_000, None), 10_000);
        assert_eq!(connections_max(5, Some(0)), 1);
    }
}
