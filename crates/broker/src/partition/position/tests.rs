use super::*;

/// Records at times 0, 10, 20 and so on; `failing` stands for a log that cannot be read.
struct EveryTen {
    bounds: LogBounds,
    failing: bool,
}

impl EveryTen {
    fn read(&self) -> Result<(), TimeLookupError> {
        if self.failing { Err(TimeLookupError::Read(liftbridge_commitlog::ReadError::Deleted)) } else { Ok(()) }
    }
}

impl TimeIndex for EveryTen {
    fn first_at_or_after(&self, time: Timestamp, end: Offset) -> Result<Option<Range<Offset>>, TimeLookupError> {
        self.read()?;
        let offsets = self.bounds.log_start.get()..end.get();
        Ok(offsets.into_iter().find(|n| *n as i64 * 10 >= time.as_nanos()).map(one))
    }

    fn last_at_or_before(&self, time: Timestamp, end: Offset) -> Result<Range<Offset>, TimeLookupError> {
        self.read()?;
        let offsets = self.bounds.log_start.get()..end.get();
        if offsets.is_empty() {
            return Err(TimeLookupError::Empty);
        }
        let found = offsets.rev().find(|n| *n as i64 * 10 <= time.as_nanos());
        found.map(one).ok_or(TimeLookupError::BeforeBeginning)
    }
}

fn one(offset: u64) -> Range<Offset> {
    Offset::new(offset)..Offset::new(offset + 1)
}

fn log(log_start: u64, high_watermark: u64, log_end: u64) -> LogBounds {
    LogBounds {
        log_start: Offset::new(log_start),
        log_end: Offset::new(log_end),
        high_watermark: Offset::new(high_watermark),
        readonly: false,
    }
}

fn readonly(bounds: LogBounds) -> LogBounds {
    LogBounds { readonly: true, ..bounds }
}

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

#[track_caller]
fn check(
    start: StartPosition,
    stop: StopPosition,
    bounds: LogBounds,
    expected: Result<(u64, Option<u64>), SubscribeError>,
) {
    let resolved = resolve(start, stop, false, bounds, &EveryTen { bounds, failing: false });
    let expected =
        expected.map(|(next, end)| ReadRange::Forward { next: Offset::new(next), end: end.map(Offset::new) });
    assert_eq!(resolved, expected);
}

#[track_caller]
fn check_reverse(
    start: StartPosition,
    stop: StopPosition,
    bounds: LogBounds,
    expected: Result<(u64, u64), SubscribeError>,
) {
    let resolved = resolve(start, stop, true, bounds, &EveryTen { bounds, failing: false });
    let expected =
        expected.map(|(end, lowest)| ReadRange::Reverse { end: Offset::new(end), lowest: Offset::new(lowest) });
    assert_eq!(resolved, expected);
}

use StopPosition::OnCancel;

#[test]
fn start_positions() {
    let ten = log(0, 10, 10);
    check(StartPosition::NewOnly, OnCancel, ten, Ok((10, None)));
    check(StartPosition::Offset(3), OnCancel, ten, Ok((3, None)));
    check(StartPosition::Offset(-4), OnCancel, ten, Ok((0, None)));
    check(StartPosition::Earliest, OnCancel, ten, Ok((0, None)));
    check(StartPosition::Latest, OnCancel, ten, Ok((9, None)));
    check(StartPosition::Timestamp(at(25)), OnCancel, ten, Ok((3, None)));
    check(StartPosition::Timestamp(at(-1)), OnCancel, ten, Ok((0, None)));
    check(StartPosition::Timestamp(at(500)), OnCancel, ten, Ok((10, None)));
}

#[test]
fn a_start_beyond_what_is_committed_waits_for_the_next_commit() {
    check(StartPosition::Offset(100), OnCancel, log(0, 5, 5), Ok((5, None)));
    check(StartPosition::Latest, OnCancel, log(0, 5, 8), Ok((5, None)));
    check(StartPosition::NewOnly, OnCancel, log(0, 5, 8), Ok((5, None)));
    check(StartPosition::Offset(9), OnCancel, log(0, 5, 8), Ok((5, None)));
}

#[test]
fn who_goes_on_at_a_new_leader_is_not_shown_again_what_it_has_read() {
    // The new leader holds 8 records and knows of 5 that they are committed; the one before had shown 7 of them.
    check(StartPosition::Offset(7), OnCancel, log(0, 5, 8), Ok((7, None)));
    check(StartPosition::Offset(8), OnCancel, log(0, 5, 8), Ok((8, None)));
}

#[test]
fn a_start_below_the_oldest_record_begins_there() {
    check(StartPosition::Offset(2), OnCancel, log(6, 10, 10), Ok((6, None)));
    check(StartPosition::Earliest, OnCancel, log(6, 10, 10), Ok((6, None)));
}

#[test]
fn an_empty_log_is_waited_on() {
    let empty = log(0, 0, 0);
    for start in [StartPosition::NewOnly, StartPosition::Offset(7), StartPosition::Earliest, StartPosition::Latest] {
        check(start, OnCancel, empty, Ok((0, None)));
    }
    check(StartPosition::Timestamp(at(5)), OnCancel, empty, Ok((0, None)));
}

