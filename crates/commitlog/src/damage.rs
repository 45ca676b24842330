//! Which offsets cannot be read. Owns that they are disjoint ranges, however often and from wherever each was found; never why.

use std::ops::Range;

use liftbridge_types::Offset;

/// Offsets that cannot be read: what readers and openings found, less what was repaired since.
///
/// Invariant: ranges are not empty, ascending, and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage(Vec<Range<Offset>>);

impl Damage {
    /// Whether everything can be read, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it, ascending.
    pub fn ranges(&self) -> &[Range<Offset>] {
        &self.0
    }

    /// The damage at the lowest offsets.
    pub fn first(&self) -> Option<&Range<Offset>> {
        self.0.first()
    }

    /// The damage that `offset` is in.
    pub fn at(&self, offset: Offset) -> Option<&Range<Offset>> {
        self.0.iter().find(|range| range.contains(&offset))
    }

    /// Notes damage; says whether any of it was not known.
    pub fn add(&mut self, found: Range<Offset>) -> bool {
        let is_known = |known: &Range<Offset>| known.start <= found.start && found.end <= known.end;
        if found.is_empty() || self.0.iter().any(is_known) {
            return false;
        }
        let mut merged = found;
        self.0.retain(|known| {
            let touches = known.start <= merged.end && merged.start <= known.end;
            if touches {
                merged = known.start.min(merged.start)..known.end.max(merged.end);
            }
            !touches
        });
        let place = self.0.partition_point(|known| known.start < merged.start);
        self.0.insert(place, merged);
        true
    }

    /// Forgets about offsets that can be read.
    pub fn remove(&mut self, whole: &Range<Offset>) {
        let left =
            |known: Range<Offset>| [known.start..known.end.min(whole.start), known.start.max(whole.end)..known.end];
        let ranges = if whole.is_empty() { return } else { std::mem::take(&mut self.0) };
        self.0 = ranges.into_iter().flat_map(left).filter(|range| !range.is_empty()).collect();
    }

    /// Forgets about everything before `start`, which is gone.
    pub fn trim(&mut self, start: Offset) {
        self.remove(&(Offset::ZERO..start));
    }

    /// Forgets about everything from `end` on, which was cut.
    pub fn truncate(&mut self, end: Offset) {
        self.remove(&(end..Offset::MAX));
    }
}

impl FromIterator<Range<Offset>> for Damage {
    fn from_iter<I: IntoIterator<Item = Range<Offset>>>(ranges: I) -> Self {
        let mut damage = Self::default();
        for range in ranges {
            damage.add(range);
        }
        damage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range<Offset> {
        Offset::new(start)..Offset::new(end)
    }

    fn damage(ranges: &[(u64, u64)]) -> Damage {
        Damage(ranges.iter().map(|(start, end)| range(*start, *end)).collect())
    }

    #[test]
    fn what_is_found_from_several_places_is_one_damage() {
        let mut found: Damage = [range(10, 15), range(8, 15), range(30, 31)].into_iter().collect();
        assert_eq!(found, damage(&[(8, 15), (30, 31)]));
        assert!(!found.add(range(14, 15)), "it is known");
        assert!(!found.add(range(3, 3)), "it is nothing");
        assert!(found.add(range(15, 30)));
        assert_eq!(found, damage(&[(8, 31)]));
        assert_eq!(found.at(Offset::new(30)), Some(&range(8, 31)));
        assert_eq!((found.at(Offset::new(31)), found.first()), (None, Some(&range(8, 31))));
    }

    #[test]
    fn what_can_be_read_is_no_damage_any_more() {
        let mut known = damage(&[(5, 15), (20, 25)]);
        known.remove(&range(3, 3));
        known.remove(&range(8, 10));
        assert_eq!(known, damage(&[(5, 8), (10, 15), (20, 25)]));
        known.remove(&range(12, 22));
        assert_eq!(known, damage(&[(5, 8), (10, 12), (22, 25)]));
        known.trim(Offset::new(11));
        assert_eq!(known, damage(&[(11, 12), (22, 25)]));
        known.truncate(Offset::new(24));
        assert_eq!(known, damage(&[(11, 12), (22, 24)]));
        known.trim(Offset::new(99));
        assert!(known.is_empty());
    }
}
