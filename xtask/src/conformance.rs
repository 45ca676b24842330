//! Runs the unchanged Go client against a fresh server. Owns building and starting both; what is checked is the Go
//! program in `conformance/go`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::workspace::{Failure, cargo, root, run as run_command};

/// Runs the program, or says loudly that it was not run.
pub(crate) fn run() -> Result<(), Failure> {
    if Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("CONFORMANCE NOT RUN: Go is not installed here, so nothing was shown about the Go client.");
        return Ok(());
    }
    run_command(&mut cargo(["build", "--locked", "--package", "liftbridged"]))?;
    let data = DataDirectory::create()?;
    let server = Server::start(&data.path)?;
    let mut program = Command::new("go");
    program.args(["run", "."]).current_dir(root().join("conformance/go")).env("LIFTBRIDGE_ADDRESS", &server.address);
    run_command(&mut program)
}

/// A fresh data directory that goes when the run ends.
struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    fn create() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("liftbridge-conformance-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|error| Failure(format!("cannot create {}: {error}", path.display())))?;
        Ok(Self { path })
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// A server of its own, ended when the run ends.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(data: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure(format!("cannot start liftbridged: {error}"));
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let mut process = Command::new(target.join("debug/liftbridged"))
            .args(["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let output = process.stdout.take().ok_or_else(|| Failure("liftbridged has no output".to_owned()))?;
        let address = ready_address(BufReader::new(output));
        let mut server = Self { process, address: String::new() };
        server.address = address.ok_or_else(|| Failure("liftbridged ended before it was ready".to_owned()))?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already when either fails, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the line that a server prints once it serves.
fn ready_address(output: impl BufRead) -> Option<String> {
    for line in output.lines() {
        let line = line.ok()?;
        let Some(ready) = line.strip_prefix("liftbridged ready: ") else { continue };
        return ready.split_whitespace().find_map(|part| part.strip_prefix("grpc=")).map(str::to_owned);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_comes_from_the_ready_line() {
        let output = "starting\nliftbridged ready: grpc=127.0.0.1:4001 http=127.0.0.1:4002 data=/tmp/x\n";
        assert_eq!(ready_address(output.as_bytes()).as_deref(), Some("127.0.0.1:4001"));
        assert_eq!(ready_address("failed\n".as_bytes()), None);
    }
}
