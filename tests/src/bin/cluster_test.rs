//! Runs a cluster of real servers, hurts it, and reads everything back. Owns the command line, the folder of a run and the
//! exit code; `cargo xtask cluster-test` builds and starts it.

use std::process::ExitCode;
use std::time::Duration;

use liftbridge_tests::cluster_test::{Failure, Fault, Plan, Report, Scenario, run};
use liftbridge_tests::dice::fresh_seed;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

/// How long a run goes on when nothing is said, in seconds.
const SECONDS: u64 = 120;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(plan) = plan(&arguments) else {
        let names: Vec<&str> = Fault::ALL.into_iter().map(Fault::name).collect();
        eprintln!("usage: cluster_test [--seed N] [--seconds S] [--nodes 3|5] [--scenario NAME|all] [--data FILE]");
        eprintln!("scenarios: {}, weather", names.join(", "));
        return ExitCode::from(2);
    };
    println!("{}", plan.command());
    match in_folder(&plan).await {
        Ok(report) => {
            println!("\n{report}\n{}", report.json());
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            eprintln!("error: {failure}\nsee it again: {}", plan.command());
            ExitCode::FAILURE
        }
    }
}

/// Runs in a folder that goes when all is well and stays, with the servers' logs and data, when it is not.
async fn in_folder(plan: &Plan) -> Result<Report, Failure> {
    let folder = TempDir::with_prefix("liftbridge-cluster-test-").map_err(|error| Failure(error.to_string()))?;
    let signal = |kind| signal(kind).map_err(|error| Failure(error.to_string()));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // Dropping the run ends its servers and takes away its network and disk.
    let outcome = tokio::select! {
        outcome = run(plan, folder.path()) => outcome,
        _ = interrupt.recv() => return Err(Failure("interrupted".to_owned())),
        _ = terminate.recv() => return Err(Failure("asked to stop".to_owned())),
    };
    if !outcome.as_ref().is_ok_and(Report::is_good) {
        println!("logs and data are kept in {}", folder.keep().display());
    }
    outcome
}

/// What the arguments ask for; `None` when they make no sense.
fn plan(arguments: &[String]) -> Option<Plan> {
    let (mut seed, mut seconds, mut nodes, mut scenario) = (fresh_seed(), SECONDS, 3, Scenario::All);
    let mut data = None;
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--seed" => seed = value.parse().ok()?,
            "--seconds" => seconds = value.parse().ok()?,
            "--nodes" => nodes = value.parse().ok().filter(|nodes| [3, 5].contains(nodes))?,
            "--scenario" => scenario = Scenario::of(value)?,
            "--data" => data = Some(value.into()),
            _ => return None,
        }
    }
    // Only the weather has data.
    let is_sensible = data.is_none() || scenario == Scenario::Weather;
    is_sensible.then(|| Plan { seed, load: Duration::from_secs(seconds), nodes, scenario, data })
}
