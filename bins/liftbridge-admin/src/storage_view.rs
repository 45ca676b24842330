//! How a partition's files are at one server, as commands say it. Owns the words; never whose files.

use liftbridge_client::{Offset, ReplicaStorage};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct StorageView {
    /// Why nothing can be stored.
    offline: Option<String>,
    /// Offsets known to be unreadable; of many ranges the first.
    damaged: Vec<OffsetsView>,
    damaged_ranges: u32,
}

#[derive(Debug, Serialize)]
struct OffsetsView {
    start: u64,
    /// Offset after the last.
    end: u64,
}

impl StorageView {
    pub(crate) fn of(storage: &ReplicaStorage) -> Self {
        let damaged = storage.damaged.iter();
        Self {
            offline: storage.offline.clone(),
            damaged: damaged.map(|range| OffsetsView { start: range.start.get(), end: range.end.get() }).collect(),
            damaged_ranges: storage.damaged_range_count,
        }
    }

    /// What is wrong, in one line; `None` when nothing is.
    pub(crate) fn text(&self) -> Option<String> {
        let offline = self.offline.as_ref().map(|reason| format!("offline: {reason}"));
        let parts: Vec<String> = offline.into_iter().chain(self.damage()).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn damage(&self) -> Option<String> {
        if self.damaged_ranges == 0 {
            return None;
        }
        let listed: Vec<String> = self.damaged.iter().map(OffsetsView::text).collect();
        let unlisted = usize::try_from(self.damaged_ranges).unwrap_or(usize::MAX).saturating_sub(listed.len());
        let rest = if unlisted == 0 { String::new() } else { format!(" and {unlisted} more ranges") };
        Some(format!("damaged: offsets {}{rest} cannot be read", listed.join(", ")))
    }
}

impl OffsetsView {
    fn text(&self) -> String {
        match Offset::new(self.end).previous().map_or(self.start, Offset::get) {
            last if last <= self.start => self.start.to_string(),
            last => format!("{} to {last}", self.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(offline: Option<&str>, damaged: &[(u64, u64)], damaged_range_count: u32, expected: Option<&str>) {
        let damaged = damaged.iter().map(|(start, end)| Offset::new(*start)..Offset::new(*end)).collect();
        let storage = ReplicaStorage { offline: offline.map(ToOwned::to_owned), damaged, damaged_range_count };
        assert_eq!(StorageView::of(&storage).text().as_deref(), expected);
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        check(None, &[], 0, None);
        check(Some("sync failed"), &[], 0, Some("offline: sync failed"));
        check(None, &[(3, 4), (7, 10)], 2, Some("damaged: offsets 3, 7 to 9 cannot be read"));
        check(Some("x"), &[(3, 4)], 1, Some("offline: x; damaged: offsets 3 cannot be read"));
        check(None, &[(3, 4)], 9, Some("damaged: offsets 3 and 8 more ranges cannot be read"));
    }
}
