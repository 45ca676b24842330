//! Who a message is. Owns what a message with a given id looks like, key and value, so that a changed one is seen from the
//! message alone; never where it was stored.

use std::fmt;

/// Keys each publisher uses in turn.
const KEYS: u32 = 5;
/// The shortest filler, in bytes.
const FILLER_BYTES_MIN: u32 = 64;
/// How much longer a filler may be.
const FILLER_BYTES_SPREAD: u32 = 448;

/// One attempt to publish one message. A publisher that repeats a message counts the attempts, so that copies it made itself
/// are told from those the servers made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MessageId {
    pub(super) publisher: u16,
    pub(super) sequence: u32,
    pub(super) attempt: u16,
}

impl MessageId {
    /// Its key.
    pub(super) fn key(self) -> String {
        format!("{}-{}", self.publisher, self.sequence % KEYS)
    }

    /// Its value: its name and a filler that follows from it. `conformance/go/load` writes the same.
    pub(super) fn value(self) -> Vec<u8> {
        let mut value = format!("{self} ").into_bytes();
        let filler = b'a' + u8::try_from(self.sequence % 26).expect("it is below 26");
        let filler_bytes = FILLER_BYTES_MIN + self.sequence.wrapping_mul(37) % FILLER_BYTES_SPREAD;
        value.extend((0..filler_bytes).map(|_| filler));
        value
    }

    /// Whose message this is; `None` when no publisher wrote it like this.
    pub(super) fn of(key: &[u8], value: &[u8]) -> Option<Self> {
        let name = value.split(|&byte| byte == b' ').next()?;
        let mut numbers = std::str::from_utf8(name).ok()?.split('/');
        let (publisher, sequence, attempt) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let id = Self {
            publisher: publisher.parse().ok()?,
            sequence: sequence.parse().ok()?,
            attempt: attempt.parse().ok()?,
        };
        (id.value() == value && id.key().as_bytes() == key).then_some(id)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.publisher, self.sequence, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_bytes_and_a_changed_one_is_nobodys() {
        let id = MessageId { publisher: 3, sequence: 70_001, attempt: 2 };
        let (key, mut value) = (id.key(), id.value());
        assert_eq!(MessageId::of(key.as_bytes(), &value), Some(id));
        assert_eq!(MessageId::of(b"3-9", &value), None);
        *value.last_mut().expect("it has a filler") ^= 1;
        assert_eq!(MessageId::of(key.as_bytes(), &value), None);
        assert_eq!(MessageId::of(b"", b"\xff"), None);
    }
}
