//! What a log is worth. Owns how what the server would find at its next start and what a walk over every byte finds become one list,
//! and how it is told; never where either comes from.

use liftbridge_client::Offset;
use liftbridge_commitlog::scan::{LogFile, ScanItem};
use liftbridge_commitlog::{Damage, Rehearsal};
use serde::Serialize;

use crate::output::table;

/// Damaged ranges that are listed; more are only counted.
const RANGES_LISTED_MAX: usize = 10_000;

/// What a log is worth.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Whether a server was using it, so that this is how it was at one moment.
    in_use: bool,
    files: usize,
    bytes: u64,
    batches: u64,
    records: u64,
    /// First offset of the log.
    start: u64,
    /// The offset the next record gets.
    end: u64,
    /// Bytes at the end that were never acknowledged. The next start cuts them; of a log in use they are a batch that was being written.
    unacknowledged_bytes: u64,
    /// Files that can be derived from others, are missing or wrong, and are made anew by the next start.
    made_anew: Vec<String>,
    damaged_ranges: usize,
    damage: Vec<DamageView>,
    /// What opening finds damaged and no walk has come across yet.
    #[serde(skip)]
    unseen: Damage,
}

#[derive(Debug, Serialize)]
struct DamageView {
    /// The first offset that cannot be read.
    first_offset: u64,
    /// The offset after the last one that cannot be read.
    next_good_offset: u64,
    /// Where the bytes are; nowhere when they are gone.
    file: Option<String>,
    file_position: Option<u64>,
    bytes: u64,
    reason: String,
}

impl Verdict {
    /// That of a log whose bytes have not been looked at yet.
    pub(super) fn new(rehearsal: &Rehearsal, in_use: bool) -> Self {
        let (offsets, report) = (rehearsal.offsets(), rehearsal.report());
        Self {
            in_use,
            files: 0,
            bytes: 0,
            batches: 0,
            records: 0,
            start: offsets.start.get(),
            end: offsets.end.get(),
            unacknowledged_bytes: report.bytes_cut,
            made_anew: report.rebuilt.clone(),
            damaged_ranges: 0,
            damage: Vec::new(),
            unseen: report.damaged.iter().cloned().collect(),
        }
    }

    /// Begins to look at the bytes of a file.
    pub(super) fn begin<'a>(&'a mut self, file: &'a LogFile, next: Option<&LogFile>) -> Walk<'a> {
        self.files += 1;
        self.bytes += file.bytes;
        let end = next.map_or(Offset::new(self.end), |next| next.base);
        Walk { is_sealed: next.is_some(), end, file, verdict: self }
    }

    /// All bytes were looked at.
    pub(super) fn finish(mut self) -> Self {
        while let Some(gone) = self.unseen.first().cloned() {
            self.add(DamageView {
                first_offset: gone.start.get(),
                next_good_offset: gone.end.get(),
                file: None,
                file_position: None,
                bytes: 0,
                reason: "they were stored, and are in no file".to_owned(),
            });
            self.unseen.remove(&gone);
        }
        self.damage.sort_by_key(|damage| damage.first_offset);
        self
    }

    pub(super) fn damaged_ranges(&self) -> usize {
        self.damaged_ranges
    }

    pub(super) fn text(&self) -> String {
        let Self { files, bytes, batches, records, start, end, .. } = self;
        let mut text = String::new();
        if self.in_use {
            text += "a server is using this directory: this is how it was at one moment\n";
        }
        text += &format!(
            "{files} files, {bytes} bytes, {batches} batches, {records} records, offsets from {start} to before {end}"
        );
        if self.damaged_ranges == 0 {
            text += ": every checksum is right";
        }
        match self.unacknowledged_bytes {
            0 => {}
            bytes if self.in_use => {
                text += &format!("\n{bytes} bytes at the end are of a batch that was being written")
            }
            bytes => {
                text += &format!("\n{bytes} bytes at the end were never acknowledged; the next start cuts them");
            }
        }
        if !self.made_anew.is_empty() {
            // A server writes them only now and then.
            let missing = if self.in_use { "not written yet" } else { "missing" };
            text += &format!("\n{missing} or wrong, and made anew by the next start: {}", self.made_anew.join(", "));
        }
        if self.damaged_ranges > 0 {
            let rows = self.damage.iter().map(DamageView::row);
            let damage = table(&["DAMAGED FROM", "GOOD AGAIN AT", "FILE", "AT BYTE", "BYTES", "REASON"], rows);
            text += &format!("\n\n{damage}");
        }
        text
    }

    fn add(&mut self, damage: DamageView) {
        self.damaged_ranges += 1;
        if self.damage.len() < RANGES_LISTED_MAX {
            self.damage.push(damage);
        }
    }
}

impl DamageView {
    fn row(&self) -> Vec<String> {
        vec![
            self.first_offset.to_string(),
            self.next_good_offset.to_string(),
            self.file.clone().unwrap_or_else(|| "-".to_owned()),
            self.file_position.map_or_else(|| "-".to_owned(), |position| position.to_string()),
            self.bytes.to_string(),
            self.reason.clone(),
        ]
    }
}

/// A walk over the bytes of one file.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    verdict: &'a mut Verdict,
    file: &'a LogFile,
    /// Where what is of the log ends in it.
    end: Offset,
    is_sealed: bool,
}

impl Walk<'_> {
    /// Counts an item and says how many bytes it is; `None` when it, and what follows it, is not of the log any more.
    pub(super) fn take(&mut self, item: ScanItem) -> Option<u64> {
        match item {
            ScanItem::Batch { batch, .. } => {
                let header = batch.header();
                if header.end_offset() > self.end {
                    return None;
                }
                self.verdict.batches += 1;
                self.verdict.records += u64::from(header.record_count);
                Some(u64::from(header.bytes))
            }
            // A crash undid the cut behind a segment that reaches the next one.
            ScanItem::Damaged { first, .. } if self.is_sealed && first >= self.end => None,
            ScanItem::Damaged { file_position, bytes, first, resume, error } => {
                let next_good = resume.map_or(self.end, |offset| offset.min(self.end));
                self.verdict.unseen.remove(&(first..next_good));
                self.verdict.add(DamageView {
                    first_offset: first.get(),
                    next_good_offset: next_good.get(),
                    file: Some(self.file.name.clone()),
                    file_position: Some(file_position),
                    bytes,
                    reason: error.to_string(),
                });
                Some(bytes)
            }
        }
    }
}
