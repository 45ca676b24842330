//! Standard output: tables or JSON, buffered. Owns how results look; never what they are.

use std::io::{self, BufWriter, Stdout, Write};

use clap::ValueEnum;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use crate::failure::Failure;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables and sentences.
    Table,
    /// JSON; one object per line where there are many.
    Json,
}

/// Where results go.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, stdout: BufWriter::with_capacity(64 * 1024, io::stdout()) }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// One result: as JSON, or as `text` says it.
    pub(crate) fn result(&mut self, result: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(result)?,
            Format::Table => self.line(text().trim_end())?,
        }
        self.flush()
    }

    /// One object on a line of its own.
    pub(crate) fn json(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.stdout, object).map_err(io::Error::from)?;
        Ok(self.stdout.write_all(b"\n")?)
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.bytes_line(line.as_bytes())
    }

    pub(crate) fn bytes_line(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.stdout.write_all(line)?;
        Ok(self.stdout.write_all(b"\n")?)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }
}

/// A table without lines: readable, and still easy on `awk`.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header.to_vec());
    table.add_rows(rows);
    table.trim_fmt()
}
