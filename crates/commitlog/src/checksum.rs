//! CRC-32C (Castagnoli, as in iSCSI), the one checksum of everything this crate stores. Owns the choice of polynomial;
//! never what is covered by a checksum or what a wrong one means.

/// The CRC-32C of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The CRC-32C of bytes of which `crc` is that, and `more` behind them. For a few bytes: it goes bit by bit.
pub(crate) fn crc32c_append(crc: u32, more: &[u8]) -> u32 {
    let mut state = !crc;
    for byte in more {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = (state >> 1) ^ (REVERSED_POLYNOMIAL & (state & 1).wrapping_neg());
        }
    }
    !state
}

const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: u32) {
        assert_eq!(crc32c(bytes), expected, "{} bytes", bytes.len());
    }

    /// The check value of the catalogue of CRCs, and those of RFC 3720, appendix B.4.
    #[test]
    fn checksums_are_those_of_iscsi() {
        check(b"", 0);
        check(b"123456789", 0xe306_9283);
        check(&[0; 32], 0x8a91_36aa);
        check(&[0xff; 32], 0x62a8_ab43);
        check(&std::array::from_fn::<u8, 32, _>(|i| u8::try_from(i).unwrap()), 0x46dd_794e);
    }

    /// Long inputs take other code paths (wide folds) than short ones; a bitwise loop takes none.
    #[test]
    fn every_length_agrees_with_the_definition() {
        let bytes: Vec<u8> = (0..2_000_u32).map(|i| i.wrapping_mul(0x9e37_79b1).to_le_bytes()[3]).collect();
        let mut crc = 0;
        for (count, byte) in bytes.iter().enumerate() {
            check(bytes.split_at(count).0, crc);
            crc = crc32c_append(crc, &[*byte]);
        }
    }
}
