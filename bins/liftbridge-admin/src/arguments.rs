//! What is common to all commands. Owns the global options; each command owns its own in its file.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::commands::Command;
use crate::output::Format;
use crate::values;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed: the message says by whom and why
  2  the command line makes no sense
  3  no broker could be reached
`cluster health` has its own, see its help.";

/// Keeps what all commands have apart from what one of them has.
const GLOBAL_OPTIONS: &str = "Connection and output";

/// Manage a Liftbridge cluster, publish, subscribe, measure, and look into the files of a stopped server.
#[derive(Debug, Parser)]
#[command(name = "liftbridge-admin", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: ConnectionArguments,

    /// How results are written: tables for people, JSON for programs.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, help_heading = GLOBAL_OPTIONS)]
    pub(crate) format: Format,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How the cluster is reached.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = GLOBAL_OPTIONS)]
pub(crate) struct ConnectionArguments {
    /// Broker to ask first, HOST:PORT. Repeat it, or separate several by commas; one that answers is enough.
    #[arg(
        long = "address",
        short = 'a',
        global = true,
        env = "LIFTBRIDGE_ADDRESS",
        default_value = "127.0.0.1:9292",
        value_delimiter = ',',
        value_name = "HOST:PORT"
    )]
    pub(crate) addresses: Vec<String>,

    /// Use TLS, trusting the authorities of the operating system.
    #[arg(long, global = true)]
    pub(crate) tls: bool,

    /// Use TLS, trusting only the authorities in this PEM file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// Use TLS, showing the client certificate in this PEM file.
    #[arg(long, global = true, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of the client certificate, a PEM file.
    #[arg(long, global = true, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// How long to wait for a connection, an answer, or an ack.
    #[arg(long, global = true, default_value = "10s", value_parser = values::duration)]
    pub(crate) timeout: Duration,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_go_by_the_names_people_try_first() {
        for line in [
            "liftbridge-admin streams pause weather --partitions 0,1",
            "liftbridge-admin streams set-readonly weather --partitions 0 --partition 1",
            "liftbridge-admin bench publish --messages 10",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn addresses_are_repeated_or_separated_by_commas() {
        let line = ["liftbridge-admin", "-a", "a:1,b:2", "--address", "c:3", "cluster", "status"];
        assert_eq!(Arguments::parse_from(line).connection.addresses, ["a:1", "b:2", "c:3"]);
    }
}
