//! The unchanged Go client as one more publisher. Owns building and running the program in `conformance/go/load` and what its
//! lines mean; it publishes what `message_id` says.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use liftbridge_client::partition_of_key;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::Failure;
use super::message_id::MessageId;
use super::workload::{GO_PUBLISHER, Load};

/// Builds the program into `folder`; `None` where Go is not installed.
pub(super) async fn build(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    if Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_err() {
        return Ok(None);
    }
    let program = folder.join("load");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/go");
    let mut command = Command::new("go");
    command.args(["build", "-o"]).arg(&program).arg("./load").current_dir(source);
    let output = command.output().await.map_err(|error| Failure::new("go build", error))?;
    if !output.status.success() {
        return Err(Failure::new("go build", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(Some(program))
}

/// Runs the program until the load is over and puts down what it is told.
pub(super) async fn run(program: PathBuf, load: Load) {
    let addresses: Vec<String> = load.servers.iter().map(ToString::to_string).collect();
    let mut command = Command::new(program);
    command.arg(addresses.join(",")).arg(&load.stream).arg(GO_PUBLISHER.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = match command.spawn() {
        Ok(process) => process,
        Err(error) => return load.ledger.failed(&format!("go: {error}")),
    };
    let output = process.stdout.take().expect("stdout is piped");
    let mut lines = BufReader::new(output).lines();
    let mut over = load.over.clone();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line,
            _ = over.wait_for(|over| *over) => break,
        };
        match line {
            Ok(Some(line)) => note(&line, &load),
            Ok(None) | Err(_) => return load.ledger.failed("go: the program ended by itself"),
        }
    }
    // What it was told and did not say any more is not known to be acknowledged.
    let _ = process.kill().await;
}

/// Puts down one line: `acked <sequence> <attempt> <offset> <microseconds it took>`, or `failed <reason>`.
fn note(line: &str, load: &Load) {
    let Some((kind, rest)) = line.split_once(' ') else { return load.ledger.failed("go: a line of one word") };
    match (kind, told(rest)) {
        ("acked", Some((id, offset, took))) => {
            let partition = partition_of_key(id.key().as_bytes(), load.partitions).get();
            let sent = load.ledger.now().saturating_sub(took);
            load.ledger.acked(usize::try_from(partition).expect("it is small"), id, offset, sent);
        }
        _ => load.ledger.failed(&format!("go: {line}")),
    }
}

fn told(numbers: &str) -> Option<(MessageId, u64, Duration)> {
    let mut numbers = numbers.split(' ');
    let (sequence, attempt) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let (offset, took) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some((MessageId { publisher: GO_PUBLISHER, sequence, attempt }, offset, Duration::from_micros(took)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_is_four_numbers() {
        let id = MessageId { publisher: GO_PUBLISHER, sequence: 7, attempt: 1 };
        assert_eq!(told("7 1 42 900"), Some((id, 42, Duration::from_micros(900))));
        assert_eq!(told("7 1 42"), None);
    }
}
