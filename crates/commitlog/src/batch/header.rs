//! The 72 bytes before a batch's records. Owns their layout and which values are possible; never looks at a record.
//!
//! ```text
//!         0               4               8                              16
//!       0 | "LBB" version | header crc    | base offset                   |
//!      16 | leader epoch                  | append time                   |
//!      32 | length        | unstable span | pending span  | batch crc     |
//!      48 | flags | p.ep. | last offset d.| producer id                   |   p.ep. = producer epoch
//!      64 | record count  | base sequence | records ...
//! ```
//! | at | field | bytes | meaning |
//! |---|---|---|---|
//! | 0 | magic | 4 | `LBB`, then the format version |
//! | 4 | header crc | 4 | CRC-32C of bytes 0..4 and 8..44, so that a rotten version byte is damage and not a newer format |
//! | 8 | base offset | 8 | offset of the first record appended |
//! | 16 | leader epoch | 8 | which leadership appended it |
//! | 24 | append time | 8 | i64, nanoseconds since the epoch, of the first record; greater than every earlier record's |
//! | 32 | length | 4 | bytes of the whole batch, this header included |
//! | 36 | unstable span | 4 | base offset - the log's stable end at the append; `u32::MAX` = unknown or larger |
//! | 40 | pending span | 4 | base offset - the high watermark at the append; `u32::MAX` = unknown or larger |
//! | 44 | batch crc | 4 | CRC-32C of bytes 48..length |
//! | 48 | flags | 2 | bits 0-2 codec (0 = none), 3 encrypted, 4 transactional, 5 control, 6-15 zero |
//! | 50 | producer epoch | 2 | |
//! | 52 | last offset delta | 4 | offset of the last record appended - base offset |
//! | 56 | producer id | 8 | `u64::MAX` = none; then producer epoch and base sequence mean nothing |
//! | 64 | record count | 4 | fewer than the offsets spanned once compacted |
//! | 68 | base sequence | 4 | |
//!
//! Little-endian. Bytes 0..44 are set by the leader.

use std::ops::{Range, RangeInclusive};

use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

use crate::batch::BatchError;
use crate::checksum::crc32c;
use crate::codec::{CodecError, Cursor};

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 72;
/// Bytes at the front of the header that the leader sets.
pub const LEADER_PART_BYTES: usize = 44;
/// The longest batch, header included. A length beyond it is damage, whatever its checksum says.
pub const BATCH_BYTES_MAX: u32 = 128 * 1024 * 1024;
/// The version of the batch format. Persisted, never reuse.
pub const FORMAT_VERSION: u8 = 1;

/// The length of a batch without records.
const HEADER_BYTES_U32: u32 = 72;
/// Where in the header the length is.
const LENGTH_AT: Range<usize> = 32..36;
/// Where in the header the last offset delta is.
pub(super) const LAST_OFFSET_DELTA_AT: Range<usize> = 52..56;
/// Where in the header the record count is.
pub(super) const RECORD_COUNT_AT: Range<usize> = 64..68;
/// The lengths a batch can have.
const LENGTHS: RangeInclusive<u32> = HEADER_BYTES_U32..=BATCH_BYTES_MAX;
/// What every batch begins with. Persisted, never reuse.
pub(crate) const MAGIC: [u8; 4] = [b'L', b'B', b'B', FORMAT_VERSION];

/// The unstable or pending span of a batch of which the other end is unknown, or too far off to say.
const SPAN_UNKNOWN: u32 = u32::MAX;
/// The producer id of a batch without one.
const PRODUCER_NONE: u64 = u64::MAX;

// Flags. Persisted, never reuse.
const FLAGS_NONE: u16 = 0;
const FLAG_CODEC_MASK: u16 = 0b111;
const FLAG_ENCRYPTED: u16 = 1 << 3;
const FLAG_TRANSACTIONAL: u16 = 1 << 4;
const FLAG_CONTROL: u16 = 1 << 5;

/// The part of a header that the leader sets, known as soon as its own checksum is right: enough to walk a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderPart {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Which leadership appended it.
    pub leader_epoch: LeaderEpoch,
    /// Time of its first record.
    pub append_time: Timestamp,
    /// `Some(end)`: when this batch was appended, everything before `end` was on stable storage.
    pub stable_end: Option<Offset>,
    /// `Some(end)`: when this batch was appended, everything before `end` was committed.
    pub high_watermark: Option<Offset>,
    /// Size of the whole batch in bytes, the header included.
    pub bytes: u32,
}

