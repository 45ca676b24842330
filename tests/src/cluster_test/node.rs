//! One server and its lives. Owns its process, its addresses, which stay the same, and what it says; knows nothing of the
//! others.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;

use super::Failure;
use crate::server::{Options, Server, command};

/// How long a server may take until it serves. It waits for a majority of the others.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long a server that was asked to stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);
/// Lines of what a server said last that are shown when it does not start.
const LAST_LINES: usize = 12;

/// One server, running or not.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: String,
    /// Where clients reach it.
    pub(super) address: SocketAddr,
    options: Options,
    data: PathBuf,
    /// Everything it ever said.
    log: PathBuf,
    namespace: Option<String>,
    server: Option<Server>,
    is_frozen: bool,
}

impl Node {
    /// A server that has not been started.
    pub(super) fn new(
        id: String,
        address: SocketAddr,
        options: Options,
        folder: &Path,
        namespace: Option<String>,
    ) -> Self {
        let (data, log) = (folder.join("data"), folder.with_extension("log"));
        Self { id, address, options, data, log, namespace, server: None, is_frozen: false }
    }

    /// Where it keeps its data.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Whether it can answer.
    pub(super) fn is_up(&self) -> bool {
        self.server.is_some() && !self.is_frozen
    }

    /// Starts it and waits until it serves.
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        let mut command = self.command();
        let started = tokio::time::timeout(READY_MAX, Server::spawn(&mut command)).await;
        match started {
            Ok(Ok(server)) => {
                self.server = Some(server);
                Ok(())
            }
            Ok(Err(refusal)) => Err(self.trouble(format!("ended with {} instead of serving", refusal.status))),
            Err(_) => Err(self.trouble(format!("did not serve within {READY_MAX:?}"))),
        }
    }

    /// Kills it, as `kill -9` does.
    pub(super) async fn kill(&mut self) {
        self.is_frozen = false;
        if let Some(server) = self.server.take() {
            server.kill().await;
        }
    }

    /// Asks it to stop and waits until it has.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let Some(server) = self.server.take() else { return Ok(()) };
        server.signal(Signal::TERM);
        let ended = tokio::time::timeout(STOP_MAX, server.ended()).await;
        match ended {
            Ok((status, _)) if ExitStatus::success(&status) => Ok(()),
            Ok((status, _)) => Err(self.trouble(format!("ended with {status} when asked to stop"))),
            Err(_) => Err(self.trouble(format!("did not stop within {STOP_MAX:?}"))),
        }
    }

    /// Lets it do nothing at all until it is thawed.
    pub(super) fn freeze(&mut self) {
        if let Some(server) = &self.server {
            server.signal(Signal::STOP);
            self.is_frozen = true;
        }
    }

    /// Lets it go on as if nothing had been.
    pub(super) fn thaw(&mut self) {
        if let Some(server) = &self.server {
            server.signal(Signal::CONT);
            self.is_frozen = false;
        }
    }

    /// The newest term in which it was elected to decide about metadata.
    pub(super) fn last_term_led(&self) -> Option<u64> {
        let said = fs::read_to_string(&self.log).ok()?;
        said.lines().filter_map(led_term).max()
    }

    /// The command that starts it: in its namespace, if it has one, and with what it says added to its log.
    fn command(&self) -> Command {
        let server = command(&self.data, &self.options);
        let server = server.as_std();
        let mut command = Command::new("sh");
        command.args(["-c", "log=\"$1\"; shift; exec \"$@\" 2>>\"$log\"", "sh"]).arg(&self.log);
        if let Some(namespace) = &self.namespace {
            command.args(["ip", "netns", "exec", namespace]);
        }
        command.arg(server.get_program()).args(server.get_args());
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn trouble(&self, what: String) -> Failure {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let mut last: Vec<&str> = said.lines().rev().take(LAST_LINES).collect();
        last.reverse();
        Failure(format!("{} {what}; it said last:\n  {}", self.id, last.join("\n  ")))
    }
}

/// The term in a line that tells of an election won.
fn led_term(line: &str) -> Option<u64> {
    let rest = line.split_once("became leader at term ")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_is_known_by_what_it_says() {
        assert_eq!(led_term("INFO raft: became leader at term 12, raft_id: 1"), Some(12));
        assert_eq!(led_term("INFO raft: became follower at term 13, raft_id: 1"), None);
    }
}
