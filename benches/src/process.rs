//! Servers in processes of their own, and what the system says of them. Owns starting, ending and weighing them; knows
//! nothing of what they serve.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Failure, directory};

/// A running server. It is killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    address: SocketAddr,
    peer_address: Option<SocketAddr>,
    ready_after: Duration,
}

impl ServerProcess {
    /// Starts the server that is measured, with every setting at its default, on this data directory.
    pub(crate) fn liftbridged(data: &Path) -> Result<Self, Failure> {
        Self::start(liftbridged(data)?)
    }

    /// Starts one as a member of a cluster: that of the server that others find at `seed`, or a new one.
    pub(crate) fn member(data: &Path, seed: Option<SocketAddr>) -> Result<Self, Failure> {
        let mut command = liftbridged(data)?;
        command.args(["--cluster-listen", "127.0.0.1:0"]);
        if let Some(seed) = seed {
            command.arg("--join").arg(seed.to_string());
        }
        Self::start(command)
    }

    /// Starts a member again on its data, where the others look for it.
    pub(crate) fn member_again(data: &Path, peer_address: SocketAddr) -> Result<Self, Failure> {
        let mut command = liftbridged(data)?;
        command.arg("--cluster-listen").arg(peer_address.to_string());
        Self::start(command)
    }

    /// Starts the receiver of a bare copy.
    pub(crate) fn file_receiver(file: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(directory::binaries()?.join("file-receiver"));
        command.arg(file);
        Self::start(command)
    }

    /// Starts the server that does nothing.
    pub(crate) fn noop() -> Result<Self, Failure> {
        Self::start(Command::new(directory::binaries()?.join("noop-server")))
    }

    fn start(mut command: Command) -> Result<Self, Failure> {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LIFTBRIDGE_")) {
            command.env_remove(name);
        }
        let begun = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        // From here on it is killed when anything fails.
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self { child, address: unknown, peer_address: None, ready_after: Duration::ZERO };
        let line = process.ready_line()?;
        let address = |name| line.split_whitespace().find_map(|word| word.strip_prefix(name)).map(str::parse);
        process.address =
            address("grpc=").ok_or_else(|| format!("a server ended, or said `{}`", line.trim_end()))??;
        process.peer_address = address("peer=").transpose()?;
        process.ready_after = begun.elapsed();
        Ok(process)
    }

    /// Waits for the line that says where it serves.
    fn ready_line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        BufReader::new(self.child.stdout.take().ok_or("its output is piped")?).read_line(&mut line)?;
        Ok(line)
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where other servers find it.
    pub(crate) fn peer_address(&self) -> Result<SocketAddr, Failure> {
        Ok(self.peer_address.ok_or("the server listens to no other servers")?)
    }

    /// How long it took from its start until it served.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn terminate(mut self) -> Result<(), Failure> {
        let id = Pid::from_raw(i32::try_from(self.child.id())?).ok_or("a process id is not 0")?;
        kill_process(id, Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("a server that was asked to stop ended with {status}").into())
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Its resident memory.
    pub(crate) fn resident_kib(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no memory in its status")?;
        Ok(line.trim().trim_end_matches("kB").trim_end().parse()?)
    }

    /// Its open files, sockets and the like.
    pub(crate) fn open_files(&self) -> Result<u64, Failure> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count() as u64)
    }

    /// How long its threads have run on a processor, the threads that are gone left out.
    pub(crate) fn processor_time(&self) -> Result<Duration, Failure> {
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end meanwhile.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may be gone already; nobody could do anything about another error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn liftbridged(data: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(directory::binaries()?.join("liftbridged"));
    command.arg("--data-dir").arg(data);
    command.args(["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--level", "error"]);
    Ok(command)
}
