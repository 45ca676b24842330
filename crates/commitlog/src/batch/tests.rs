//! The format, its golden bytes and what a reader refuses.

use bytes::Bytes;
use liftbridge_types::{Header, LeaderEpoch, Offset, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::checksum::crc32c;
use crate::record::{RECORD_HEADERS_MAX, Record, RecordFault, RecordTooLarge, encode_record};

/// Written by hand from the drawing, not by this encoder. Released formats stay readable: never change it, add a new one.
const GOLDEN: &[u8] = include_bytes!("../../tests/fixtures/batch-v1.bin");

#[derive(Clone, Debug)]
struct Input {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

fn input(key: Option<&[u8]>, value: &[u8], headers: &[(&[u8], &[u8])]) -> Input {
    let headers = headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    Input { key: key.map(<[u8]>::to_vec), value: value.to_vec(), headers }
}

fn headers_of(input: &Input) -> Vec<Header> {
    let header = |(name, value): &(Vec<u8>, Vec<u8>)| Header { name: name.clone().into(), value: value.clone().into() };
    input.headers.iter().map(header).collect()
}

fn build(inputs: &[Input], base: u64, time: i64) -> Bytes {
    let mut builder = BatchBuilder::new();
    for input in inputs {
        builder.push(input.key.as_deref(), &input.value, &headers_of(input)).unwrap();
    }
    let (stable, committed) = (Offset::new(base.saturating_sub(3)), Offset::new(base.saturating_sub(5)));
    let standing = Standing { stable_end: Some(stable), high_watermark: Some(committed) };
    let time = Timestamp::from_nanos(time);
    let (header, bytes) = builder.seal(Offset::new(base), LeaderEpoch::new(9), time, standing);
    assert_eq!(header.bytes as usize, bytes.len());
    Bytes::copy_from_slice(bytes)
}

fn golden_inputs() -> Vec<Input> {
    vec![
        input(Some(b"JFK"), b"39.02", &[(b"unit", b"F"), (b"", b"")]),
        input(None, b"", &[]),
        input(Some(b""), &[0xff; 200], &[]),
    ]
}

fn small() -> Bytes {
    build(&golden_inputs(), 1_000, 77)
}

/// Replaces one header field and makes both checksums right again, as a hostile writer would.
fn with_field(batch: &[u8], at: usize, field: &[u8]) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[at..at + field.len()].copy_from_slice(field);
    reseal(bytes)
}

fn reseal(mut bytes: Vec<u8>) -> Bytes {
    let batch_crc = crc32c(&bytes[48..]);
    bytes[44..48].copy_from_slice(&batch_crc.to_le_bytes());
    let header_crc = crc32c(&[&bytes[..4], &bytes[8..44]].concat());
    bytes[4..8].copy_from_slice(&header_crc.to_le_bytes());
    bytes.into()
}

/// A batch whose records are these bytes.
fn with_records(records: &[u8], record_count: u32, last_offset_delta: u32) -> Bytes {
    let mut bytes = small()[..HEADER_BYTES].to_vec();
    bytes.extend_from_slice(records);
    let length = u32::try_from(bytes.len()).unwrap();
    bytes[32..36].copy_from_slice(&length.to_le_bytes());
    bytes[52..56].copy_from_slice(&last_offset_delta.to_le_bytes());
    bytes[64..68].copy_from_slice(&record_count.to_le_bytes());
    reseal(bytes)
}

#[test]
fn golden_bytes_are_what_the_builder_writes() {
    assert_eq!(build(&golden_inputs(), 0x0102_0304_0506_0708, 1_388_534_400_000_000_000), GOLDEN);
}

#[test]
fn golden_bytes_are_read() {
    let batch = Batch::parse(&Bytes::from_static(GOLDEN)).unwrap();
    let base = Offset::new(0x0102_0304_0506_0708);
    let expected = BatchHeader {
        base_offset: base,
        leader_epoch: LeaderEpoch::new(9),
        append_time: Timestamp::from_nanos(1_388_534_400_000_000_000),
        stable_end: Some(Offset::new(base.get() - 3)),
        high_watermark: Some(Offset::new(base.get() - 5)),
        bytes: u32::try_from(GOLDEN.len()).unwrap(),
        last_offset_delta: 2,
        record_count: 3,
        producer: None,
    };
    assert_eq!(batch.header(), &expected);
    assert_eq!(batch.header().end_offset(), base.plus(3));
    let records: Vec<_> = batch.records().map(Result::unwrap).collect();
    let expected = Record {
        offset: base,
        time: Timestamp::from_nanos(1_388_534_400_000_000_000),
        key: Some(Bytes::from_static(b"JFK")),
        value: Bytes::from_static(b"39.02"),
        headers: vec![
            Header { name: Bytes::from_static(b"unit"), value: Bytes::from_static(b"F") },
            Header { name: Bytes::new(), value: Bytes::new() },
        ],
    };
    assert_eq!(records[0], expected);
    assert_eq!((&records[1].key, records[1].offset), (&None, base.next()));
    assert_eq!((records[2].key.as_deref(), records[2].value.len()), (Some(b"".as_slice()), 200));
    assert_eq!(records[2].time, batch.header().latest_time());
}

#[test]
fn any_flipped_bit_is_detected() {
    let batch = small();
    for position in 0..batch.len() {
        for bit in 0..8 {
            let mut bytes = batch.to_vec();
            bytes[position] ^= 1 << bit;
            assert!(Batch::verify(&bytes.into()).is_err(), "byte {position}, bit {bit}");
        }
    }
}

#[test]
fn any_truncation_is_detected() {
    let batch = small();
    for count in 0..batch.len() {
        let error = Batch::verify(&batch.slice(..count)).unwrap_err();
        assert!(matches!(error, BatchError::Truncated { available, .. } if available == count), "{count}: {error}");
    }
}

#[test]
fn what_follows_a_batch_is_ignored() {
    let batch = small();
    let bytes = Bytes::from([&batch[..], b"LBB more"].concat());
    assert_eq!(Batch::parse(&bytes).unwrap().bytes(), &batch);
}

#[test]
fn the_leaders_part_is_judged_alone() {
    let mut bytes = small().to_vec();
    bytes[60] ^= 1;
    let part = BatchHeader::peek(&bytes[..LEADER_PART_BYTES]).unwrap();
    assert_eq!((part.base_offset, part.leader_epoch), (Offset::new(1_000), LeaderEpoch::new(9)));
    assert_eq!((part.stable_end, part.bytes as usize), (Some(Offset::new(997)), bytes.len()));
    assert_eq!(part.high_watermark, Some(Offset::new(995)));
    assert!(BatchHeader::peek(&bytes[..LEADER_PART_BYTES - 1]).is_err());
}

#[test]
fn an_end_too_far_off_is_unknown() {
    let mut builder = BatchBuilder::new();
    builder.push(None, b"v", &[]).unwrap();
    let mut ends = |base: u64, stable_end: Option<u64>, high_watermark: Option<u64>| {
        let standing =
            Standing { stable_end: stable_end.map(Offset::new), high_watermark: high_watermark.map(Offset::new) };
        let (_, bytes) = builder.seal(Offset::new(base), LeaderEpoch::new(1), Timestamp::EPOCH, standing);
        let part = BatchHeader::peek(bytes).unwrap();
        (part.stable_end.map(Offset::get), part.high_watermark.map(Offset::get))
    };
    let far = u64::from(u32::MAX);
    assert_eq!(ends(far, Some(0), Some(1)), (None, Some(1)));
    assert_eq!(ends(far, Some(1), Some(0)), (Some(1), None));
    assert_eq!(ends(5, Some(5), Some(4)), (Some(5), Some(4)));
    assert_eq!(ends(5, Some(8), Some(9)), (Some(5), Some(5)));
    assert_eq!(ends(5, None, Some(0)), (None, Some(0)));
    assert_eq!(ends(5, Some(0), None), (Some(0), None));
}

#[track_caller]
fn check_refused(bytes: &Bytes, expected: BatchError) {
    assert_eq!(Batch::verify(bytes), Err(expected));
}

#[test]
fn impossible_header_fields_are_refused_though_the_checksums_are_right() {
    let batch = small();
    let field = |field, value| BatchError::Field { field, value };
    check_refused(&with_field(&batch, 3, &[2]), BatchError::Version { version: 2 });
    check_refused(&with_field(&batch, 3, &[0]), BatchError::Version { version: 0 });
    check_refused(&with_field(&batch, 0, b"M"), BatchError::Magic);
    check_refused(&with_field(&batch, 32, &71_u32.to_le_bytes()), field("length", 71));
    let long = BATCH_BYTES_MAX + 1;
    check_refused(&with_field(&batch, 32, &long.to_le_bytes()), field("length", u64::from(long)));
    check_refused(&with_field(&batch, 36, &1_001_u32.to_le_bytes()), field("unstable span", 1_001));
    check_refused(&with_field(&batch, 40, &1_001_u32.to_le_bytes()), field("pending span", 1_001));
    check_refused(&with_field(&batch, 52, &1_u32.to_le_bytes()), field("record count", 3));
    let last = u64::MAX - 2;
    check_refused(&with_field(&batch, 8, &last.to_le_bytes()), field("last offset delta", 2));
    let latest = i64::MAX - 1;
    check_refused(&with_field(&batch, 24, &latest.to_le_bytes()), field("last offset delta", 2));
}

#[test]
fn what_is_not_supported_is_named() {
    let check = |flags: u16, feature| {
        check_refused(&with_field(&small(), 48, &flags.to_le_bytes()), BatchError::Unsupported { feature });
    };
    check(1, "compression");
    check(7, "compression");
    check(1 << 3, "encryption");
    check(1 << 4, "transactions");
    check(1 << 5, "control records");
    check(1 << 6, "a flag of a later version");
    check(1 << 15, "a flag of a later version");
}

#[test]
fn a_producer_survives_the_round_trip() {
    let producer = Some(ProducerStamp { id: 7, epoch: 8, base_sequence: 9 });
    let mut bytes = small().to_vec();
    let header =
        BatchHeader { producer, stable_end: None, high_watermark: None, ..*Batch::parse(&small()).unwrap().header() };
    header.encode_into(&mut bytes);
    assert_eq!(Batch::parse(&bytes.into()).unwrap().header(), &header);
}

fn record(offset_delta: u32, time_delta: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(&mut bytes, usize::MAX, offset_delta, time_delta, None, b"", &[]).unwrap();
    bytes
}

/// Both ways of reading find the same fault: the one that makes records and the one that only checks.
#[track_caller]
fn check_records(records: &[Vec<u8>], last_offset_delta: u32, expected: Result<usize, BatchError>) {
    let bytes = with_records(&records.concat(), u32::try_from(records.len()).unwrap(), last_offset_delta);
    let parsed = Batch::parse(&bytes).map(|batch| batch.records().count());
    assert_eq!(parsed, expected);
    let made: Result<Vec<_>, _> = Batch::verify(&bytes).unwrap().records().collect();
    assert_eq!(made.map(|made| made.len()), expected);
}

fn fault(index: u32, position: usize, fault: RecordFault) -> Result<usize, BatchError> {
    Err(BatchError::Record { index, position, fault })
}

#[test]
fn gaps_left_by_compaction_are_read() {
    check_records(&[record(0, 0), record(5, 5), record(9, 9)], 9, Ok(3));
    check_records(&[record(3, 3)], 9, Ok(1));
    check_records(&[], 9, Ok(0));
}

#[test]
fn records_out_of_order_are_refused() {
    let offset = |delta| RecordFault::OffsetDelta { delta };
    check_records(&[record(0, 0), record(0, 1)], 9, fault(1, 78, offset(0)));
    check_records(&[record(5, 0), record(4, 1)], 9, fault(1, 78, offset(4)));
    check_records(&[record(10, 0)], 9, fault(0, 72, offset(10)));
    let time = |delta| RecordFault::TimeDelta { delta };
    check_records(&[record(0, -1)], 9, fault(0, 72, time(-1)));
    check_records(&[record(0, 3), record(1, 3)], 9, fault(1, 78, time(3)));
    check_records(&[record(0, 10)], 9, fault(0, 72, time(10)));
    check_records(&[record(0, i64::MAX)], 9, fault(0, 72, time(i64::MAX)));
}

#[test]
fn malformed_records_are_refused() {
    check_records(&[vec![]], 9, fault(0, 72, RecordFault::Truncated));
    check_records(&[vec![6, 0, 0, 0, 0, 0, 0]], 9, fault(0, 72, RecordFault::LeftOver { bytes: 1 }));
    check_records(&[vec![5, 0, 0, 2, 0, 0]], 9, fault(0, 72, RecordFault::Truncated));
    check_records(&[vec![5, 0, 0, 0, 1, 0]], 9, fault(0, 72, RecordFault::Truncated));
    check_records(&[vec![5, 0, 0, 0, 0, 1]], 9, fault(0, 72, RecordFault::Truncated));
    check_records(&[vec![6, 0x80, 0, 0, 0, 0, 0]], 9, fault(0, 72, RecordFault::Varint));
    check_records(&[vec![7, 0, 0, 0, 0, 0x81, 0x20, 0]], 9, fault(0, 72, RecordFault::Headers { count: 4_097 }));
    let bytes = with_records(&[record(0, 0), record(1, 1)].concat(), 1, 9);
    assert_eq!(Batch::parse(&bytes), Err(BatchError::LeftOver { bytes: 6 }));
}

#[test]
fn a_malformed_record_ends_the_iteration() {
    let bytes = with_records(&[record(0, 0), record(0, 0), record(2, 2)].concat(), 3, 9);
    let mut records = Batch::verify(&bytes).unwrap().records();
    assert!(matches!(records.next(), Some(Ok(_))));
    assert!(matches!(records.next(), Some(Err(_))));
    assert_eq!(records.next(), None);
}

#[test]
fn records_share_the_memory_of_their_batch() {
    let batch = Batch::parse(&small()).unwrap();
    let record = batch.records().next().unwrap().unwrap();
    assert!(batch.bytes().as_ptr_range().contains(&record.value.as_ptr()));
}

#[test]
fn a_record_that_cannot_fit_leaves_the_builder_as_it_was() {
    let mut builder = BatchBuilder::new();
    builder.push(None, b"first", &[]).unwrap();
    let bytes = builder.bytes();
    let many = vec![Header { name: Bytes::new(), value: Bytes::new() }; RECORD_HEADERS_MAX + 1];
    assert_eq!(builder.push(None, b"", &many), Err(RecordTooLarge::Headers { count: RECORD_HEADERS_MAX + 1 }));
    let large = vec![0; BATCH_BYTES_MAX as usize - bytes];
    let error = builder.push(None, &large, &[]).unwrap_err();
    assert!(matches!(error, RecordTooLarge::Bytes { limit, .. } if limit == large.len()), "{error}");
    assert_eq!((builder.bytes(), builder.record_count()), (bytes, 1));
    builder.push(None, b"", &many[1..]).unwrap();
    assert_eq!(builder.record_count(), 2);
}

#[test]
fn a_warm_builder_does_not_grow_again() {
    let mut builder = BatchBuilder::new();
    let first: Vec<u8> = fill(&mut builder);
    let capacity = builder.capacity();
    builder.clear();
    assert!(builder.is_empty());
    assert_eq!(fill(&mut builder), first);
    assert_eq!(builder.capacity(), capacity);
}

fn fill(builder: &mut BatchBuilder) -> Vec<u8> {
    for value in 0..100_u64 {
        builder.push(Some(b"key"), &value.to_le_bytes(), &[]).unwrap();
    }
    let (_, bytes) = builder.seal(Offset::ZERO, LeaderEpoch::new(1), Timestamp::EPOCH, Standing::default());
    bytes.to_vec()
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    let headers = prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), bytes()), 0..4);
    let one = (prop::option::of(bytes()), bytes(), headers);
    prop::collection::vec(one.prop_map(|(key, value, headers)| Input { key, value, headers }), 1..20)
}

