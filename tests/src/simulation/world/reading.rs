//! What readers do. Owns choosing what is read; the checkers judge it.

use liftbridge_types::{Offset, Timestamp};

use super::{Step, World};
use crate::simulation::checkers::{check_forward, check_reverse, check_times};
use crate::simulation::read_back::{ReadBack, read, read_on, read_reverse, read_tail};

impl World {
    /// Somebody reads a range forward, from the files or from memory.
    pub(super) fn read(&mut self) -> Step {
        let range = self.committed_range();
        let view = self.partition().log.view();
        if self.dice.percent(50)
            && let Some(found) = read_tail(&view, range.start, range.end)?
        {
            // Memory gives as much as was asked for, so only what it gave is compared.
            let end = found.seen.last().map_or(range.start, |seen| seen.offset.next());
            check_forward(&self.model, range.start..end, &found)?;
            return Ok(format!("{}..{end} from memory", range.start));
        }
        let found = read(&view, range.start, range.end)?;
        check_forward(&self.model, range.clone(), &found)?;
        Ok(format!("{}..{}: {} records", range.start, range.end, found.seen.len()))
    }

    /// Somebody reads downward.
    pub(super) fn read_reverse(&mut self) -> Step {
        let end = self.committed_range().end;
        let found = read_reverse(&self.partition().log.view(), end)?;
        check_reverse(&self.model, self.model.start..end, &found)?;
        Ok(format!("below {end}: {} records", found.seen.len()))
    }

    /// A running subscriber reads on; it outlives retention, parking and everything but the end of the partition.
    pub(super) fn follow(&mut self) -> Step {
        let end = self.partition().high_watermark();
        let mut reader = match self.subscriber.take() {
            Some(reader) => reader,
            None => {
                let start = self.committed_range().start;
                self.partition().log.view().reader(start)
            }
        };
        let start = reader.next_offset();
        let mut found = ReadBack::default();
        read_on(&mut reader, start, end, &mut found)?;
        let until = reader.next_offset().min(end).max(start);
        self.subscriber = Some(reader);
        check_forward(&self.model, start..until, &found)?;
        Ok(format!("{start}..{until}"))
    }

    /// Somebody asks for a time: one that a record has, or one right beside it.
    pub(super) fn look_up_time(&mut self) -> Step {
        let end = self.partition().high_watermark();
        let range = self.committed_range();
        // Where bytes are damaged, what a time leads to is not decided.
        if self.model.has_rot() {
            return Ok("not over damage".to_owned());
        }
        let near = self.model.range(range.start..end).next().map_or(self.now, |(_, kept)| kept.time);
        let beside = i64::try_from(self.dice.below(3)).expect("it is small") - 1;
        let time = Timestamp::from_nanos(near.as_nanos() + beside);
        let view = self.partition().log.view();
        check_times(&self.model, &view, time, end)?;
        Ok(format!("{time} below {end}"))
    }

    /// A part of what is committed.
    fn committed_range(&mut self) -> std::ops::Range<Offset> {
        let high_watermark = self.partition().high_watermark();
        let count = high_watermark.since(self.model.start);
        let start = self.model.start.plus(self.dice.below(count + 1));
        let end = start.plus(self.dice.below(high_watermark.since(start) + 1));
        start..end
    }
}
