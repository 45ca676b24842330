//! Calls between servers: joining, signs of life, proposals.

use liftbridge_broker::{Heartbeat, HeartbeatAnswer, Join, JoinAnswer, LogIndex, ProposeAnswer, Rejection};
use liftbridge_proto::v1;
use liftbridge_proto::v1::heartbeat_answer::Answer as WireHeartbeat;
use liftbridge_proto::v1::join_answer::Answer as WireJoin;
use liftbridge_proto::v1::propose_answer::Answer as WirePropose;
use liftbridge_types::{BrokerId, BrokerIncarnation};

use super::Malformed;

const NOTHING: v1::Empty = v1::Empty {};

/// The wire's form of a request to be let in.
pub(crate) fn wire_join(join: Join) -> v1::JoinRequest {
    v1::JoinRequest {
        broker_id: join.broker_id.as_str().to_owned(),
        directory_id: join.directory_id,
        peer_address: join.peer_address,
        namespace: join.namespace,
        cluster_id: join.cluster_id.unwrap_or_default(),
        raft_id: join.raft_id.unwrap_or_default(),
        feature_level_min: *join.feature_levels.start(),
        feature_level_max: *join.feature_levels.end(),
    }
}

/// The domain's form of it. Nobody asks but for itself.
pub(crate) fn join(from: &BrokerId, wire: v1::JoinRequest) -> Result<Join, Malformed> {
    Ok(Join {
        broker_id: own(from, &wire.broker_id)?,
        directory_id: wire.directory_id,
        peer_address: wire.peer_address,
        namespace: wire.namespace,
        cluster_id: Some(wire.cluster_id).filter(|id| !id.is_empty()),
        raft_id: Some(wire.raft_id).filter(|id| *id > 0),
        feature_levels: wire.feature_level_min..=wire.feature_level_max,
    })
}

/// The wire's form of the answer.
pub(crate) fn wire_join_answer(answer: JoinAnswer) -> v1::JoinAnswer {
    let answer = match answer {
        JoinAnswer::Accepted { raft_id, cluster_id, peers } => {
            let peer = |(id, address): (BrokerId, String)| (id.as_str().to_owned(), address);
            WireJoin::Accepted(v1::JoinAccepted { raft_id, cluster_id, peers: peers.into_iter().map(peer).collect() })
        }
        JoinAnswer::Refused { reason } => WireJoin::Refused(reason),
        JoinAnswer::Removed => WireJoin::Removed(NOTHING),
        JoinAnswer::AskController { address } => WireJoin::ControllerAddress(address),
        JoinAnswer::Starting => WireJoin::Starting(NOTHING),
        JoinAnswer::NoController => WireJoin::NoController(NOTHING),
    };
    v1::JoinAnswer { answer: Some(answer) }
}

/// The domain's form of the answer.
pub(crate) fn join_answer(wire: v1::JoinAnswer) -> Result<JoinAnswer, Malformed> {
    Ok(match wire.answer.ok_or(Malformed { field: "answer" })? {
        WireJoin::Accepted(v1::JoinAccepted { raft_id, cluster_id, peers }) => {
            let peer = |(id, address): (String, String)| Ok((broker(&id)?, address));
            JoinAnswer::Accepted { raft_id, cluster_id, peers: peers.into_iter().map(peer).collect::<Result<_, _>>()? }
        }
        WireJoin::Refused(reason) => JoinAnswer::Refused { reason },
        WireJoin::Removed(_) => JoinAnswer::Removed,
        WireJoin::ControllerAddress(address) => JoinAnswer::AskController { address },
        WireJoin::Starting(_) => JoinAnswer::Starting,
        WireJoin::NoController(_) => JoinAnswer::NoController,
    })
}

/// The wire's form of a sign of life.
pub(crate) fn wire_heartbeat(heartbeat: &Heartbeat) -> v1::HeartbeatRequest {
    v1::HeartbeatRequest {
        broker_id: heartbeat.broker_id.as_str().to_owned(),
        incarnation: heartbeat.incarnation.get(),
        applied: heartbeat.applied.get(),
    }
}

/// The domain's form of it. Nobody speaks but for itself.
pub(crate) fn heartbeat(from: &BrokerId, wire: &v1::HeartbeatRequest) -> Result<Heartbeat, Malformed> {
    Ok(Heartbeat {
        broker_id: own(from, &wire.broker_id)?,
        incarnation: BrokerIncarnation::new(wire.incarnation),
        applied: LogIndex::new(wire.applied),
    })
}

/// The wire's form of the answer.
pub(crate) fn wire_heartbeat_answer(answer: HeartbeatAnswer) -> v1::HeartbeatAnswer {
    let answer = match answer {
        HeartbeatAnswer::Alive => WireHeartbeat::Alive(NOTHING),
        HeartbeatAnswer::Fenced => WireHeartbeat::Fenced(NOTHING),
        HeartbeatAnswer::Superseded => WireHeartbeat::Superseded(NOTHING),
        HeartbeatAnswer::Removed => WireHeartbeat::Removed(NOTHING),
        HeartbeatAnswer::NotController => WireHeartbeat::NotController(NOTHING),
    };
    v1::HeartbeatAnswer { answer: Some(answer) }
}

/// The domain's form of the answer.
pub(crate) fn heartbeat_answer(wire: &v1::HeartbeatAnswer) -> Result<HeartbeatAnswer, Malformed> {
    Ok(match wire.answer.as_ref().ok_or(Malformed { field: "answer" })? {
        WireHeartbeat::Alive(_) => HeartbeatAnswer::Alive,
        WireHeartbeat::Fenced(_) => HeartbeatAnswer::Fenced,
        WireHeartbeat::Superseded(_) => HeartbeatAnswer::Superseded,
        WireHeartbeat::Removed(_) => HeartbeatAnswer::Removed,
        WireHeartbeat::NotController(_) => HeartbeatAnswer::NotController,
    })
}

