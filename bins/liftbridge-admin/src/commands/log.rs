//! `log`: looking into the files of one partition, offline. Reads only. A server need not be stopped for it, but then what is seen
//! is how the files were at one moment.

mod dump;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use liftbridge_commitlog::scan::{LogFile, log_files};
use liftbridge_commitlog::{DiskVolume, Storage, Volume};

use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Print the batches and records of a partition's log.
    Dump(dump::DumpArguments),
    /// Check every checksum of a partition's log, and what the server would find at its next start; exit code 1 when anything is
    /// damaged or gone.
    Verify(verify::VerifyArguments),
}

pub(crate) fn run(command: &LogCommand, output: &mut Output) -> Result<(), Failure> {
    match command {
        LogCommand::Dump(arguments) => dump::run(arguments, output),
        LogCommand::Verify(arguments) => verify::run(arguments, output),
    }
}

/// The log in a directory: its storage and its files, at least one.
fn open(path: &Path) -> Result<(Arc<dyn Storage>, Vec<LogFile>), Failure> {
    let storage = storage(path)?;
    let files = log_files(&*storage)?;
    if files.is_empty() {
        return Err(Failure::NoLogFiles { path: path.to_owned() });
    }
    Ok((storage, files))
}

/// A directory that there is.
fn storage(path: &Path) -> Result<Arc<dyn Storage>, Failure> {
    match std::fs::read_dir(path) {
        Ok(_) => Ok(DiskVolume::new(path).directory("")),
        Err(source) => Err(Failure::ReadFile { path: path.to_owned(), source }),
    }
}

/// Which log to look into.
#[derive(Debug, clap::Args)]
struct DirectoryArgument {
    /// Directory of one partition, such as DATA/streams/7-orders/0.
    directory: PathBuf,
}
