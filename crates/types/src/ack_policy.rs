//! What a publisher waits for. Owns the three levels; never knows how an answer travels.

/// What must be true before a publish is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckPolicy {
    /// The partition's leader has written the message to its log. Survives a crash of the process, not of the machine.
    #[default]
    Leader,
    /// Every in-sync replica has the message on stable storage. Survives whatever a minority of replicas goes through.
    All,
    /// No acknowledgement at all.
    None,
}
