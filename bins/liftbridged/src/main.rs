//! The Liftbridge server process: reads its configuration, puts the parts together, obeys signals.
//!
//! Owns the order of starting and stopping, and exit codes. It never knows a rule of the domain.

mod arguments;
mod config;
mod descriptors;
mod logging;
mod process;
mod signals;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use arguments::Arguments;
use config::{Config, ConfigError, Documentation, Settings};

/// Exit code for a command line that cannot be read.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return answer(&error),
    };
    if arguments.settings {
        return print(&Documentation { flags: arguments::flags() });
    }
    let config = match configure(&arguments) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    match process::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn configure(arguments: &Arguments) -> Result<Config, ConfigError> {
    let settings = Settings::collect(arguments.config.as_deref(), std::env::vars_os(), arguments.given())?;
    Config::new(settings, |name| std::env::var_os(name))
}

/// Whoever reads may stop reading before the end.
fn print(page: &Documentation) -> ExitCode {
    match write!(std::io::stdout(), "{page}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// One line that says what to do.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("liftbridged: {error}");
    ExitCode::FAILURE
}

/// Help and version are asked for and so go to standard output; anything else is a mistake, told in one line.
fn answer(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let text = error.to_string();
    let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    eprintln!("liftbridged: {reason} (see `liftbridged --help`)");
    ExitCode::from(USAGE)
}
