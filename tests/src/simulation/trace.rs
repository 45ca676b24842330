//! What happened, in order. Owns the end of the story for a person and a fingerprint of all of it for a comparison.

use std::collections::VecDeque;

/// Lines kept for a failure's report.
const LINES_KEPT: usize = 60;

/// What happened so far.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    newest: VecDeque<String>,
    fingerprint: u64,
}

impl Default for Trace {
    fn default() -> Self {
        // The offset basis of FNV-1a.
        Self { newest: VecDeque::new(), fingerprint: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Trace {
    /// Adds what happened in one step.
    pub(super) fn tell(&mut self, line: String) {
        self.note(&line);
        if self.newest.len() == LINES_KEPT {
            self.newest.pop_front();
        }
        self.newest.push_back(line);
    }

    /// Notes a detail that tells runs apart, and is nothing for a person.
    pub(super) fn note(&mut self, detail: &str) {
        for byte in detail.bytes() {
            self.fingerprint = (self.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// A number that differs between different stories.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The newest lines, oldest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &str> {
        self.newest.iter().map(String::as_str)
    }
}