impl LeaderPart {
    pub(super) fn decode(part: &[u8; LEADER_PART_BYTES]) -> Result<Self, BatchError> {
        let mut cursor = Cursor::new(part);
        let magic: [u8; 4] = read(cursor.array())?;
        if !magic.starts_with(b"LBB") {
            return Err(BatchError::Magic);
        }
        let stored = read(cursor.u32())?;
        let computed = leader_crc(part);
        if computed != stored {
            return Err(BatchError::HeaderChecksum { stored, computed });
        }
        if magic != MAGIC {
            return Err(BatchError::Version { version: magic[3] });
        }
        let base_offset = Offset::new(read(cursor.u64())?);
        let leader_epoch = LeaderEpoch::new(read(cursor.u64())?);
        let append_time = Timestamp::from_nanos(read(cursor.i64())?);
        let bytes = read(cursor.u32())?;
        if !LENGTHS.contains(&bytes) {
            return Err(BatchError::Field { field: "length", value: u64::from(bytes) });
        }
        let stable_end = before("unstable span", base_offset, read(cursor.u32())?)?;
        let high_watermark = before("pending span", base_offset, read(cursor.u32())?)?;
        Ok(Self { base_offset, leader_epoch, append_time, stable_end, high_watermark, bytes })
    }

    fn encode(&self) -> [u8; LEADER_PART_BYTES] {
        let span = |end: Option<Offset>| {
            end.and_then(|end| u32::try_from(self.base_offset.since(end)).ok()).unwrap_or(SPAN_UNKNOWN).to_le_bytes()
        };
        let mut part = [0; LEADER_PART_BYTES];
        part[8..16].copy_from_slice(&self.base_offset.get().to_le_bytes());
        part[16..24].copy_from_slice(&self.leader_epoch.get().to_le_bytes());
        part[24..32].copy_from_slice(&self.append_time.as_nanos().to_le_bytes());
        part[LENGTH_AT].copy_from_slice(&self.bytes.to_le_bytes());
        part[36..40].copy_from_slice(&span(self.stable_end));
        part[40..44].copy_from_slice(&span(self.high_watermark));
        part[..4].copy_from_slice(&MAGIC);
        let crc = leader_crc(&part);
        part[4..8].copy_from_slice(&crc.to_le_bytes());
        part
    }
}

/// The offset that lies this span before `base`; `None` where the span does not say.
fn before(field: &'static str, base: Offset, span: u32) -> Result<Option<Offset>, BatchError> {
    let impossible = BatchError::Field { field, value: u64::from(span) };
    match span {
        SPAN_UNKNOWN => Ok(None),
        span => base.get().checked_sub(u64::from(span)).map(|end| Some(Offset::new(end))).ok_or(impossible),
    }
}

/// The checksum of a leader's part: of everything in it but the checksum itself.
fn leader_crc(part: &[u8; LEADER_PART_BYTES]) -> u32 {
    let mut covered = [0; LEADER_PART_BYTES - 4];
    covered[..4].copy_from_slice(&part[..4]);
    covered[4..].copy_from_slice(&part[8..]);
    crc32c(&covered)
}

/// Which run of which producer made a batch, for idempotence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// The producer's id; never `u64::MAX`.
    pub id: u64,
    /// Which life of the producer; a later one fences the earlier.
    pub epoch: u16,
    /// The producer's number of the batch's first record.
    pub base_sequence: u32,
}

/// The fixed part of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Which leadership appended it.
    pub leader_epoch: LeaderEpoch,
    /// Time of its first record.
    pub append_time: Timestamp,
    /// `Some(end)`: when this batch was appended, everything before `end` was on stable storage.
    pub stable_end: Option<Offset>,
    /// `Some(end)`: when this batch was appended, everything before `end` was committed.
    pub high_watermark: Option<Offset>,
    /// Size of the whole batch in bytes, this header included.
    pub bytes: u32,
    /// Offset of its last record minus the base offset.
    pub last_offset_delta: u32,
    /// Number of records; compaction may make it less than the offsets spanned.
    pub record_count: u32,
    /// Who produced it, with idempotence; `None` without.
    pub producer: Option<ProducerStamp>,
}

impl BatchHeader {
    /// The leader's part of the batch at the start of `bytes`, of which [`LEADER_PART_BYTES`] are enough. Says nothing about
    /// what comes after: whoever walks or scans a log goes from here to [`Batch::verify`](crate::Batch::verify).
    ///
    /// # Errors
    /// When no batch begins here, or its leader's part is damaged.
    pub fn peek(bytes: &[u8]) -> Result<LeaderPart, BatchError> {
        let truncated = BatchError::Truncated { needed: LEADER_PART_BYTES, available: bytes.len() };
        LeaderPart::decode(bytes.first_chunk().ok_or(truncated)?)
    }

    /// How long the batch at the start of `bytes` claims to be, whether or not its checksums are right; `None` where no batch
    /// can be so long. Only a hint where to look.
    pub(crate) fn unverified_length(bytes: &[u8]) -> Option<u32> {
        let length = bytes.get(LENGTH_AT)?.first_chunk().copied().map(u32::from_le_bytes)?;
        LENGTHS.contains(&length).then_some(length)
    }

