//! Servers as processes of their own: ours, and the one that does nothing. Owns starting, ending and weighing them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct Server {
    process: Child,
    /// Where its gRPC listener is.
    pub address: String,
    /// How long it took until it served.
    pub started_in: Duration,
}

impl Server {
    /// Starts `liftbridged` on this data directory.
    ///
    /// # Panics
    /// When it does not start.
    pub fn liftbridged(data: &Path) -> Self {
        let mut command = Command::new(beside("liftbridged"));
        command.args(["--listen", "127.0.0.1:0", "--http-listen", "off", "--level", "error", "--data-dir"]).arg(data);
        Self::start(&mut command)
    }

    /// Starts the server that answers the same messages and does nothing else.
    ///
    /// # Panics
    /// When it does not start.
    pub fn doing_nothing() -> Self {
        Self::start(&mut Command::new(beside("null-server")))
    }

    fn start(command: &mut Command) -> Self {
        let started = Instant::now();
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the server can be run");
        let mut line = String::new();
        let output = process.stdout.take().expect("stdout is piped");
        BufReader::new(output).read_line(&mut line).expect("the server says when it is ready");
        let address = line.split_whitespace().find_map(|part| part.strip_prefix("grpc="));
        let address = address.unwrap_or_else(|| panic!("no ready line but `{line}`")).to_owned();
        Self { process, address, started_in: started.elapsed() }
    }

    /// Stops it with SIGTERM and waits for its end.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn stop(mut self) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill can be run");
        assert!(sent.success(), "our child can be signalled");
        let status = self.process.wait().expect("a child can be awaited");
        assert!(status.success(), "the server ends with {status}");
    }

    /// Bytes of its resident memory.
    ///
    /// # Panics
    /// When it is not running.
    pub fn resident_bytes(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a running process has VmRSS");
        let kibibytes: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("VmRSS is a number");
        kibibytes * 1024
    }

    /// Files it has open.
    ///
    /// # Panics
    /// When it is not running.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("it is running").count()
    }

    /// Processor time it has used, in clock ticks (of which there are a hundred in a second).
    ///
    /// # Panics
    /// When it is not running.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = self.proc("stat");
        // The second field is the name in brackets and may hold anything; utime and stime are the 12th and 13th after it.
        let after_name = stat.rsplit(") ").next().expect("the name ends");
        let field = |n: usize| after_name.split(' ').nth(n).and_then(|ticks| ticks.parse::<u64>().ok());
        field(11).zip(field(12)).map(|(user, system)| user + system).expect("times are numbers")
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).expect("it is running")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already when either fails, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A binary of the same build.
fn beside(name: &str) -> std::path::PathBuf {
    let own = std::env::current_exe().expect("a program knows its own path");
    own.with_file_name(name)
}