proptest! {
    #[test]
    fn records_survive_the_round_trip(inputs in inputs(), base in 0..u64::MAX - 100, time in i64::MIN..i64::MAX - 100) {
        let batch = Batch::parse(&build(&inputs, base, time)).unwrap();
        prop_assert_eq!(batch.header().record_count as usize, inputs.len());
        let records: Vec<_> = batch.records().map(Result::unwrap).collect();
        prop_assert_eq!(records.len(), inputs.len());
        for (index, (record, input)) in (0..).zip(records.iter().zip(&inputs)) {
            prop_assert_eq!(record.offset, Offset::new(base + index));
            prop_assert_eq!(record.time, Timestamp::from_nanos(time + i64::try_from(index).unwrap()));
            prop_assert_eq!(&record.key.as_ref().map(|key| key.to_vec()), &input.key);
            prop_assert_eq!(&record.value, &input.value);
            prop_assert_eq!(&record.headers, &headers_of(input));
        }
    }

    #[test]
    fn bytes_of_no_sense_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Batch::parse(&bytes.into()).is_err());
    }

    /// With the checksums made right, only the structure stands between hostile records and a reader.
    #[test]
    fn checked_records_yield_no_error(
        inputs in inputs(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = build(&inputs, 1_000, 77).to_vec();
        for (index, value) in changes {
            let records = &mut bytes[HEADER_BYTES..];
            let at = index.index(records.len());
            records[at] = value;
        }
        if let Ok(batch) = Batch::parse(&reseal(bytes)) {
            prop_assert_eq!(batch.records().filter(Result::is_ok).count(), inputs.len());
        }
    }
}
