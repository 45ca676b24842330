//! What is done to a cluster. Owns the faults and their names; never how they are done.

use std::fmt;

/// One way of hurting a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of a partition's leader, started again later.
    KillLeader,
    /// `kill -9` of a server that leads nothing of a partition but keeps it.
    KillFollower,
    /// `kill -9` of the server that decides about metadata.
    KillController,
    /// `kill -9` of so many that no majority is left, all started again later.
    KillMajority,
    /// `kill -9` of all servers, started again later.
    KillAll,
    /// A partition's leader is stopped for longer than its session lasts, and goes on as if nothing had been.
    FreezeLeader,
    /// The server that decides about metadata is stopped in the same way.
    FreezeController,
    /// Every server in turn is asked to stop and started again.
    RollingRestart,
    /// The disk of one server is full for a while.
    FullDisk,
    /// A partition's leader and the other servers do not reach each other; clients reach them all.
    CutLeader,
    /// What a partition's leader sends to other servers is lost; what they send arrives.
    CutLeaderOut,
    /// What other servers send to a partition's leader is lost; what it sends arrives.
    CutLeaderIn,
    /// A partition's leader is reached by nobody, clients included.
    UnplugLeader,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::KillLeader,
        Self::KillFollower,
        Self::KillController,
        Self::KillMajority,
        Self::KillAll,
        Self::FreezeLeader,
        Self::FreezeController,
        Self::RollingRestart,
        Self::FullDisk,
        Self::CutLeader,
        Self::CutLeaderOut,
        Self::CutLeaderIn,
        Self::UnplugLeader,
    ];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillLeader => "kill-leader",
            Self::KillFollower => "kill-follower",
            Self::KillController => "kill-controller",
            Self::KillMajority => "kill-majority",
            Self::KillAll => "kill-all",
            Self::FreezeLeader => "freeze-leader",
            Self::FreezeController => "freeze-controller",
            Self::RollingRestart => "rolling-restart",
            Self::FullDisk => "full-disk",
            Self::CutLeader => "cut-leader",
            Self::CutLeaderOut => "cut-leader-out",
            Self::CutLeaderIn => "cut-leader-in",
            Self::UnplugLeader => "unplug-leader",
        }
    }

    /// Whether it takes a network of our own.
    pub(super) fn needs_network(self) -> bool {
        matches!(self, Self::CutLeader | Self::CutLeaderOut | Self::CutLeaderIn | Self::UnplugLeader)
    }

    /// Whether it takes a disk of our own.
    pub(super) fn needs_disk(self) -> bool {
        self == Self::FullDisk
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