/// The wire's form of what became of a proposal.
pub(crate) fn wire_propose_answer(answer: ProposeAnswer) -> v1::ProposeAnswer {
    let answer = match answer {
        ProposeAnswer::Agreed(index) => WirePropose::Agreed(index.get()),
        ProposeAnswer::Rejected(rejection) => WirePropose::Rejected(rejection.encode().into()),
        ProposeAnswer::NotController => WirePropose::NotController(NOTHING),
        ProposeAnswer::Refused { reason } => WirePropose::Refused(reason),
        ProposeAnswer::Unknown => WirePropose::Unknown(NOTHING),
    };
    v1::ProposeAnswer { answer: Some(answer) }
}

/// The domain's form of it. An answer that makes no sense leaves it unknown.
pub(crate) fn propose_answer(wire: v1::ProposeAnswer) -> ProposeAnswer {
    match wire.answer {
        Some(WirePropose::Agreed(index)) => ProposeAnswer::Agreed(LogIndex::new(index)),
        Some(WirePropose::Rejected(bytes)) => {
            Rejection::decode(&bytes).map_or(ProposeAnswer::Unknown, ProposeAnswer::Rejected)
        }
        Some(WirePropose::NotController(_)) => ProposeAnswer::NotController,
        Some(WirePropose::Refused(reason)) => ProposeAnswer::Refused { reason },
        Some(WirePropose::Unknown(_)) | None => ProposeAnswer::Unknown,
    }
}

fn own(from: &BrokerId, claimed: &str) -> Result<BrokerId, Malformed> {
    match from.as_str() == claimed {
        true => Ok(from.clone()),
        false => Err(Malformed { field: "broker_id" }),
    }
}

fn broker(text: &str) -> Result<BrokerId, Malformed> {
    BrokerId::new(text).map_err(|_| Malformed { field: "broker_id" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn id(text: &str) -> BrokerId {
        BrokerId::new(text).unwrap()
    }

    #[test]
    fn requests_come_out_as_they_went_in_and_speak_for_their_sender_only() {
        for (cluster_id, raft_id) in [(None, None), (Some("c".to_owned()), Some(3))] {
            let sent = Join {
                broker_id: id("a"),
                directory_id: "d".to_owned(),
                peer_address: "h:1".to_owned(),
                namespace: "n".to_owned(),
                cluster_id,
                raft_id,
                feature_levels: 1..=2,
            };
            assert_eq!(join(&id("a"), wire_join(sent.clone())), Ok(sent.clone()));
            assert_eq!(join(&id("b"), wire_join(sent)), Err(Malformed { field: "broker_id" }));
        }
        let (incarnation, applied) = (BrokerIncarnation::new(4), LogIndex::new(5));
        let sent = Heartbeat { broker_id: id("a"), incarnation, applied };
        assert_eq!(heartbeat(&id("a"), &wire_heartbeat(&sent)), Ok(sent.clone()));
        assert_eq!(heartbeat(&id("b"), &wire_heartbeat(&sent)), Err(Malformed { field: "broker_id" }));
    }

    #[test]
    fn answers_come_out_as_they_went_in() {
        let peers = BTreeMap::from([(id("a"), "h:1".to_owned()), (id("b"), "h:2".to_owned())]);
        let answers = [
            JoinAnswer::Accepted { raft_id: 3, cluster_id: "c".to_owned(), peers },
            JoinAnswer::Refused { reason: "r".to_owned() },
            JoinAnswer::Removed,
            JoinAnswer::Starting,
            JoinAnswer::AskController { address: "h:1".to_owned() },
            JoinAnswer::NoController,
        ];
        for answer in answers {
            assert_eq!(join_answer(wire_join_answer(answer.clone())), Ok(answer));
        }
        use HeartbeatAnswer::{Alive, Fenced, NotController, Removed, Superseded};
        for answer in [Alive, Fenced, Superseded, Removed, NotController] {
            assert_eq!(heartbeat_answer(&wire_heartbeat_answer(answer)), Ok(answer));
        }
        let answers = [
            ProposeAnswer::Agreed(LogIndex::new(7)),
            ProposeAnswer::Rejected(Rejection::StreamExists),
            ProposeAnswer::NotController,
            ProposeAnswer::Refused { reason: "r".to_owned() },
            ProposeAnswer::Unknown,
        ];
        for answer in answers {
            assert_eq!(propose_answer(wire_propose_answer(answer.clone())), answer);
        }
    }

    #[test]
    fn answers_that_make_no_sense_are_no_answers() {
        assert_eq!(join_answer(v1::JoinAnswer::default()), Err(Malformed { field: "answer" }));
        let odd = v1::JoinAccepted { peers: [("a/b".to_owned(), "h:1".to_owned())].into(), ..Default::default() };
        let odd = v1::JoinAnswer { answer: Some(WireJoin::Accepted(odd)) };
        assert_eq!(join_answer(odd), Err(Malformed { field: "broker_id" }));
        assert_eq!(heartbeat_answer(&v1::HeartbeatAnswer::default()), Err(Malformed { field: "answer" }));
        assert_eq!(propose_answer(v1::ProposeAnswer::default()), ProposeAnswer::Unknown);
        let odd = v1::ProposeAnswer { answer: Some(WirePropose::Rejected("odd".into())) };
        assert_eq!(propose_answer(odd), ProposeAnswer::Unknown);
    }
}
