//! How this call's messages become bytes and back, for the transport. Owns the transport's buffers; never the format.

use bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::answer::Answer;
use super::message::{PublishMessage, PublishReader};

/// How much memory the transport takes at a time for bytes on their way in or out.
const BUFFER_BYTES: usize = 16 * 1024;
/// How much it gathers before it sends.
const GATHERED_BYTES_MAX: usize = 32 * 1024;

/// Reads [`PublishMessage`]s, writes [`Answer`]s.
#[derive(Debug)]
pub(crate) struct PublishCodec;

impl Codec for PublishCodec {
    type Encode = Answer;
    type Decode = PublishMessage;
    type Encoder = AnswerEncoder;
    type Decoder = PublishDecoder;

    fn encoder(&mut self) -> AnswerEncoder {
        AnswerEncoder
    }

    fn decoder(&mut self) -> PublishDecoder {
        PublishDecoder(PublishReader::new())
    }
}

#[derive(Debug)]
pub(crate) struct AnswerEncoder;

impl Encoder for AnswerEncoder {
    type Item = Answer;
    type Error = Status;

    fn encode(&mut self, answer: Answer, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        answer.encode(into);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, GATHERED_BYTES_MAX)
    }
}

#[derive(Debug)]
pub(crate) struct PublishDecoder(PublishReader);

impl Decoder for PublishDecoder {
    type Item = PublishMessage;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<PublishMessage>, Status> {
        let whole = bytes.copy_to_bytes(bytes.remaining());
        match self.0.read(whole) {
            Ok(message) => Ok(Some(message)),
            Err(malformed) => Err(Status::internal(format!("failed to decode PublishRequest: {malformed}"))),
        }
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, GATHERED_BYTES_MAX)
    }
}
