//! The command line, run as a user runs it. Owns starting it and taking its output; knows no command's meaning.

use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::server::{Server, binary, within};

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Its standard output, after making sure that it succeeded.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "liftbridge-admin failed: {}", self.stderr);
        self.stdout
    }
}

/// Runs `liftbridge-admin` against this server.
pub async fn admin(server: &Server, arguments: &[&str]) -> Ran {
    let address = server.grpc.to_string();
    let mut all = vec!["--address", address.as_str()];
    all.extend(arguments);
    admin_offline(&all).await
}

/// Runs `liftbridge-admin` without naming a server.
pub async fn admin_offline(arguments: &[&str]) -> Ran {
    let mut command = Command::new(binary("liftbridge-admin"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let Output { status, stdout, stderr } =
        within("the end of a command", command.output()).await.expect("liftbridge-admin can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    Ran { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
}
