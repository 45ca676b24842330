//! Names and numbers of things: brokers, streams, partitions. Owns what a legal name is; never what it stands for.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest name of a stream, broker, group or cursor, in bytes: it must fit one file name.
pub const NAME_BYTES_MAX: usize = 200;

/// Why a text cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// Nothing was given.
    #[error("Name cannot be empty")]
    Empty,
    /// Longer than [`NAME_BYTES_MAX`].
    #[error("Name is {bytes} bytes long, the limit is {NAME_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A path separator, blank, wildcard or control character: the name is also part of paths and subjects.
    #[error("Name contains {character:?}, which is not allowed")]
    Character {
        /// The first such character.
        character: char,
    },
    /// `.` and `..` name other things in a directory.
    #[error("Name cannot be `.` or `..`")]
    Dots,
}

fn check_name(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(InvalidName::TooLong { bytes: text.len() });
    }
    let illegal = |c: char| matches!(c, '/' | '\\' | '*' | '>') || c.is_whitespace() || c.is_control();
    if let Some(character) = text.chars().find(|c| illegal(*c)) {
        return Err(InvalidName::Character { character });
    }
    if text == "." || text == ".." {
        return Err(InvalidName::Dots);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, if `text` can be one.
            ///
            /// # Errors
            /// When it is empty, too long, or holds a character that paths or subjects give a meaning to.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                check_name(text)?;
                Ok(Self(text.into()))
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A stream's name, unique in its cluster.
    StreamName
}
name! {
    /// A server's id, unique in its cluster and kept for its life.
    BrokerId
}

/// Which life of a stream name is meant: a deleted and re-created stream has another id. The metadata index that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

impl StreamId {
    /// The id with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition's number within its stream, from 0; at most `i32::MAX`, which is what the API can carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(u32);

impl PartitionId {
    /// The partition with this number; `None` above `i32::MAX`.
    pub const fn new(number: u32) -> Option<Self> {
        if number <= i32::MAX as u32 { Some(Self(number)) } else { None }
    }

    /// The partition the API means; `None` for a negative number.
    pub fn from_wire(number: i32) -> Option<Self> {
        u32::try_from(number).ok().map(Self)
    }

    /// The number as the API writes it.
    #[expect(clippy::cast_possible_wrap, reason = "`new` and `from_wire` keep it at or below `i32::MAX`")]
    pub const fn to_wire(self) -> i32 {
        self.0 as i32
    }

    /// The number itself.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), InvalidName>) {
        assert_eq!(StreamName::new(text).map(|_| ()), expected);
    }

    #[test]
    fn names_that_paths_or_subjects_would_misread_are_refused() {
        check("orders", Ok(()));
        check("orders.eu-1_x", Ok(()));
        check("..orders", Ok(()));
        check("", Err(InvalidName::Empty));
        check("..", Err(InvalidName::Dots));
        check(".", Err(InvalidName::Dots));
        check("../etc", Err(InvalidName::Character { character: '/' }));
        check("a\\b", Err(InvalidName::Character { character: '\\' }));
        check("a b", Err(InvalidName::Character { character: ' ' }));
        check("a\0", Err(InvalidName::Character { character: '\0' }));
        check("a.*", Err(InvalidName::Character { character: '*' }));
        check(&"a".repeat(201), Err(InvalidName::TooLong { bytes: 201 }));
    }

    #[test]
    fn negative_partitions_do_not_exist() {
        assert_eq!(PartitionId::from_wire(-1), None);
        assert_eq!(PartitionId::from_wire(7).map(PartitionId::to_wire), Some(7));
        assert_eq!(PartitionId::new(u32::MAX), None);
    }
}
