//! Where the messages come from. Owns the thread that reads; the async side never blocks on a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::commands::publish::PublishArguments;
use crate::commands::publish::csv_records::CsvRecords;
use crate::commands::publish::lines::Lines;
use crate::failure::Failure;

/// Entries read ahead.
const READ_AHEAD_MAX: usize = 1024;

/// The file name that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// One message to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Option<Bytes>,
    pub(super) value: Bytes,
}

/// The messages to publish, in order.
#[derive(Debug)]
pub(super) struct Input {
    entries: mpsc::Receiver<Result<Entry, Failure>>,
}

impl Input {
    /// Opens what the arguments name. What does not exist shows here, before anything is sent.
    pub(super) fn open(arguments: &PublishArguments) -> Result<Self, Failure> {
        let (reader, place): (Box<dyn BufRead + Send>, _) = match (&arguments.message, &arguments.file) {
            (Some(message), _) => return Ok(Self::of_one(message)),
            (None, Some(path)) if path != Path::new(STANDARD_INPUT) => {
                (Box::new(BufReader::new(open_file(path)?)), path.clone())
            }
            (None, _) => (Box::new(BufReader::new(io::stdin())), PathBuf::from("standard input")),
        };
        let lines = Lines::new(reader, place);
        if arguments.csv {
            Self::from_iterator(CsvRecords::new(lines, arguments.key_column.as_deref())?)
        } else {
            Self::from_iterator(lines.map(|line| line.map(|value| Entry { key: None, value: value.into() })))
        }
    }

    fn of_one(message: &str) -> Self {
        let (sender, entries) = mpsc::channel(1);
        // There is room for one.
        let _ = sender.try_send(Ok(Entry { key: None, value: message.to_owned().into() }));
        Self { entries }
    }

    fn from_iterator(source: impl Iterator<Item = Result<Entry, Failure>> + Send + 'static) -> Result<Self, Failure> {
        let (sender, entries) = mpsc::channel(READ_AHEAD_MAX);
        let read = move || {
            for entry in source {
                let failed = entry.is_err();
                if sender.blocking_send(entry).is_err() || failed {
                    return;
                }
            }
        };
        thread::Builder::new().name("input".to_owned()).spawn(read).map_err(Failure::Runtime)?;
        Ok(Self { entries })
    }

    /// The next message; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, Failure> {
        self.entries.recv().await.transpose()
    }
}

fn open_file(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|source| Failure::ReadFile { path: path.to_owned(), source })
}