#[test]
fn stop_positions() {
    let ten = log(0, 10, 10);
    check(StartPosition::Earliest, StopPosition::Offset(4), ten, Ok((0, Some(5))));
    check(StartPosition::Earliest, StopPosition::Offset(-1), ten, Ok((0, None)));
    check(StartPosition::Earliest, StopPosition::Offset(400), ten, Ok((0, Some(401))));
    check(StartPosition::Earliest, StopPosition::Latest, ten, Ok((0, Some(10))));
    check(StartPosition::Earliest, StopPosition::Latest, log(0, 5, 8), Ok((0, Some(8))));
    check(StartPosition::Earliest, StopPosition::Timestamp(at(25)), ten, Ok((0, Some(3))));
    check(StartPosition::Earliest, StopPosition::Timestamp(at(500)), ten, Ok((0, Some(10))));
    check(StartPosition::Timestamp(at(20)), StopPosition::Timestamp(at(60)), ten, Ok((2, Some(7))));
}

#[test]
fn stop_positions_that_cannot_be() {
    let eof = SubscribeError::TimestampLookup { reason: "EOF".to_owned() };
    check(StartPosition::Earliest, StopPosition::Latest, log(0, 0, 0), Err(SubscribeError::Empty));
    check(StartPosition::Earliest, StopPosition::Latest, log(4, 4, 4), Err(SubscribeError::Empty));
    check(StartPosition::Earliest, StopPosition::Timestamp(at(5)), log(0, 0, 0), Err(eof));
    let before = Err(SubscribeError::BeforeBeginning);
    check(StartPosition::Earliest, StopPosition::Timestamp(at(-1)), log(0, 10, 10), before);
}

#[test]
fn a_stop_before_the_start_asked_for_is_refused() {
    let ten = log(0, 10, 10);
    let refused = |stop, start| Err(SubscribeError::StopBeforeStart { stop, start });
    check(StartPosition::NewOnly, StopPosition::Latest, ten, refused(9, 10));
    check(StartPosition::Offset(50), StopPosition::Latest, ten, refused(9, 50));
    check(StartPosition::Offset(5), StopPosition::Offset(0), ten, refused(0, 5));
    check(StartPosition::NewOnly, OnCancel, readonly(ten), refused(9, 10));
    check(StartPosition::Earliest, StopPosition::Offset(-2), ten, refused(-2, 0));
    check(StartPosition::Offset(-5), StopPosition::Offset(i64::MIN), ten, refused(i64::MIN, 0));
}

#[test]
fn a_readonly_partition_is_read_to_its_end() {
    check(StartPosition::Earliest, OnCancel, readonly(log(0, 10, 10)), Ok((0, Some(10))));
    check(StartPosition::Earliest, OnCancel, readonly(log(0, 5, 8)), Ok((0, Some(8))));
    check(StartPosition::Earliest, OnCancel, readonly(log(0, 0, 0)), Ok((0, None)));
}

#[test]
fn reverse_walks_down_from_the_smaller_of_start_and_watermark() {
    let ten = log(0, 10, 10);
    check_reverse(StartPosition::NewOnly, OnCancel, ten, Ok((10, 0)));
    check_reverse(StartPosition::Latest, OnCancel, ten, Ok((10, 0)));
    check_reverse(StartPosition::Latest, OnCancel, log(0, 5, 8), Ok((5, 0)));
    check_reverse(StartPosition::Offset(6), OnCancel, ten, Ok((7, 0)));
    check_reverse(StartPosition::Earliest, OnCancel, ten, Ok((1, 0)));
    check_reverse(StartPosition::Timestamp(at(25)), OnCancel, ten, Ok((4, 0)));
    check_reverse(StartPosition::Latest, OnCancel, log(0, 0, 0), Ok((0, 0)));
    check_reverse(StartPosition::Offset(2), OnCancel, log(6, 10, 10), Ok((3, 6)));
}

#[test]
fn a_reverse_stop_lies_below_its_start() {
    let ten = log(0, 10, 10);
    check_reverse(StartPosition::Latest, StopPosition::Offset(4), ten, Ok((10, 4)));
    check_reverse(StartPosition::Latest, StopPosition::Timestamp(at(25)), ten, Ok((10, 2)));
    check_reverse(StartPosition::Latest, StopPosition::Latest, ten, Ok((10, 9)));
    check_reverse(StartPosition::Latest, StopPosition::Offset(1), log(6, 10, 10), Ok((10, 6)));
    check_reverse(StartPosition::Latest, StopPosition::Offset(-1), ten, Ok((10, 0)));
    let refused = Err(SubscribeError::StopAfterStart { stop: 5, start: 2 });
    check_reverse(StartPosition::Offset(2), StopPosition::Offset(5), ten, refused);
    let refused = Err(SubscribeError::StopNegative { stop: -2 });
    check_reverse(StartPosition::Latest, StopPosition::Offset(-2), ten, refused);
    check_reverse(StartPosition::NewOnly, OnCancel, readonly(ten), Ok((10, 0)));
}

#[test]
fn a_log_that_cannot_be_read_says_why() {
    let bounds = log(0, 10, 10);
    let times = EveryTen { bounds, failing: true };
    let failed = Err(SubscribeError::TimestampLookup { reason: "log was deleted".to_owned() });
    assert_eq!(resolve(StartPosition::Timestamp(at(1)), OnCancel, false, bounds, &times), failed);
    assert_eq!(resolve(StartPosition::Earliest, StopPosition::Timestamp(at(1)), false, bounds, &times), failed);
}
