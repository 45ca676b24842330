//! A progress bar for people: on standard error, and only when that is a terminal.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const BYTES: &str = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
const COUNT: &str = "{bar:40} {pos}/{len} {per_sec} {eta}";
const UNKNOWN: &str = "{spinner} {pos} {per_sec}";

/// A bar over so many bytes.
pub(crate) fn bytes(total: u64) -> ProgressBar {
    bar(Some(total), BYTES)
}

/// A bar over so many messages, or a count of them when their number is not known.
pub(crate) fn messages(total: Option<u64>) -> ProgressBar {
    bar(total, if total.is_some() { COUNT } else { UNKNOWN })
}

fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    let target = if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(total, target);
    // The templates are constants; a test reads each of them.
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for template in [BYTES, COUNT, UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
