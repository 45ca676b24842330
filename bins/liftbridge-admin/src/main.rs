//! The Liftbridge command line. Owns arguments, output and exit codes; everything it knows of a cluster it knows through
//! `liftbridge-client`, and of a data directory through `liftbridge-commitlog`.

mod arguments;
mod commands;
mod connection;
mod failure;
mod message_view;
mod output;
mod progress;
mod storage_view;
mod values;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&failure::Failure::Runtime(error)),
    };
    let outcome = runtime.block_on(commands::run(arguments));
    // A thread that still waits for standard input must not keep the process alive.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure::report(&failure),
    }
}
