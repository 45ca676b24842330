//! Bytes from a peer, a client or a disk, read as a batch: as they are, and with both checksums made right, since a
//! hostile sender can compute them and chance cannot.

#![no_main]

use bytes::Bytes;
use crc_fast::crc32_iscsi;
use libfuzzer_sys::fuzz_target;
use liftbridge_commitlog::{Batch, BatchBuilder, BatchHeader, HEADER_BYTES, LEADER_PART_BYTES, Record};

fuzz_target!(|data: &[u8]| {
    check(&Bytes::copy_from_slice(data));
    if let Some(repaired) = repair(data) {
        check(&repaired);
    }
});

/// What parses has to keep the promises that readers build on.
fn check(bytes: &Bytes) {
    let peeked = BatchHeader::peek(bytes);
    if let Ok(unchecked) = Batch::verify(bytes) {
        unchecked.records().for_each(drop);
    }
    let Ok(batch) = Batch::parse(bytes) else { return };
    let header = *batch.header();
    let leader = peeked.expect("what parses has a leader's part");
    assert_eq!((leader.base_offset, leader.bytes as usize), (header.base_offset, batch.bytes().len()));

    let records: Vec<Record> =
        batch.records().map(|record| record.expect("a parsed batch has sound records")).collect();
    assert_eq!(records.len(), header.record_count as usize);
    assert!(records.is_sorted_by(|a, b| a.offset < b.offset && a.time < b.time), "offsets and times grow");
    for record in &records {
        assert!(header.base_offset <= record.offset && record.offset < header.end_offset());
        assert!(header.append_time <= record.time && record.time <= header.latest_time());
    }
    check_that_dense_records_have_one_encoding(&batch, &records);
}

/// A builder given the records of a batch without gaps writes the bytes they were read from.
fn check_that_dense_records_have_one_encoding(batch: &Batch, records: &[Record]) {
    let header = batch.header();
    let is_dense = u64::from(header.record_count) == u64::from(header.last_offset_delta) + 1;
    let is_as_built = (0..).zip(records).all(|(index, record)| {
        record.offset == header.base_offset.plus(index)
            && record.time.since(header.append_time).as_nanos() == u128::from(index)
    });
    if !(is_dense && is_as_built) {
        return;
    }
    let mut builder = BatchBuilder::new();
    for record in records {
        builder.push(record.key.as_deref(), &record.value, &record.headers).expect("it fitted a batch before");
    }
    assert_eq!(builder.bytes(), batch.bytes().len());
}

/// The bytes with magic, length and checksums as a writer sets them; `None` when they are too few for a header.
fn repair(data: &[u8]) -> Option<Bytes> {
    let mut bytes = data.to_vec();
    let length = u32::try_from(bytes.len()).ok()?;
    bytes.get(..HEADER_BYTES)?;
    bytes[..4].copy_from_slice(b"LBB\x01");
    bytes[32..36].copy_from_slice(&length.to_le_bytes());
    bytes[48..50].copy_from_slice(&0_u16.to_le_bytes());
    let batch_crc = crc32_iscsi(&bytes[48..]);
    bytes[44..48].copy_from_slice(&batch_crc.to_le_bytes());
    let header_crc = crc32_iscsi(&[&bytes[..4], &bytes[8..LEADER_PART_BYTES]].concat());
    bytes[4..8].copy_from_slice(&header_crc.to_le_bytes());
    Some(bytes.into())
}
