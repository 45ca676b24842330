//! Starts the cluster test of the `tests` package. Owns the command line and the building; the test itself is there.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::workspace::{Failure, cargo, root, run as run_command};

/// What to do to which cluster.
#[derive(Args)]
pub(crate) struct ClusterTestArguments {
    /// Decides what happens when; a fresh one when left out.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How long there is load, in seconds. The weather takes as long as it has readings.
    #[arg(long, default_value_t = 120)]
    pub(crate) seconds: u64,
    /// How many servers: 3 or 5.
    #[arg(long, default_value_t = 3)]
    pub(crate) nodes: u64,
    /// One fault by its name, `all`, or `weather`. An unknown name prints them.
    #[arg(long, default_value = "all")]
    pub(crate) scenario: String,
    /// A file with the readings of the weather, plain or `.gz`; the project's sample when left out.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Builds in release mode.
    #[arg(long)]
    pub(crate) release: bool,
}

/// Builds the servers as they are and runs the test; it fails when anything acknowledged is lost or copies differ.
pub(crate) fn run(arguments: &ClusterTestArguments) -> Result<(), Failure> {
    // All binaries at once get the features of a build of the workspace: nothing is compiled a second time with others.
    let mut build = cargo(["build", "--quiet", "--locked", "--workspace", "--bins"]);
    if arguments.release {
        build.arg("--release");
    }
    run_command(&mut build)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let binaries = target.join(if arguments.release { "release" } else { "debug" });
    let mut test = Command::new(binaries.join("cluster_test"));
    test.env("LIFTBRIDGE_BIN_DIR", &binaries).current_dir(root());
    if let Some(seed) = arguments.seed {
        test.args(["--seed", &seed.to_string()]);
    }
    test.args(["--seconds", &arguments.seconds.to_string(), "--nodes", &arguments.nodes.to_string()]);
    test.args(["--scenario", &arguments.scenario]);
    if let Some(data) = &arguments.data {
        // The test runs in the project's folder, wherever this was called.
        let data = data.canonicalize().map_err(|error| Failure(format!("{}: {error}", data.display())))?;
        test.arg("--data").arg(data);
    }
    run_command(&mut test)
}
