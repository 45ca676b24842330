//! `log verify`: every checksum of a log, and what the server would find at its next start. Owns where both are looked for; never
//! what they come to (`verdict`) nor the judgement, which is the server's own ([`Rehearsal`]).
//!
//! Neither would do alone. A server that opens a log believes the indexes of sealed segments and does not read what they
//! vouch for; a checksum knows nothing of records that are gone, nor of a tail that was never acknowledged.

#[cfg(test)]
mod tests;
mod verdict;

use std::io;
use std::path::Path;

use liftbridge_commitlog::{CommitLog, DirectoryLock, Rehearsal};

use crate::commands::log::{DirectoryArgument, storage};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress;
use verdict::Verdict;

/// Directories from a partition's own up to the data directory: `DATA/streams/7-orders/0` and three above.
const LEVELS: usize = 4;

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    directory: DirectoryArgument,
}

pub(super) fn run(arguments: &VerifyArguments, output: &mut Output) -> Result<(), Failure> {
    let path = &arguments.directory.directory;
    let verdict = judge(path)?;
    output.result(&verdict, || verdict.text())?;
    match verdict.damaged_ranges() {
        0 => Ok(()),
        ranges => Err(Failure::Damaged { path: path.clone(), ranges }),
    }
}

fn judge(path: &Path) -> Result<Verdict, Failure> {
    let storage = storage(path)?;
    if !CommitLog::is_in(&*storage)? {
        return Err(Failure::NoLogFiles { path: path.to_owned() });
    }
    let was_in_use = is_in_use(path);
    let rehearsal = Rehearsal::of(&storage)?;
    // A server may have been started while this looked.
    let in_use = was_in_use || is_in_use(path);
    let mut verdict = Verdict::new(&rehearsal, in_use);
    let files = rehearsal.files();
    let bar = progress::bytes(files.iter().map(|file| file.bytes).sum());
    for (number, file) in files.iter().enumerate() {
        let mut walk = verdict.begin(file, files.get(number + 1));
        match rehearsal.scan(file, |item| walk.take(item).map(|bytes| bar.inc(bytes)).is_some()) {
            // A server lets go of old files at any time.
            Err(error) if in_use && error.source.kind() == io::ErrorKind::NotFound => {}
            scanned => scanned?,
        }
    }
    bar.finish_and_clear();
    Ok(verdict.finish())
}

/// Whether a server has the data directory that `path` is in. Where that cannot be told, nobody is known to have it.
fn is_in_use(path: &Path) -> bool {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    absolute.ancestors().take(LEVELS).any(|directory| DirectoryLock::is_held(directory).unwrap_or(false))
}
