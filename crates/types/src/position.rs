//! Positions in a log and the counters that order decisions about it. Owns their arithmetic; never a position in a file.

use std::fmt;

/// The position of one record in a partition's log, counted from 0 without gaps at append time.
///
/// Ranges of offsets are half-open: a *log end* is the offset the next record will get, a *high watermark* the end of
/// what is committed. The inclusive numbers of the public API (with -1 for none) exist only at the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Self = Self(0);
    /// The largest offset, which no record ever reaches; as an end it means "without end".
    pub const MAX: Self = Self(u64::MAX);

    /// The offset with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset `count` records later, or [`Offset::MAX`] where that would overflow.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The offset right after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The offset right before this one; `None` before the first.
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// How many offsets lie in `earlier..self`; 0 when `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The value with this number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number itself.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// Which leadership wrote a batch. Grows with every leader of a partition; the metadata log's index of the decision.
    LeaderEpoch
}
counter! {
    /// The version of a partition's agreed state (leader, in-sync replicas). Changes to it are compare-and-set on this.
    PartitionEpoch
}
counter! {
    /// Which life of a broker speaks: a broker that comes back has a larger one, so its earlier self is fenced.
    BrokerIncarnation
}
