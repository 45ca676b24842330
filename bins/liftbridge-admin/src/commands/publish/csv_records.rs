//! CSV records as they stand, with the key from one column. Owns where a record ends; never changes a byte of it.

use std::io::BufRead;

use bytes::Bytes;

use crate::commands::publish::input::Entry;
use crate::commands::publish::lines::{LINE_BYTES_MAX, Lines};
use crate::failure::Failure;

/// The records after the header row. Blank lines between records are left out.
pub(super) struct CsvRecords<R> {
    lines: Lines<R>,
    key_column: Option<usize>,
}

impl<R: BufRead> CsvRecords<R> {
    /// Reads the header row and finds the key's column in it.
    pub(super) fn new(mut lines: Lines<R>, key_column: Option<&str>) -> Result<Self, Failure> {
        let header = match next_record(&mut lines)? {
            Some(record) => fields(&record).map_err(|error| lines.bad_input(error.to_string()))?,
            None => return Err(lines.bad_input("there is no header row".to_owned())),
        };
        let position = |name: &str| {
            let found = header.iter().position(|field| field == name.as_bytes());
            found.ok_or_else(|| {
                let known: Vec<_> = header.iter().map(|name| String::from_utf8_lossy(name)).collect();
                lines.bad_input(format!("there is no column `{name}`, only {}", known.join(", ")))
            })
        };
        let key_column = key_column.map(position).transpose()?;
        Ok(Self { lines, key_column })
    }

    fn entry(&self, record: Vec<u8>) -> Result<Entry, Failure> {
        let key = match self.key_column {
            None => None,
            Some(column) => {
                let fields = fields(&record).map_err(|error| self.lines.bad_input(error.to_string()))?;
                let key =
                    fields.get(column).ok_or_else(|| self.lines.bad_input("the key's column is missing".to_owned()))?;
                Some(Bytes::copy_from_slice(key))
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

fn fields(record: &[u8]) -> Result<csv::ByteRecord, csv::Error> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record);
    let mut fields = csv::ByteRecord::new();
    reader.read_byte_record(&mut fields)?;
    Ok(fields)
}
