//! Messages on their way in, and the answers to them.

use std::collections::HashMap;

use bytes::Bytes;
use liftbridge_broker::{Acked, Publish, PublishToSubject};
use liftbridge_proto::api::{self, PublishRequest, PublishToSubjectRequest};
use liftbridge_types::{AckPolicy, Header, Message};

use super::InvalidRequest;

/// What an answer repeats of the request, for the publisher to recognise it by.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplyTo {
    pub(crate) correlation_id: String,
    pub(crate) ack_inbox: String,
}

/// The domain's form of a message for one partition. One that means nothing is answered too, so its address comes back.
pub(crate) fn publish(wire: PublishRequest) -> Result<(Publish, ReplyTo), (InvalidRequest, ReplyTo)> {
    let reply_to = ReplyTo { correlation_id: wire.correlation_id, ack_inbox: wire.ack_inbox };
    let ack_policy = match ack_policy(wire.ack_policy) {
        Ok(policy) => policy,
        Err(error) => return Err((error, reply_to)),
    };
    let publish = Publish {
        ack_policy,
        message: message(wire.key, wire.value, wire.headers),
        arrived_on: None,
        stream: wire.stream.into(),
        partition: wire.partition,
        expected_offset: wire.expected_offset,
    };
    Ok((publish, reply_to))
}

/// The domain's form of a message for every partition on a subject.
pub(crate) fn publish_to_subject(wire: PublishToSubjectRequest) -> Result<(PublishToSubject, ReplyTo), InvalidRequest> {
    let publish = PublishToSubject {
        ack_policy: ack_policy(wire.ack_policy)?,
        message: message(wire.key, wire.value, wire.headers),
        subject: wire.subject,
    };
    Ok((publish, ReplyTo { correlation_id: wire.correlation_id, ack_inbox: wire.ack_inbox }))
}

/// The policy that the API gives this number.
pub(crate) fn ack_policy(number: i32) -> Result<AckPolicy, InvalidRequest> {
    match api::AckPolicy::try_from(number) {
        Ok(api::AckPolicy::Leader) => Ok(AckPolicy::Leader),
        Ok(api::AckPolicy::All) => Ok(AckPolicy::All),
        Ok(api::AckPolicy::None) => Ok(AckPolicy::None),
        Err(_) => Err(InvalidRequest::AckPolicy { number }),
    }
}

/// The API cannot tell a missing key from an empty one, so an empty one is missing.
fn message(key: Bytes, value: Bytes, headers: HashMap<String, Bytes>) -> Message {
    Message { key: Some(key).filter(|key| !key.is_empty()), value, headers: sorted(headers) }
}

/// Headers by name, so that equal messages are stored as equal bytes.
fn sorted(headers: HashMap<String, Bytes>) -> Vec<Header> {
    let mut headers: Vec<Header> =
        headers.into_iter().map(|(name, value)| Header { name: name.into(), value }).collect();
    headers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    headers
}

/// The acknowledgement of a stored message.
pub(crate) fn ack(acked: &Acked, policy: AckPolicy, reply_to: ReplyTo) -> api::Ack {
    let route = &acked.route;
    api::Ack {
        stream: route.stream.as_str().to_owned(),
        partition_subject: route.stream_subject.as_str().to_owned(),
        msg_subject: route.partition_subject.as_str().to_owned(),
        offset: super::metadata::inclusive(acked.offset),
        ack_inbox: reply_to.ack_inbox,
        correlation_id: reply_to.correlation_id,
        ack_policy: wire_ack_policy(policy).into(),
        reception_timestamp: acked.received_at.as_nanos(),
        commit_timestamp: acked.acked_at.as_nanos(),
        ack_error: api::ack::Error::Ok.into(),
    }
}

/// The refusal of a message published on `subject`.
pub(crate) fn nack(error: api::ack::Error, subject: String, policy: AckPolicy, reply_to: ReplyTo) -> api::Ack {
    api::Ack {
        msg_subject: subject,
        ack_inbox: reply_to.ack_inbox,
        correlation_id: reply_to.correlation_id,
        ack_policy: wire_ack_policy(policy).into(),
        ack_error: error.into(),
        ..api::Ack::default()
    }
}

/// The policy as the API writes it.
pub(crate) fn wire_ack_policy(policy: AckPolicy) -> api::AckPolicy {
    match policy {
        AckPolicy::Leader => api::AckPolicy::Leader,
        AckPolicy::All => api::AckPolicy::All,
        AckPolicy::None => api::AckPolicy::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &'static str, value: &'static str) -> Header {
        Header { name: name.into(), value: value.into() }
    }

    #[test]
    fn headers_are_stored_by_name() {
        let headers = ["b", "a"].map(|name| (name.to_owned(), Bytes::from_static(b"x")));
        let wire = PublishRequest { headers: headers.into(), ..PublishRequest::default() };
        let (publish, _) = publish(wire).unwrap();
        assert_eq!(publish.message.headers, [header("a", "x"), header("b", "x")]);
    }

    #[test]
    fn an_empty_key_is_a_missing_key() {
        let (without, _) = publish(PublishRequest::default()).unwrap();
        assert_eq!(without.message.key, None);
        let (with, _) = publish(PublishRequest { key: "k".into(), ..PublishRequest::default() }).unwrap();
        assert_eq!(with.message.key, Some("k".into()));
    }

    #[test]
    fn an_unknown_ack_policy_is_refused_and_not_guessed() {
        let unknown = publish(PublishRequest { ack_policy: 3, ..PublishRequest::default() });
        assert_eq!(unknown.unwrap_err().0, InvalidRequest::AckPolicy { number: 3 });
        let unknown = publish_to_subject(PublishToSubjectRequest { ack_policy: -1, ..Default::default() });
        assert_eq!(unknown.unwrap_err().to_string(), "Unknown AckPolicy -1");
    }
}
