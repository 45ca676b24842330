//! The messages of a link as the bytes of its call. Owns that large batches leave as they stand, without being copied on
//! their way to the socket; never which message goes first.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use hyper::body::{Body, Frame};
use liftbridge_proto::v1;
use liftbridge_proto::v1::link_message::Message as Wire;
use liftbridge_proto::v1::replication_message::Body as Replication;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::peer::outbox::Outgoing;

/// How much is gathered of messages that are at hand, before it is sent.
const GATHERED_BYTES_MAX: usize = 32 * 1024;
/// Batches up to this are cheaper to copy than to send by themselves.
const COPIED_BYTES_MAX: usize = 4 * 1024;
/// Whether a message is compressed; its length comes after it.
const NOT_COMPRESSED: u8 = 0;

// Numbers of fields in `peer.proto`.
const LINK_REPLICATION: u32 = 2;
const REPLICATION_REPAIR: u32 = 14;
const REPLICATION_APPEND: u32 = 15;
const BATCHES: u32 = 15;

/// What a link's call sends.
pub(crate) struct LinkBody {
    messages: Outgoing<v1::LinkMessage>,
    ready: VecDeque<Bytes>,
}

impl LinkBody {
    /// A body that is these messages.
    pub(crate) fn new(messages: Outgoing<v1::LinkMessage>) -> Self {
        Self { messages, ready: VecDeque::new() }
    }