    /// The offset after the batch's last record.
    pub fn end_offset(&self) -> Offset {
        self.base_offset.plus(u64::from(self.last_offset_delta)).next()
    }

    /// No record of the batch is later: the append time and a nanosecond for every later offset.
    pub fn latest_time(&self) -> Timestamp {
        Timestamp::from_nanos(self.append_time.as_nanos().saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The header of the whole batch in `batch`, whose leader's part was decoded before, once its checksum is right.
    pub(super) fn decode_rest(leader: LeaderPart, batch: &[u8]) -> Result<Self, BatchError> {
        let mut cursor = Cursor::new(batch);
        read(cursor.take(LEADER_PART_BYTES))?;
        let stored = read(cursor.u32())?;
        let computed = crc32c(cursor.rest());
        if computed != stored {
            return Err(BatchError::Checksum { stored, computed });
        }
        check_flags(read(cursor.u16())?)?;
        let producer_epoch = read(cursor.u16())?;
        let last_offset_delta = read(cursor.u32())?;
        let producer_id = read(cursor.u64())?;
        let record_count = read(cursor.u32())?;
        let base_sequence = read(cursor.u32())?;
        let producer = match producer_id {
            PRODUCER_NONE => None,
            id => Some(ProducerStamp { id, epoch: producer_epoch, base_sequence }),
        };
        let LeaderPart { base_offset, leader_epoch, append_time, stable_end, high_watermark, bytes } = leader;
        let header = Self {
            base_offset,
            leader_epoch,
            append_time,
            stable_end,
            high_watermark,
            bytes,
            last_offset_delta,
            record_count,
            producer,
        };
        header.check()?;
        Ok(header)
    }

    /// Whether values fit together that no checksum can judge.
    fn check(&self) -> Result<(), BatchError> {
        let span = u64::from(self.last_offset_delta);
        // The end must be an offset and the latest time a time, so that no arithmetic on records can overflow.
        let offsets_fit = self.base_offset.get().checked_add(span).is_some_and(|last| last < Offset::MAX.get());
        let times_fit = self.append_time.as_nanos().checked_add(i64::from(self.last_offset_delta)).is_some();
        if !(offsets_fit && times_fit) {
            return Err(BatchError::Field { field: "last offset delta", value: span });
        }
        let count = u64::from(self.record_count);
        if count > span + 1 {
            return Err(BatchError::Field { field: "record count", value: count });
        }
        Ok(())
    }

    /// Writes the header, both checksums included, over the first bytes of `batch`, which holds the records after it.
    pub(super) fn encode_into(&self, batch: &mut [u8]) {
        let none = ProducerStamp { id: PRODUCER_NONE, epoch: 0, base_sequence: 0 };
        let producer = self.producer.unwrap_or(none);
        batch[..LEADER_PART_BYTES].copy_from_slice(&self.leader_part().encode());
        batch[48..50].copy_from_slice(&FLAGS_NONE.to_le_bytes());
        batch[50..52].copy_from_slice(&producer.epoch.to_le_bytes());
        batch[LAST_OFFSET_DELTA_AT].copy_from_slice(&self.last_offset_delta.to_le_bytes());
        batch[56..64].copy_from_slice(&producer.id.to_le_bytes());
        batch[RECORD_COUNT_AT].copy_from_slice(&self.record_count.to_le_bytes());
        batch[68..HEADER_BYTES].copy_from_slice(&producer.base_sequence.to_le_bytes());
        let crc = crc32c(&batch[48..]);
        batch[44..48].copy_from_slice(&crc.to_le_bytes());
    }

    fn leader_part(&self) -> LeaderPart {
        let Self { base_offset, leader_epoch, append_time, stable_end, high_watermark, bytes, .. } = *self;
        LeaderPart { base_offset, leader_epoch, append_time, stable_end, high_watermark, bytes }
    }
}

fn check_flags(flags: u16) -> Result<(), BatchError> {
    let unsupported = |feature| Err(BatchError::Unsupported { feature });
    match flags {
        FLAGS_NONE => Ok(()),
        _ if flags & FLAG_CODEC_MASK != 0 => unsupported("compression"),
        _ if flags & FLAG_ENCRYPTED != 0 => unsupported("encryption"),
        _ if flags & FLAG_TRANSACTIONAL != 0 => unsupported("transactions"),
        _ if flags & FLAG_CONTROL != 0 => unsupported("control records"),
        _ => unsupported("a flag of a later version"),
    }
}

/// A fixed-width field of the header. The caller checked that the header is all there, so the error is only a formality.
fn read<T>(field: Result<T, CodecError>) -> Result<T, BatchError> {
    field.map_err(|_| BatchError::Truncated { needed: HEADER_BYTES, available: 0 })
}
