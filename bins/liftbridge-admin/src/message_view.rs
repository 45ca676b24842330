//! A message as people and programs see it. Owns the JSON of messages, which loses nothing: bytes that are not UTF-8 appear in
//! base64 under a name that ends in `_base64`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use liftbridge_client::{ReceivedMessage, Timestamp};
use serde::Serialize;

use crate::values;

/// A message for programs.
#[derive(Debug, Serialize)]
pub(crate) struct MessageView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition: Option<u32>,
    pub(crate) offset: u64,
    /// RFC 3339 in UTC, to the nanosecond.
    pub(crate) timestamp: String,
    #[serde(flatten)]
    pub(crate) key: KeyView<'a>,
    #[serde(flatten)]
    pub(crate) value: ValueView<'a>,
    pub(crate) headers: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers_base64: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) subject: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) reply_subject: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyView<'a> {
    Key(Option<&'a str>),
    KeyBase64(String),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ValueView<'a> {
    Value(&'a str),
    ValueBase64(String),
}

impl<'a> MessageView<'a> {
    pub(crate) fn new(offset: u64, time: Timestamp, key: Option<&'a [u8]>, value: &'a [u8]) -> Self {
        Self {
            partition: None,
            offset,
            timestamp: values::time_text(time),
            key: match key.map(std::str::from_utf8).transpose() {
                Ok(text) => KeyView::Key(text),
                Err(_) => KeyView::KeyBase64(STANDARD.encode(key.unwrap_or_default())),
            },
            value: match std::str::from_utf8(value) {
                Ok(text) => ValueView::Value(text),
                Err(_) => ValueView::ValueBase64(STANDARD.encode(value)),
            },
            headers: BTreeMap::new(),
            headers_base64: BTreeMap::new(),
            subject: "",
            reply_subject: "",
        }
    }

    pub(crate) fn header(&mut self, name: &'a str, value: &'a [u8]) {
        match std::str::from_utf8(value) {
            Ok(text) => drop(self.headers.insert(name, text)),
            Err(_) => drop(self.headers_base64.insert(name, STANDARD.encode(value))),
        }
    }

    /// A message from a server. The headers `subject` and `reply` that servers add only repeat what has fields of its own.
    pub(crate) fn received(message: &'a ReceivedMessage) -> Self {
        let key = message.key.as_deref();
        let mut view = Self::new(message.offset.get(), message.time, key, &message.value);
        view.partition = Some(message.partition.get());
        view.subject = &message.subject;
        view.reply_subject = &message.reply_subject;
        for (name, value) in &message.headers {
            let repeated = match name.as_str() {
                "subject" => value == message.subject.as_bytes(),
                "reply" => value == message.reply_subject.as_bytes(),
                _ => false,
            };
            if !repeated {
                view.header(name, value);
            }
        }
        view
    }

    /// One line for people: what is not printable is escaped.
    pub(crate) fn text(&self) -> String {
        let partition = self.partition.map(|partition| format!("{partition}  ")).unwrap_or_default();
        let key = match &self.key {
            KeyView::Key(None) => String::new(),
            KeyView::Key(Some(text)) => format!("{}  ", text.escape_debug()),
            KeyView::KeyBase64(text) => format!("base64:{text}  "),
        };
        let value = match &self.value {
            ValueView::Value(text) => text.escape_debug().to_string(),
            ValueView::ValueBase64(text) => format!("base64:{text}"),
        };
        let plain = self.headers.iter().map(|(name, value)| format!("  {name}={}", value.escape_debug()));
        let encoded = self.headers_base64.iter().map(|(name, value)| format!("  {name}=base64:{value}"));
        let headers: String = plain.chain(encoded).collect();
        format!("{partition}{}  {}  {key}{value}{headers}", self.offset, self.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use liftbridge_client::{Offset, PartitionId};

    use super::*;

    fn message(key: Option<&'static [u8]>, value: &'static [u8], headers: &[(&str, &'static [u8])]) -> ReceivedMessage {
        ReceivedMessage {
            stream: "foo".to_owned(),
            partition: PartitionId::default(),
            offset: Offset::new(3),
            time: Timestamp::EPOCH,
            key: key.map(Into::into),
            value: value.into(),
            headers: headers.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect::<HashMap<_, _>>(),
            subject: "foo".to_owned(),
            reply_subject: String::new(),
        }
    }

    #[track_caller]
    fn check(message: &ReceivedMessage, expected: &str) {
        let json = serde_json::to_string(&MessageView::received(message)).unwrap();
        let expected = expected.replace("TIME", "\"1970-01-01T00:00:00.000000000Z\"");
        assert_eq!(json, expected);
    }

    #[test]
    fn text_stays_text_and_other_bytes_become_base64() {
        check(
            &message(Some(b"k"), b"v\n", &[("h", b"x"), ("subject", b"foo"), ("reply", b"")]),
            r#"{"partition":0,"offset":3,"timestamp":TIME,"key":"k","value":"v\n","headers":{"h":"x"},"subject":"foo"}"#,
        );
        check(
            &message(None, b"\xff", &[("h", b"\xfe")]),
            r#"{"partition":0,"offset":3,"timestamp":TIME,"key":null,"value_base64":"/w==","headers":{},"headers_base64":{"h":"/g=="},"subject":"foo"}"#,
        );
        check(
            &message(Some(b"\xff"), b"", &[("subject", b"other")]),
            r#"{"partition":0,"offset":3,"timestamp":TIME,"key_base64":"/w==","value":"","headers":{"subject":"other"},"subject":"foo"}"#,
        );
    }

    #[test]
    fn lines_for_people_stay_on_one_line() {
        let text = MessageView::received(&message(Some(b"a\nb"), b"c\x1b[2Jd", &[])).text();
        assert_eq!(text, "0  3  1970-01-01T00:00:00.000000000Z  a\\nb  c\\u{1b}[2Jd");
    }
}