    /// Gathers messages that are at hand; `None` when there will be no more.
    fn gather(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        let mut chunks = Chunks::default();
        while chunks.bytes < GATHERED_BYTES_MAX {
            match Pin::new(&mut self.messages).poll_next(context) {
                Poll::Ready(Some(message)) => encode(message, &mut chunks),
                Poll::Ready(None) if chunks.bytes == 0 => return Poll::Ready(None),
                Poll::Pending if chunks.bytes == 0 => return Poll::Pending,
                // Both are said again to whoever asks next.
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        self.ready = chunks.finish();
        Poll::Ready(Some(()))
    }
}

impl Body for LinkBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        loop {
            if let Some(chunk) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            match this.gather(context) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Bytes on their way out, in pieces.
#[derive(Default)]
struct Chunks {
    whole: VecDeque<Bytes>,
    begun: BytesMut,
    bytes: usize,
}

impl Chunks {
    /// Adds bytes that `write` writes.
    fn write(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.begun.len();
        write(&mut self.begun);
        self.bytes += self.begun.len() - before;
    }

    /// Adds bytes as they are.
    fn share(&mut self, bytes: Bytes) {
        if bytes.len() <= COPIED_BYTES_MAX {
            return self.write(|begun| begun.put_slice(&bytes));
        }
        self.end_chunk();
        self.bytes += bytes.len();
        self.whole.push_back(bytes);
    }

    fn end_chunk(&mut self) {
        if !self.begun.is_empty() {
            self.whole.push_back(self.begun.split().freeze());
        }
    }

    fn finish(mut self) -> VecDeque<Bytes> {
        self.end_chunk();
        self.whole
    }
}

/// Adds a message, with the length that stands before each in a call.
fn encode(message: v1::LinkMessage, into: &mut Chunks) {
    match message.message {
        Some(Wire::Replication(mut replication)) => match replication.body.take() {
            Some(Replication::Append(mut append)) => {
                let batches = std::mem::take(&mut append.batches);
                encode_batches(&replication, REPLICATION_APPEND, &append.encode_to_vec(), batches, into);
            }
            Some(Replication::Repair(mut repair)) => {
                let batches = std::mem::take(&mut repair.batches);
                encode_batches(&replication, REPLICATION_REPAIR, &repair.encode_to_vec(), batches, into);
            }
            body => {
                replication.body = body;
                encode_whole(&v1::LinkMessage { message: Some(Wire::Replication(replication)) }, into);
            }
        },
        message => encode_whole(&v1::LinkMessage { message }, into),
    }
}

fn encode_whole(message: &v1::LinkMessage, into: &mut Chunks) {
    into.write(|begun| {
        put_length(message.encoded_len(), begun);
        message.encode(begun).expect("the buffer grows as needed");
    });
}

/// Adds a message whose body, in field `body`, is `fields` and then these batches.
fn encode_batches(envelope: &v1::ReplicationMessage, body: u32, fields: &[u8], batches: Vec<Bytes>, into: &mut Chunks) {
    let delimited_len = |field, len: usize| key_len(field) + encoded_len_varint(len as u64) + len;
    let body_len = fields.len() + batches.iter().map(|batch| delimited_len(BATCHES, batch.len())).sum::<usize>();
    let replication_len = envelope.encoded_len() + delimited_len(body, body_len);
    into.write(|begun| {
        put_length(delimited_len(LINK_REPLICATION, replication_len), begun);
        put_delimited(LINK_REPLICATION, replication_len, begun);
        envelope.encode(begun).expect("the buffer grows as needed");
        put_delimited(body, body_len, begun);
        begun.put_slice(fields);
    });
    for batch in batches {
        into.write(|begun| put_delimited(BATCHES, batch.len(), begun));
        into.share(batch);
    }
}

/// What stands before a message in a call. One that is too long to be told is longer than any is read.
fn put_length(bytes: usize, into: &mut BytesMut) {
    into.put_u8(NOT_COMPRESSED);
    into.put_u32(u32::try_from(bytes).unwrap_or(u32::MAX));
}

fn put_delimited(field: u32, bytes: usize, into: &mut BytesMut) {
    encode_key(field, WireType::LengthDelimited, into);
    encode_varint(bytes as u64, into);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::peer::outbox::{Lane, Outbox, OutboxBounds};
    use crate::peer::testing::{append, raft};

    /// The pieces in which these messages leave.
    fn sent(messages: &[v1::LinkMessage]) -> Vec<Bytes> {
        let most = usize::MAX;
        let bounds = OutboxBounds { raft_bytes_max: most, answers_bytes_max: most, batches_bytes_max: most };
        let outbox = Arc::new(Outbox::new(bounds));
        let mut body = LinkBody::new(outbox.connect());
        for message in messages {
            outbox.push(Lane::Batches, message.clone(), 0).unwrap();
        }
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut chunks = Vec::new();
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
            chunks.push(frame.into_data().unwrap());
        }
        chunks
    }

    /// What the generated code reads from them.
    fn read(chunks: &[Bytes]) -> Vec<v1::LinkMessage> {
        let whole = chunks.concat();
        let mut rest = &whole[..];
        let mut messages = Vec::new();
        while let [0, a, b, c, d, behind @ ..] = rest {
            let (message, behind) = behind.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
            messages.push(v1::LinkMessage::decode(message).unwrap());
            rest = behind;
        }
        assert_eq!(rest, b"");
        messages
    }

    fn repair(batches: Vec<Bytes>) -> v1::LinkMessage {
        let body = Some(Replication::Repair(v1::ReplicationRepair { start: 300, batches }));
        let replication = v1::ReplicationMessage { stream_id: 1 << 40, partition: 7, leader_epoch: 9, body };
        v1::LinkMessage { message: Some(Wire::Replication(replication)) }
    }

    #[test]
    fn every_message_is_read_by_the_generated_code() {
        let sizes = [0, 1, 127, 128, COPIED_BYTES_MAX, COPIED_BYTES_MAX + 1, 70_000, 3_000_000];
        let batches: Vec<Bytes> = sizes.iter().map(|size| Bytes::from(vec![7; *size])).collect();
        let position = Some(Replication::Position(v1::ReplicationPosition { durable_end: 5, ..Default::default() }));
        let position = v1::ReplicationMessage { stream_id: 1, body: position, ..Default::default() };
        let mut messages = vec![
            v1::LinkMessage { message: None },
            raft(""),
            raft("raft"),
            append(Vec::new()),
            append(batches.clone()),
            repair(Vec::new()),
            repair(batches.clone()),
            v1::LinkMessage { message: Some(Wire::Replication(v1::ReplicationMessage::default())) },
            v1::LinkMessage { message: Some(Wire::Replication(position)) },
        ];
        messages.extend(batches.into_iter().map(|batch| append(vec![batch])));
        assert_eq!(read(&sent(&messages)), messages);
        for message in &messages {
            assert_eq!(read(&sent(std::slice::from_ref(message))), std::slice::from_ref(message));
        }
    }

    #[test]
    fn large_batches_leave_without_being_copied_and_small_ones_together() {
        let large = Bytes::from(vec![1; COPIED_BYTES_MAX + 1]);
        let small = Bytes::from(vec![2; 100]);
        let chunks = sent(&[append(vec![small.clone(), large.clone(), small])]);
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks[1].as_ptr(), large.as_ptr());
    }
}
