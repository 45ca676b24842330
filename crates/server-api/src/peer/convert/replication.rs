//! Messages between the leader and the followers of a partition.

use liftbridge_broker::{LogTail, PartitionMessage, ReplicaMessage, ReplicaMessageBody as Body};
use liftbridge_proto::v1;
use liftbridge_proto::v1::replication_message::Body as Wire;
use liftbridge_types::{BrokerIncarnation, LeaderEpoch, Offset, PartitionId, StreamId};

use super::Malformed;

/// The wire's form of a message. Batches are shared with it, not copied.
pub(crate) fn wire_partition_message(sent: PartitionMessage) -> v1::ReplicationMessage {
    let PartitionMessage { stream, partition, message: ReplicaMessage { leader_epoch, body } } = sent;
    let body = match body {
        Body::Begin => Wire::Begin(v1::Empty {}),
        Body::Position { incarnation, tail, durable_end, intact, full } => Wire::Position(v1::ReplicationPosition {
            incarnation: incarnation.get(),
            tail: Some(wire_tail(tail)),
            durable_end: durable_end.get(),
            intact,
            full,
        }),
        Body::EpochEnd { asked, answer } => {
            Wire::EpochEnd(v1::ReplicationEpochEnd { asked: Some(wire_tail(asked)), answer: Some(wire_tail(answer)) })
        }
        Body::Reset { asked, start } => {
            Wire::Reset(v1::ReplicationReset { asked: Some(wire_tail(asked)), start: start.get() })
        }
        Body::Append { previous, high_watermark, batches } => Wire::Append(v1::ReplicationAppend {
            previous: Some(wire_tail(previous)),
            high_watermark: high_watermark.get(),
            batches,
        }),
        Body::Progress { incarnation, durable_end } => {
            Wire::Progress(v1::ReplicationProgress { incarnation: incarnation.get(), durable_end: durable_end.get() })
        }
        Body::Fenced => Wire::Fenced(v1::Empty {}),
        Body::Damaged { incarnation, offsets } => Wire::Damaged(v1::ReplicationDamaged {
            incarnation: incarnation.get(),
            start: offsets.start.get(),
            end: offsets.end.get(),
        }),
        Body::Repair { start, batches } => Wire::Repair(v1::ReplicationRepair { start: start.get(), batches }),
    };
    v1::ReplicationMessage {
        stream_id: stream.get(),
        partition: partition.get(),
        leader_epoch: leader_epoch.get(),
        body: Some(body),
    }
}

/// The domain's form of a message.
pub(crate) fn partition_message(wire: v1::ReplicationMessage) -> Result<PartitionMessage, Malformed> {
    let partition = PartitionId::new(wire.partition).ok_or(Malformed { field: "partition" })?;
    let body = match wire.body.ok_or(Malformed { field: "body" })? {
        Wire::Begin(_) => Body::Begin,
        Wire::Position(position) => Body::Position {
            incarnation: BrokerIncarnation::new(position.incarnation),
            tail: tail(position.tail)?,
            durable_end: Offset::new(position.durable_end),
            intact: position.intact,
            full: position.full,
        },
        Wire::EpochEnd(end) => Body::EpochEnd { asked: tail(end.asked)?, answer: tail(end.answer)? },
        Wire::Reset(reset) => Body::Reset { asked: tail(reset.asked)?, start: Offset::new(reset.start) },
        Wire::Append(append) => Body::Append {
            previous: tail(append.previous)?,
            high_watermark: Offset::new(append.high_watermark),
            batches: append.batches,
        },
        Wire::Progress(progress) => Body::Progress {
            incarnation: BrokerIncarnation::new(progress.incarnation),
            durable_end: Offset::new(progress.durable_end),
        },
        Wire::Fenced(_) => Body::Fenced,
        Wire::Damaged(damaged) => Body::Damaged {
            incarnation: BrokerIncarnation::new(damaged.incarnation),
            offsets: Offset::new(damaged.start)..Offset::new(damaged.end),
        },
        Wire::Repair(repair) => Body::Repair { start: Offset::new(repair.start), batches: repair.batches },
    };
    let message = ReplicaMessage::new(LeaderEpoch::new(wire.leader_epoch), body);
    Ok(PartitionMessage { stream: StreamId::new(wire.stream_id), partition, message })
}

fn wire_tail(tail: LogTail) -> v1::LogTail {
    v1::LogTail { epoch: tail.epoch.map(LeaderEpoch::get), end: tail.end.get() }
}

fn tail(wire: Option<v1::LogTail>) -> Result<LogTail, Malformed> {
    let wire = wire.ok_or(Malformed { field: "tail" })?;
    Ok(LogTail { epoch: wire.epoch.map(LeaderEpoch::new), end: Offset::new(wire.end) })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(body: Body) -> PartitionMessage {
        PartitionMessage {
            stream: StreamId::new(u64::MAX),
            partition: PartitionId::new(7).unwrap(),
            message: ReplicaMessage::new(LeaderEpoch::new(9), body),
        }
    }

    #[test]
    fn every_message_comes_out_as_it_went_in() {
        let offset = Offset::new;
        let incarnation = BrokerIncarnation::new(3);
        let empty = LogTail { epoch: None, end: offset(0) };
        let tail = LogTail { epoch: Some(LeaderEpoch::new(0)), end: offset(u64::MAX) };
        let batches = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")];
        let bodies = [
            Body::Begin,
            Body::Position { incarnation, tail, durable_end: offset(4), intact: true, full: false },
            Body::Position { incarnation, tail: empty, durable_end: offset(0), intact: false, full: true },
            Body::EpochEnd { asked: tail, answer: empty },
            Body::Reset { asked: empty, start: offset(5) },
            Body::Append { previous: tail, high_watermark: offset(6), batches: batches.clone() },
            Body::Append { previous: empty, high_watermark: offset(0), batches: Vec::new() },
            Body::Progress { incarnation, durable_end: offset(8) },
            Body::Fenced,
            Body::Damaged { incarnation, offsets: offset(1)..offset(2) },
            Body::Repair { start: offset(1), batches },
        ];
        for body in bodies {
            let sent = message(body);
            assert_eq!(partition_message(wire_partition_message(sent.clone())), Ok(sent));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let sound = wire_partition_message(message(Body::Begin));
        let refused = |wire, field| assert_eq!(partition_message(wire), Err(Malformed { field }));
        refused(v1::ReplicationMessage { partition: u32::MAX, ..sound.clone() }, "partition");
        refused(v1::ReplicationMessage { body: None, ..sound.clone() }, "body");
        let tailless = Wire::Append(v1::ReplicationAppend::default());
        refused(v1::ReplicationMessage { body: Some(tailless), ..sound }, "tail");
    }
}
