//! What is logged, to standard error. Owns which parts of the server are heard at which level.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Logging;

/// Libraries that tell more than an operator of this server wants to know.
const CHATTY: &[&str] = &["h2", "hyper", "hyper_util", "rustls", "tonic", "tower"];
/// What opens partitions.
const RECOVERY: &[&str] = &["liftbridge_commitlog", "liftbridge_broker::partition"];
/// What agrees on metadata.
const RAFT: &[&str] = &["liftbridge_metadata_raft", "raft"];

/// Begins to log.
pub(crate) fn start(logging: &Logging) {
    let to_stderr =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(to_stderr).with(targets(logging)).init();
}

fn targets(logging: &Logging) -> Targets {
    let level = logging.level.parse().unwrap_or(Level::INFO);
    let mut targets = Targets::new().with_default(level);
    targets = targets.with_targets(CHATTY.iter().map(|target| (*target, level.min(Level::INFO))));
    for (wanted, parts) in [(logging.recovery, RECOVERY), (logging.raft, RAFT)] {
        if wanted {
            targets = targets.with_targets(parts.iter().map(|target| (*target, Level::DEBUG)));
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logging(level: &str, raft: bool) -> Targets {
        targets(&Logging { level: level.to_owned(), recovery: false, raft })
    }

    #[test]
    fn the_level_applies_to_the_server_and_debug_not_to_its_libraries() {
        assert!(logging("debug", false).would_enable("liftbridge_broker", &Level::DEBUG));
        assert!(!logging("debug", false).would_enable("h2", &Level::DEBUG));
        assert!(!logging("error", false).would_enable("h2", &Level::INFO));
        assert!(!logging("warn", false).would_enable("liftbridge_broker", &Level::INFO));
    }

    #[test]
    fn one_part_can_be_heard_in_detail() {
        assert!(logging("info", true).would_enable("liftbridge_metadata_raft::raft_node", &Level::DEBUG));
        assert!(!logging("info", false).would_enable("liftbridge_metadata_raft::raft_node", &Level::DEBUG));
    }
}
