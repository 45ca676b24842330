//! Real `liftbridged` processes. Owns starting, ending and listening to them; knows nothing of the API.
//!
//! Ports are chosen by the operating system and read from the line a server prints when it serves, so that tests run
//! side by side. Nothing here waits for a time to pass, only for an event, with a deadline that means "it hangs".

mod binaries;
mod output;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub use binaries::binary;
pub use output::Output;

/// How long anything may take before a test says that it hangs. Far beyond what a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Awaits `future`, or panics saying that `what` did not happen.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Lines of its configuration file; none, no file.
    pub config: Vec<String>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Further environment.
    pub environment: Vec<(String, String)>,
    /// Its working directory; the test's own when `None`.
    pub directory: Option<PathBuf>,
}

impl Options {
    /// These options with one more line of configuration.
    #[must_use]
    pub fn with_config(mut self, line: impl Into<String>) -> Self {
        self.config.push(line.into());
        self
    }

    /// These options with one more argument.
    #[must_use]
    pub fn with_argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

/// A server that did not become ready.
#[derive(Debug)]
pub struct Refusal {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said on standard error.
    pub stderr: String,
}

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct Server {
    process: Child,
    /// Where its gRPC listener is.
    pub grpc: SocketAddr,
    /// Where its HTTP listener is.
    pub http: SocketAddr,
    /// Where it listens to other servers, if it does.
    pub peer: Option<SocketAddr>,
    /// The data directory it says it uses.
    pub data: PathBuf,
    stdout: Output,
    stderr: Output,
}

impl Server {
    /// Starts a server on this data directory and waits until it serves.
    pub async fn start(data: &Path) -> Self {
        Self::start_with(data, &Options::default()).await
    }

    /// Starts a server with these options and waits until it serves.
    pub async fn start_with(data: &Path, options: &Options) -> Self {
        match Self::try_start(data, options).await {
            Ok(server) => server,
            Err(refusal) => panic!("liftbridged did not start ({}): {}", refusal.status, refusal.stderr),
        }
    }

    /// Starts a server with these options; an error when it ends instead of serving.
    pub async fn try_start(data: &Path, options: &Options) -> Result<Self, Refusal> {
        let mut command = command(data, options);
        Self::spawn(&mut command).await
    }

    /// Runs a prepared command until it serves or ends.
    pub async fn spawn(command: &mut Command) -> Result<Self, Refusal> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("liftbridged can be run");
        let stdout = Output::collect(process.stdout.take().expect("stdout is piped"));
        let stderr = Output::collect(process.stderr.take().expect("stderr is piped"));
        let ready = within("a server that serves or ends", stdout.line_with("liftbridged ready: ")).await;
        let Some(ready) = ready else {
            let status = within("the end of a refused server", process.wait()).await.expect("a process can be awaited");
            let stderr = within("the end of its output", stderr.all()).await;
            return Err(Refusal { status, stderr });
        };
        let part = |name: &str| ready_part(&ready, name).unwrap_or_else(|| panic!("`{name}` is missing in `{ready}`"));
        let address = |name: &str| part(name).parse().unwrap_or_else(|_| panic!("`{name}` is no address in `{ready}`"));
        let (grpc, http, data) = (address("grpc="), address("http="), PathBuf::from(part("data=")));
        let peer = ready_part(&ready, "peer=").map(|text| text.parse().expect("`peer=` is an address"));
        Ok(Self { process, grpc, http, peer, data, stdout, stderr })
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    pub async fn kill(mut self) {
        self.process.start_kill().expect("a running process can be killed");
        within("the end of a killed server", self.process.wait()).await.expect("a process can be awaited");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.process.id().expect("it is running");
        let id = Pid::from_raw(i32::try_from(id).expect("process ids are small")).expect("a process id is not 0");
        kill_process(id, signal).expect("our child can be signalled");
    }

    /// Waits until it ends by itself.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = within("the end of a server", self.process.wait()).await.expect("a process can be awaited");
        let stderr = within("the end of its output", self.stderr.all()).await;
        (status, stderr)
    }

    /// Stops it with SIGTERM and expects a clean end.
    pub async fn stop(self) {
        self.signal(Signal::TERM);
        let (status, stderr) = self.ended().await;
        assert!(status.success(), "a stopped server ends with {status}: {stderr}");
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id().expect("it is running")
    }

    /// What it said so far on standard error.
    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// What it said so far on standard output.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// Asks its HTTP listener; the status code and the body.
    pub async fn http_get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).await.expect("the HTTP listener accepts");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.http);
        stream.write_all(request.as_bytes()).await.expect("a request can be sent");
        let mut answer = String::new();
        within("an HTTP answer", stream.read_to_string(&mut answer)).await.expect("the answer is text");
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        (status, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- liftbridged said:\n{}---", self.stderr.so_far());
        }
    }
}

/// The command that starts a server with ports of the operating system's choice.
pub fn command(data: &Path, options: &Options) -> Command {
    let mut command = Command::new(binary("liftbridged"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LIFTBRIDGE_")) {
        command.env_remove(name);
    }
    command.env("LIFTBRIDGE_LISTEN", "127.0.0.1:0").env("LIFTBRIDGE_HTTP_LISTEN", "127.0.0.1:0");
    command.arg("--data-dir").arg(data);
    if !options.config.is_empty() {
        let file = data.with_extension("yaml");
        std::fs::write(&file, options.config.join("\n")).expect("the configuration can be written");
        command.arg("--config").arg(file);
    }
    command.args(&options.arguments).envs(options.environment.iter().cloned());
    if let Some(directory) = &options.directory {
        command.current_dir(directory);
    }
    command
}

/// The word after `name` in a ready line.
fn ready_part<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|part| part.strip_prefix(name))
}
