//! Lines of any bytes, of bounded length.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use crate::failure::Failure;

/// The longest line or CSV record, in bytes. No server takes a larger message.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The lines of a reader without their ends, which are LF or CR LF.
pub(super) struct Lines<R> {
    reader: R,
    place: PathBuf,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Reads from `reader`, which errors call `place`.
    pub(super) fn new(reader: R, place: PathBuf) -> Self {
        Self { reader, place, number: 0 }
    }

    /// An error about the line read last.
    pub(super) fn bad_input(&self, reason: String) -> Failure {
        Failure::BadInput { place: format!("{}, line {}", self.place.display(), self.number), reason }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Vec<u8>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        // One more than a line may have and its end, to tell a long line from one that just fits.
        let limit = u64::try_from(LINE_BYTES_MAX).map_or(u64::MAX, |bytes| bytes + 2);
        match self.reader.by_ref().take(limit).read_until(b'\n', &mut line) {
            Err(source) => return Some(Err(Failure::ReadFile { path: self.place.clone(), source })),
            Ok(0) => return None,
            Ok(_) => self.number += 1,
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if line.len() > LINE_BYTES_MAX {
            return Some(Err(self.bad_input(format!("longer than {LINE_BYTES_MAX} bytes"))));
        }
        Some(Ok(line))
    }
}
