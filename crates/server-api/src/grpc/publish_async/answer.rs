//! The bytes of a `PublishResponse`. Owns that the generated code reads them as the acknowledgement they are; never when one
//! is given.

use bytes::BufMut;
use liftbridge_broker::Acked;
use liftbridge_proto::api;
use liftbridge_types::AckPolicy;
use prost::Message as _;

use super::message::CorrelationId;
use crate::grpc::convert;

/// One answer on its way out.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The message was stored to the degree its policy asked for.
    Acked {
        /// Where it is.
        acked: Acked,
        /// Its policy.
        policy: AckPolicy,
        /// What the publisher recognises it by.
        correlation_id: CorrelationId,
    },
    /// It was not.
    Refused {
        /// Why.
        error: api::PublishAsyncError,
        /// What the publisher recognises it by.
        correlation_id: CorrelationId,
    },
}

const RESPONSE_ACK: u8 = 1 << 3 | DELIMITED;
const RESPONSE_CORRELATION_ID: u8 = 3 << 3 | DELIMITED;
const ACK_STREAM: u8 = 1 << 3 | DELIMITED;
const ACK_PARTITION_SUBJECT: u8 = 2 << 3 | DELIMITED;
const ACK_MSG_SUBJECT: u8 = 3 << 3 | DELIMITED;
const ACK_OFFSET: u8 = 4 << 3;
const ACK_CORRELATION_ID: u8 = 6 << 3 | DELIMITED;
const ACK_ACK_POLICY: u8 = 7 << 3;
const ACK_RECEPTION_TIMESTAMP: u8 = 8 << 3;
const ACK_COMMIT_TIMESTAMP: u8 = 9 << 3;

/// Wire type of texts and messages.
const DELIMITED: u8 = 2;

impl Answer {
    /// Writes the answer.
    pub(super) fn encode(&self, into: &mut impl BufMut) {
        match self {
            Self::Acked { acked, policy, correlation_id } => encode_acked(acked, *policy, correlation_id, into),
            Self::Refused { error, correlation_id } => {
                // Its ack is there but empty, because older clients look at nothing else.
                let (ack, async_error) = (Some(api::Ack::default()), Some(error.clone()));
                let correlation_id = String::from_utf8_lossy(correlation_id).into_owned();
                let response = api::PublishResponse { ack, async_error, correlation_id };
                response.encode(into).expect("the buffer grows as needed");
            }
        }
    }
}

fn encode_acked(acked: &Acked, policy: AckPolicy, correlation_id: &[u8], into: &mut impl BufMut) {
    let route = &acked.route;
    let fields = [
        (ACK_STREAM, Field::Text(route.stream.as_str().as_bytes())),
        (ACK_PARTITION_SUBJECT, Field::Text(route.stream_subject.as_str().as_bytes())),
        (ACK_MSG_SUBJECT, Field::Text(route.partition_subject.as_str().as_bytes())),
        (ACK_OFFSET, Field::Number(convert::inclusive(acked.offset))),
        (ACK_CORRELATION_ID, Field::Text(correlation_id)),
        (ACK_ACK_POLICY, Field::Number(i32::from(convert::wire_ack_policy(policy)).into())),
        (ACK_RECEPTION_TIMESTAMP, Field::Number(acked.received_at.as_nanos())),
        (ACK_COMMIT_TIMESTAMP, Field::Number(acked.acked_at.as_nanos())),
    ];
    into.put_u8(RESPONSE_ACK);
    put_varint(fields.iter().map(|(_, field)| field.bytes()).sum::<usize>() as u64, into);
    fields.iter().for_each(|(tag, field)| field.put(*tag, into));
    Field::Text(correlation_id).put(RESPONSE_CORRELATION_ID, into);
}

/// A field of a message; one that is empty or 0 is left out.
#[derive(Clone, Copy)]
enum Field<'a> {
    Text(&'a [u8]),
    Number(i64),
}

impl Field<'_> {
    /// What it takes with its tag.
    fn bytes(self) -> usize {
        match self {
            Self::Text([]) | Self::Number(0) => 0,
            Self::Text(text) => 1 + varint_bytes(text.len() as u64) + text.len(),
            Self::Number(number) => 1 + varint_bytes(number.cast_unsigned()),
        }
    }

    fn put(self, tag: u8, into: &mut impl BufMut) {
        match self {
            Self::Text([]) | Self::Number(0) => {}
            Self::Text(text) => {
                into.put_u8(tag);
                put_varint(text.len() as u64, into);
                into.put_slice(text);
            }
            Self::Number(number) => {
                into.put_u8(tag);
                put_varint(number.cast_unsigned(), into);
            }
        }
    }
}

fn varint_bytes(number: u64) -> usize {
    let bits = u64::BITS - (number | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn put_varint(mut number: u64, into: &mut impl BufMut) {
    let mut bytes = [0; 10];
    let mut length = 0;
    for byte in &mut bytes {
        length += 1;
        let [lowest, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            *byte = lowest & 0x7f;
            break;
        }
        *byte = lowest | 0x80;
    }
    into.put_slice(bytes.get(..length).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use liftbridge_broker::PartitionRoute;
    use liftbridge_types::{Offset, PartitionId, StreamName, Subject, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn encoded(answer: &Answer) -> api::PublishResponse {
        let mut bytes = Vec::new();
        answer.encode(&mut bytes);
        api::PublishResponse::decode(&bytes[..]).unwrap()
    }

    proptest! {
        #[test]
        fn an_acknowledgement_is_what_the_generated_code_would_write(
            offset in 0..i64::MAX.cast_unsigned(), received: i64, acked: i64, id in ".{0,60}", policy in 0..3,
        ) {
            let policy = [AckPolicy::Leader, AckPolicy::All, AckPolicy::None][policy as usize];
            let route = Arc::new(PartitionRoute {
                stream: StreamName::new("foo-stream").unwrap(),
                partition: PartitionId::from_wire(3).unwrap(),
                stream_subject: Subject::new("foo").unwrap(),
                partition_subject: Subject::new("foo.3").unwrap(),
            });
            let (received_at, acked_at) = (Timestamp::from_nanos(received), Timestamp::from_nanos(acked));
            let acked = Acked { route, offset: Offset::new(offset), received_at, acked_at };
            let ack = api::Ack { correlation_id: id.clone(), ..convert::ack(&acked, policy, Default::default()) };
            let ack = Some(ack);
            let expected = api::PublishResponse { ack, async_error: None, correlation_id: id.clone() };
            let answer = Answer::Acked { acked, policy, correlation_id: CorrelationId::from_slice(id.as_bytes()) };
            let mut bytes = Vec::new();
            answer.encode(&mut bytes);
            prop_assert_eq!(bytes, expected.encode_to_vec());
        }
    }

    #[test]
    fn a_refusal_has_an_empty_ack_for_older_clients() {
        let error = api::PublishAsyncError { code: 2, message: "no such partition".to_owned() };
        let refused = Answer::Refused { error: error.clone(), correlation_id: CorrelationId::from_slice(b"7") };
        let expected = api::PublishResponse {
            ack: Some(api::Ack::default()),
            async_error: Some(error),
            correlation_id: "7".to_owned(),
        };
        assert_eq!(encoded(&refused), expected);
    }
}
