//! One message as publishers hand it in and subscribers get it. Owns its parts; never their encoding.

use bytes::Bytes;

/// One named value that travels with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The header's name, UTF-8 by the API's contract.
    pub name: Bytes,
    /// Its value, any bytes.
    pub value: Bytes,
}

/// What a publisher wants stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What compaction and partitioners go by. A missing key is not an empty one.
    pub key: Option<Bytes>,
    /// The payload.
    pub value: Bytes,
    /// Headers in the order they are stored.
    pub headers: Vec<Header>,
}

impl Message {
    /// The bytes it brings along: key, value, header names and values. What size limits and admission count.
    pub fn payload_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|h| h.name.len() + h.value.len()).sum();
        self.key.as_ref().map_or(0, Bytes::len) + self.value.len() + headers
    }
}
