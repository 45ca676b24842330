//! Where the binaries under test are. Owns building them; knows nothing of what they do.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The path of one of our binaries, built from the sources as they are.
///
/// The first call of a test process runs `cargo build` for both binaries: cargo alone knows whether they are up to date,
/// and a test of yesterday's server proves nothing. When `LIFTBRIDGE_BIN_DIR` is set they are taken from there as they are.
pub fn binary(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(directory).join(name)
}

fn directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("LIFTBRIDGE_BIN_DIR") {
        return directory.into();
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    // <target>/<profile>/deps/<test>: the binaries are two folders up.
    let directory = test.ancestors().nth(2).expect("tests lie in the target directory").to_path_buf();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // All binaries at once get the features of a build of the workspace, which the tests were built with: nothing is
    // compiled a second time with others.
    build.args(["build", "--quiet", "--locked", "--workspace", "--bins"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if directory.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().expect("cargo can be run");
    assert!(status.success(), "the binaries under test cannot be built");
    directory
}
