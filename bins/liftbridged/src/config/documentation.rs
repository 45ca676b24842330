//! Every flag and every setting as a page for people. Owns its text; docs/configuration.md is a copy of it.

use std::fmt;

use super::keys::{KEYS, Key, Status};

/// The page, in Markdown: what `liftbridged --settings` prints.
#[derive(Clone, Debug)]
pub(crate) struct Documentation {
    /// Flags as they are typed, each with what it does.
    pub(crate) flags: Vec<(String, String)>,
}

const INTRODUCTION: &str = "\
# Configuration

`liftbridged` starts without any configuration. What it is told comes, the stronger first, from flags, from environment
variables, from the YAML file given with `--config`, and from the defaults below.

- In the file, names may be nested, dotted or a mix of both, in any case: `streams.retention.max.bytes: 1024` is the same
  as `streams: {retention.max: {bytes: 1024}}`. An unknown name stops the start, with the nearest known one.
- An environment variable is the name in upper case with underscores, after `LIFTBRIDGE_`: `LIFTBRIDGE_LOGGING_LEVEL`. It
  works with and without a file. One set to nothing counts as unset; an unknown one is ignored with a warning.
- Durations are written as in Go: `1h30m`, `250ms`. A bare number is nanoseconds. Sizes are bytes. Lists are YAML lists,
  or texts with commas.
- A setting of a feature that is still to come stops the start unless it has its default value, which asks for nothing.

## Flags

| flag | sets |
| --- | --- |
";

const SETTINGS: &str = "
## Settings

| name | kind | default | meaning |
| --- | --- | --- | --- |
";

const SIGNALS: &str = "
## Signals

SIGTERM and SIGINT stop the server: it takes nothing new, finishes what was accepted, and exits with 0; a second one stops
it at once. SIGHUP reads `tls.cert`, `tls.key` and `tls.client.auth.ca` again, and those of `clustering.tls`, for connections
to come; files that cannot be used change nothing and are logged.
";

impl fmt::Display for Documentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(INTRODUCTION)?;
        for (flag, about) in &self.flags {
            writeln!(f, "| `{flag}` | {about} |")?;
        }
        f.write_str(SETTINGS)?;
        for key in KEYS {
            let default = key.default.filter(|default| !default.is_empty()).map(|default| format!("`{default}`"));
            let default = default.unwrap_or_else(|| "unset".to_owned());
            writeln!(f, "| `{}` | {} | {default} | {} |", key.name, key.kind, meaning(key))?;
        }
        f.write_str(SIGNALS)
    }
}

fn meaning(key: &Key) -> String {
    match key.status {
        Status::Works => key.about.to_owned(),
        Status::NoEffect(reason) => format!("{} No effect: {reason}.", key.about),
        Status::Later(feature) => format!("{} Needs {feature}, still to come.", key.about),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_in_the_repository_is_the_one_that_is_printed() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let expected = Documentation { flags: crate::arguments::flags() }.to_string();
        assert!(found == expected, "run `liftbridged --settings >docs/configuration.md`");
    }
}
