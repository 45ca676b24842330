//! `log`: looking into the files of one partition, offline. Reads only; the server has to be stopped for a steady picture.

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
    /// Check every checksum of a partition's log; exit code 1 when anything is damaged.
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
    if let Err(source) = std::fs::read_dir(path) {
        return Err(Failure::ReadFile { path: path.to_owned(), source });
    }
    let storage = DiskVolume::new(path).directory("");
    let files = log_files(&*storage)?;
    if files.is_empty() {
        return Err(Failure::NoLogFiles { path: path.to_owned() });
    }
    Ok((storage, files))
}

/// Which log to look into.
#[derive(Debug, clap::Args)]
struct DirectoryArgument {
    /// Directory of one partition, such as DATA/streams/7-orders/0.
    directory: PathBuf,
}
