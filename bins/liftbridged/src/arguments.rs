//! The command line. Owns its flags and which setting each stands for; never what a setting means.

use std::path::PathBuf;

use clap::{ArgAction, CommandFactory as _, Parser};

use crate::config::Raw;

/// The Liftbridge server: durable, replicated streams of messages.
///
/// Starts without any flag. Settings come from flags, then LIFTBRIDGE_ environment variables, then the file; see
/// docs/configuration.md.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "liftbridged", version, disable_version_flag = true)]
pub(crate) struct Arguments {
    /// YAML file with settings.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// `data.dir`: directory everything is kept in.
    #[arg(short, long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// `listen`: address the API is served on.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// `port`: port of the API.
    #[arg(short, long, value_name = "PORT")]
    port: Option<String>,
    /// `http.listen`: address of health and metrics, or `off`.
    #[arg(long, value_name = "HOST:PORT")]
    http_listen: Option<String>,
    /// `logging.level`: debug, info, warn or error.
    #[arg(short, long, value_name = "LEVEL")]
    level: Option<String>,
    /// `tls.cert`: certificate chain of both listeners.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// `tls.key`: key of that certificate.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// `clustering.server.id`: the server's id when its data directory has none yet.
    #[arg(long, visible_alias = "id", value_name = "ID")]
    server_id: Option<String>,
    /// `clustering.namespace`: name of the cluster.
    #[arg(long, visible_alias = "ns", value_name = "NAME")]
    namespace: Option<String>,
    /// `clustering.listen`: address other servers of the cluster find this one at.
    #[arg(long, value_name = "HOST:PORT")]
    cluster_listen: Option<String>,
    /// `clustering.join`: addresses of servers to join the cluster of.
    #[arg(long, value_name = "HOST:PORT")]
    join: Vec<String>,
    /// `clustering.rack`: what this server shares its fate with.
    #[arg(long, value_name = "NAME")]
    rack: Option<String>,
    /// `clustering.raft.bootstrap.seed`: found the cluster.
    #[arg(long)]
    raft_bootstrap_seed: bool,
    /// `clustering.raft.bootstrap.peers`: ids of the servers that found the cluster.
    #[arg(long, value_name = "ID")]
    raft_bootstrap_peers: Vec<String>,
    /// `nats.servers`: NATS servers to connect to (still to come).
    #[arg(short, long, value_name = "URL")]
    nats_servers: Vec<String>,
    /// `nats.embedded`: serve NATS from this process (still to come).
    #[arg(short, long)]
    embedded_nats: bool,
    /// `nats.embedded.config`: configuration of that NATS server (still to come).
    #[arg(long, visible_alias = "nc", value_name = "FILE")]
    embedded_nats_config: Option<String>,
    /// Print every setting with its default and its meaning.
    #[arg(long)]
    pub(crate) settings: bool,
    /// Print the version.
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
}

impl Arguments {
    /// The settings that were given: the flag, the setting's name, its value.
    pub(crate) fn given(&self) -> Vec<(&'static str, &'static str, Raw)> {
        let text = |value: &Option<String>| value.clone().map(Raw::Text);
        let list = |values: &Vec<String>| (!values.is_empty()).then(|| Raw::List(values.clone()));
        let flag = |given: bool| given.then(|| Raw::Text("true".to_owned()));
        let given = [
            ("--data-dir", "data.dir", text(&self.data_dir)),
            ("--listen", "listen", text(&self.listen)),
            ("--port", "port", text(&self.port)),
            ("--http-listen", "http.listen", text(&self.http_listen)),
            ("--level", "logging.level", text(&self.level)),
            ("--tls-cert", "tls.cert", text(&self.tls_cert)),
            ("--tls-key", "tls.key", text(&self.tls_key)),
            ("--server-id", "clustering.server.id", text(&self.server_id)),
            ("--namespace", "clustering.namespace", text(&self.namespace)),
            ("--cluster-listen", "clustering.listen", text(&self.cluster_listen)),
            ("--join", "clustering.join", list(&self.join)),
            ("--rack", "clustering.rack", text(&self.rack)),
            ("--raft-bootstrap-seed", "clustering.raft.bootstrap.seed", flag(self.raft_bootstrap_seed)),
            ("--raft-bootstrap-peers", "clustering.raft.bootstrap.peers", list(&self.raft_bootstrap_peers)),
            ("--nats-servers", "nats.servers", list(&self.nats_servers)),
            ("--embedded-nats", "nats.embedded", flag(self.embedded_nats)),
            ("--embedded-nats-config", "nats.embedded.config", text(&self.embedded_nats_config)),
        ];
        given.into_iter().filter_map(|(flag, name, raw)| Some((flag, name, raw?))).collect()
    }
}

/// Every flag as it is typed, with what it does.
pub(crate) fn flags() -> Vec<(String, String)> {
    let command = Arguments::command();
    let document = |argument: &clap::Arg| {
        let long = argument.get_long_and_visible_aliases().unwrap_or_default().into_iter().map(|n| format!("--{n}"));
        let short = argument.get_short().map(|name| format!("-{name}"));
        let names: Vec<String> = long.chain(short).collect();
        (names.join("`, `"), argument.get_help().map(ToString::to_string).unwrap_or_default())
    };
    command.get_arguments().filter(|argument| argument.get_id() != "help").map(document).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[(&str, &str)]) {
        let arguments = Arguments::try_parse_from(line.split_whitespace()).unwrap();
        let given = arguments.given();
        let given: Vec<(&str, String)> = given.iter().map(|(_, name, raw)| (*name, raw.to_string())).collect();
        let given: Vec<(&str, &str)> = given.iter().map(|(name, raw)| (*name, raw.as_str())).collect();
        assert_eq!(given, expected, "{line}");
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_flag_sets_nothing() {
        check("liftbridged", &[]);
    }

    #[test]
    fn short_and_long_forms_and_aliases_set_the_same() {
        check("liftbridged -d /x -p 1 -l debug", &[("data.dir", "/x"), ("port", "1"), ("logging.level", "debug")]);
        check("liftbridged --id a --ns b", &[("clustering.server.id", "a"), ("clustering.namespace", "b")]);
        check("liftbridged -e --nc f", &[("nats.embedded", "true"), ("nats.embedded.config", "f")]);
        check("liftbridged -n a,b -n c", &[("nats.servers", "[a,b, c]")]);
        check("liftbridged --raft-bootstrap-seed", &[("clustering.raft.bootstrap.seed", "true")]);
    }
}
