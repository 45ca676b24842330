//! A publish on its way to one partition. Owns what of a message is stored; never where.

use bytes::Bytes;
use liftbridge_commitlog::RECORD_HEADERS_MAX;
use liftbridge_types::{AckPolicy, Header, Message, Subject};

use crate::admission::AdmissionPermit;
use crate::errors::PublishError;
use crate::publish_reply::PublishReply;
use crate::requests::Publish;

/// The header that keeps the subject a message arrived on. Publishers cannot set it.
const SUBJECT_HEADER: &[u8] = b"subject";
/// The header that keeps where a message's sender expects replies. Publishers cannot set it.
const REPLY_HEADER: &[u8] = b"reply";
/// Headers a publisher may send along: the server adds two.
const PUBLISHED_HEADERS_MAX: usize = RECORD_HEADERS_MAX - 2;

/// A publish on its way to one partition.
#[derive(Debug)]
pub(crate) struct Proposal {
    /// What to store.
    pub(crate) message: Message,
    /// The literal subject it arrived on, when that is not the partition's own.
    pub(crate) arrived_on: Option<Subject>,
    /// Where its sender expects replies; empty = nowhere.
    pub(crate) reply_subject: Bytes,
    /// What to wait for before `reply` is answered. With [`AckPolicy::None`] it is answered like with
    /// [`AckPolicy::Leader`]: whether a success is told is the edge's choice, a refusal may be told under every policy.
    pub(crate) ack_policy: AckPolicy,
    /// The offset it must get when the stream has optimistic concurrency control; -1 = any.
    pub(crate) expected_offset: i64,
    /// The answer owed. Dropped unanswered it says `Closed`.
    pub(crate) reply: PublishReply,
    /// Its share of the node's bound on waiting bytes, held until it is answered.
    pub(crate) permit: AdmissionPermit,
}

impl Proposal {
    /// A message that is meant for this very partition.
    pub(crate) fn new(request: Publish, reply: PublishReply, permit: AdmissionPermit) -> Self {
        let Publish { message, arrived_on, ack_policy, expected_offset, .. } = request;
        Self { message, arrived_on, reply_subject: Bytes::new(), ack_policy, expected_offset, reply, permit }
    }

    /// Why the message cannot be stored, whatever the state of its partition.
    pub(crate) fn check(&self, message_bytes_max: usize) -> Result<(), PublishError> {
        let bytes = self.message.payload_bytes();
        if bytes > message_bytes_max {
            return Err(PublishError::TooLarge { bytes, limit: message_bytes_max });
        }
        let headers = self.message.headers.len();
        if headers > PUBLISHED_HEADERS_MAX {
            return Err(PublishError::TooManyHeaders { headers, limit: PUBLISHED_HEADERS_MAX });
        }
        Ok(())
    }

    /// Turns the headers published into those stored: what the server owns is the server's word, and is stored only where it
    /// differs from what every record of the partition would say.
    pub(crate) fn own_headers(&mut self) {
        let headers = &mut self.message.headers;
        headers.retain(|header| header.name != SUBJECT_HEADER && header.name != REPLY_HEADER);
        if let Some(subject) = &self.arrived_on {
            let value = Bytes::copy_from_slice(subject.as_str().as_bytes());
            headers.push(Header { name: Bytes::from_static(SUBJECT_HEADER), value });
        }
        if !self.reply_subject.is_empty() {
            let value = std::mem::take(&mut self.reply_subject);
            headers.push(Header { name: Bytes::from_static(REPLY_HEADER), value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::testing::proposal;

    fn header(name: &'static str, value: &'static str) -> Header {
        Header { name: Bytes::from_static(name.as_bytes()), value: Bytes::from_static(value.as_bytes()) }
    }

    #[track_caller]
    fn check_stored(published: &[Header], arrived_on: Option<&str>, reply: &'static str, expected: &[Header]) {
        let mut proposal = proposal(b"").0;
        proposal.message.headers = published.to_vec();
        proposal.arrived_on = arrived_on.map(|text| Subject::new(text).unwrap());
        proposal.reply_subject = Bytes::from_static(reply.as_bytes());
        proposal.own_headers();
        assert_eq!(proposal.message.headers, expected);
    }

    #[test]
    fn only_what_the_partition_does_not_say_itself_is_stored() {
        check_stored(&[], None, "", &[]);
        check_stored(&[header("a", "1"), header("a", "2")], None, "", &[header("a", "1"), header("a", "2")]);
        check_stored(&[header("a", "1")], Some("foo.b"), "", &[header("a", "1"), header("subject", "foo.b")]);
        check_stored(&[], None, "inbox", &[header("reply", "inbox")]);
    }

    #[test]
    fn publishers_cannot_forge_the_servers_headers() {
        check_stored(&[header("subject", "forged"), header("reply", "forged")], None, "", &[]);
        check_stored(&[header("subject", "forged")], Some("real"), "", &[header("subject", "real")]);
        check_stored(&[header("Subject", "theirs")], None, "", &[header("Subject", "theirs")]);
    }

    #[test]
    fn what_no_record_can_hold_is_refused() {
        let mut large = proposal(b"12345").0;
        assert_eq!(large.check(5), Ok(()));
        assert_eq!(large.check(4), Err(PublishError::TooLarge { bytes: 5, limit: 4 }));
        large.message.headers = vec![header("", ""); PUBLISHED_HEADERS_MAX];
        assert_eq!(large.check(5), Ok(()));
        large.message.headers.push(header("", ""));
        let (headers, limit) = (PUBLISHED_HEADERS_MAX + 1, PUBLISHED_HEADERS_MAX);
        assert_eq!(large.check(5), Err(PublishError::TooManyHeaders { headers, limit }));
    }
}
