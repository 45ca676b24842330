//! CSV records as they stand, with the key from one column. Owns where a record ends; never changes a byte of it.

use std::io::BufRead;

use bytes::Bytes;

use crate::commands::publish::input::Entry;
use crate::commands::publish::lines::{LINE_BYTES_MAX, Lines};
use crate::failure::Failure;

/// The records after the header row. Blank lines between records are left out.
pub(super) struct CsvRecords<R> {
    lines: Lines<R>,
    fields: Fields,
    key_column: Option<usize>,
}

impl<R: BufRead> CsvRecords<R> {
    /// Reads the header row and finds the key's column in it.
    pub(super) fn new(mut lines: Lines<R>, key_column: Option<&str>) -> Result<Self, Failure> {
        let Some(header) = next_record(&mut lines)? else {
            return Err(lines.bad_input("there is no header row".to_owned()));
        };
        let mut fields = Fields::new();
        let names: Vec<_> = fields.of(&header).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let position = |column: &str| {
            let found = names.iter().position(|name| name == column);
            found.ok_or_else(|| lines.bad_input(format!("there is no column `{column}`, only {}", names.join(", "))))
        };
        let key_column = key_column.map(position).transpose()?;
        Ok(Self { lines, fields, key_column })
    }

    fn entry(&mut self, record: Vec<u8>) -> Result<Entry, Failure> {
        let key = match self.key_column {
            None => None,
            Some(column) => {
                let key = self.fields.of(&record).nth(column).map(Bytes::copy_from_slice);
                Some(key.ok_or_else(|| self.lines.bad_input("the key's column is missing".to_owned()))?)
            }
        };
        Ok(Entry { key, value: record.into() })
    }
}

impl<R: BufRead> Iterator for CsvRecords<R> {
    type Item = Result<Entry, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        match next_record(&mut self.lines) {
            Ok(Some(record)) => Some(self.entry(record)),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// The lines up to the next one that ends outside of quotes.
fn next_record<R: BufRead>(lines: &mut Lines<R>) -> Result<Option<Vec<u8>>, Failure> {
    let mut record: Vec<u8> = Vec::new();
    let mut is_quoted = false;
    while let Some(line) = lines.next().transpose()? {
        if !is_quoted && line.is_empty() {
            continue;
        }
        if is_quoted {
            record.push(b'\n');
        }
        record.extend_from_slice(&line);
        if record.len() > LINE_BYTES_MAX {
            return Err(lines.bad_input(format!("record is longer than {LINE_BYTES_MAX} bytes")));
        }
        // A quote inside quotes is doubled, so that it leaves the count even.
        is_quoted ^= line.iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
        if !is_quoted {
            return Ok(Some(record));
        }
    }
    if is_quoted { Err(lines.bad_input("a quote is not closed".to_owned())) } else { Ok(None) }
}

/// Takes records apart, with memory that is used again.
struct Fields {
    reader: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Fields {
    fn new() -> Self {
        Self { reader: csv_core::Reader::new(), text: Vec::new(), ends: Vec::new() }
    }

    /// The fields of one whole record, without their quotes.
    fn of(&mut self, record: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.reader.reset();
        // Unquoting never adds a byte, and there is a comma between any two fields.
        self.text.resize(record.len(), 0);
        self.ends.resize(record.iter().filter(|&&byte| byte == b',').count() + 1, 0);
        let (_, _, written, found) = self.reader.read_record(record, &mut self.text, &mut self.ends);
        // The empty input says that the record ends here.
        let (_, _, _, last) = self.reader.read_record(&[], &mut self.text[written..], &mut self.ends[found..]);
        let mut start = 0;
        let text = &self.text;
        self.ends[..found + last].iter().map(move |&end| &text[std::mem::replace(&mut start, end)..end])
    }
}
