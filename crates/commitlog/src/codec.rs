//! Numbers as bytes: little-endian integers, varints, and a cursor that takes them back out of bytes nobody vouches for.
//! Owns bounds checks and the varint rule; never what a number means.
//!
//! # Varints
//! LEB128: seven bits a byte, the lowest first, the top bit set on every byte but the last. At most 10 bytes, for a
//! `u32` at most 5. Every number has one encoding: a longer one than needed is refused, so that equal records are equal
//! bytes. Signed numbers are zigzagged first (0, -1, 1, -2, ... become 0, 1, 2, 3, ...).

use thiserror::Error;

/// The longest varint, in bytes.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Why a number or a run of bytes could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum CodecError {
    /// Fewer bytes are left than asked for.
    #[error("bytes end too early")]
    End,
    /// A varint is longer than it needs to be, or than its type can be.
    #[error("varint is malformed")]
    Varint,
}

/// Takes values off the front of bytes, never beyond their end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor before the first of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CodecError::End)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(CodecError::End)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, CodecError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, CodecError> {
        self.array().map(i64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn varint_u64(&mut self) -> Result<u64, CodecError> {
        if let Some((&first, rest)) = self.rest.split_first()
            && first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(VARINT_BYTES_MAX).enumerate() {
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * index;
            if bits << shift >> shift != bits {
                return Err(CodecError::Varint);
            }
            value |= bits << shift;
            if byte < 0x80 {
                self.take(index + 1)?;
                let is_minimal = byte != 0 || index == 0;
                return if is_minimal { Ok(value) } else { Err(CodecError::Varint) };
            }
        }
        Err(if self.rest.len() < VARINT_BYTES_MAX { CodecError::End } else { CodecError::Varint })
    }

    #[inline]
    pub(crate) fn varint_u32(&mut self) -> Result<u32, CodecError> {
        u32::try_from(self.varint_u64()?).map_err(|_| CodecError::Varint)
    }

    #[inline]
    pub(crate) fn varint_i64(&mut self) -> Result<i64, CodecError> {
        self.varint_u64().map(unzigzag)
    }

    /// A varint length and that many bytes.
    #[inline]
    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8], CodecError> {
        let count = self.varint_u32()?;
        self.take(usize::try_from(count).map_err(|_| CodecError::End)?)
    }
}

/// Appends one varint.
#[inline]
pub(crate) fn put_varint(target: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        target.push(low | 0x80);
        value >>= 7;
    }
    let [last, ..] = value.to_le_bytes();
    target.push(last);
}

/// How many short varints are put together at most.
const RUN_MAX: usize = 5;
/// Varints below this have at most three bytes, so that a run of them fits 128 bits.
const SHORT_END: u64 = 1 << 21;

/// Appends several varints. Short ones, which nearly all are, are put together in a register and stored at once: byte by
/// byte they would cost more than copying a small record.
#[inline]
pub(crate) fn put_varints<const N: usize>(target: &mut Vec<u8>, values: [u64; N]) {
    const { assert!(N <= RUN_MAX) };
    if values.iter().any(|value| *value >= SHORT_END) {
        return values.iter().for_each(|value| put_varint(target, *value));
    }
    let (mut run, mut bits) = (0_u128, 0);
    for value in values {
        let has_second = u64::from(value >= 0x80);
        let has_third = u64::from(value >= 0x4000);
        let spread = (value & 0x7f) | ((value & 0x3f80) << 1) | ((value & 0x1f_c000) << 2);
        run |= u128::from(spread | (has_second << 7) | (has_third << 15)) << bits;
        bits += 8 * (1 + has_second + has_third);
    }
    let end = target.len() + usize::try_from(bits / 8).expect("a run has at most 15 bytes");
    target.extend_from_slice(&run.to_le_bytes());
    target.truncate(end);
}

/// How many bytes the varint of `value` has.
#[inline]
pub(crate) const fn varint_bytes(value: u64) -> usize {
    if value < SHORT_END {
        return 1 + (value >= 0x80) as usize + (value >= 0x4000) as usize;
    }
    (64 - value.leading_zeros()).div_ceil(7) as usize
}

/// Maps signed numbers near zero to small unsigned ones.
#[inline]
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
#[inline]
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn varint(value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        bytes
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<u64, CodecError>) {
        assert_eq!(Cursor::new(bytes).varint_u64(), expected, "{bytes:02x?}");
    }

    #[test]
    fn varints_have_one_encoding() {
        check(&[0x00], Ok(0));
        check(&[0x7f], Ok(127));
        check(&[0x80, 0x01], Ok(128));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(u64::MAX));
        check(&[0x80, 0x00], Err(CodecError::Varint));
        check(&[0xff, 0x80, 0x00], Err(CodecError::Varint));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], Err(CodecError::Varint));
        check(&[0x80; 11], Err(CodecError::Varint));
        check(&[0x80; 9], Err(CodecError::End));
        check(&[], Err(CodecError::End));
    }

    #[test]
    fn a_u32_beyond_its_range_is_refused() {
        assert_eq!(Cursor::new(&varint(u64::from(u32::MAX))).varint_u32(), Ok(u32::MAX));
        assert_eq!(Cursor::new(&varint(u64::from(u32::MAX) + 1)).varint_u32(), Err(CodecError::Varint));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert_eq!(Cursor::new(&[2, b'a', b'b']).prefixed(), Ok(b"ab".as_slice()));
        assert_eq!(Cursor::new(&[3, b'a', b'b']).prefixed(), Err(CodecError::End));
        assert_eq!(Cursor::new(&varint(u64::MAX)).prefixed(), Err(CodecError::Varint));
    }

    proptest! {
        #[test]
        fn numbers_survive_the_round_trip(value: u64, shift in 0..64_u32, signed: i64) {
            let value = value >> shift;
            let bytes = varint(value);
            prop_assert_eq!(bytes.len(), varint_bytes(value));
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.varint_u64(), Ok(value));
            prop_assert_eq!(cursor.remaining(), 0);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }

        #[test]
        fn a_run_of_varints_is_one_after_the_other(values: [u64; RUN_MAX], shift in 0..64_u32) {
            let values = values.map(|value| value >> shift);
            let mut run = vec![0xaa];
            put_varints(&mut run, values);
            let mut single = vec![0xaa];
            values.iter().for_each(|value| put_varint(&mut single, *value));
            prop_assert_eq!(run, single);
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut cursor = Cursor::new(&bytes);
            if let Ok(value) = cursor.varint_u64() {
                let used = bytes.len() - cursor.remaining();
                prop_assert_eq!(varint(value), bytes.split_at(used).0);
            }
        }
    }
}
