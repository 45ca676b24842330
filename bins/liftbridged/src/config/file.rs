//! The configuration file: YAML into flat, dotted, lower-case names and their values.
//!
//! Owns how nested, dotted and mixed names come together. It never knows which names are legal.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::malformed::Malformed;
use super::value::Raw;

/// A file beyond this is not a configuration.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The text of the configuration file.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The names and values in a configuration file's text, in its order. What is set to nothing is left out.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, Raw)>, Malformed> {
    let node: Node = serde_saphyr::from_str(text).map_err(|error| Malformed::of(&error, text))?;
    let mut settings = Vec::new();
    match node {
        Node::Nothing => {}
        Node::Map(entries) => {
            for (name, node) in entries {
                flatten(name.to_lowercase(), node, &mut settings)?;
            }
        }
        Node::Scalar(_) | Node::List(_) => return Err(Malformed::NoSettings),
    }
    Ok(settings)
}

fn flatten(name: String, node: Node, settings: &mut Vec<(String, Raw)>) -> Result<(), Malformed> {
    match node {
        Node::Nothing => {}
        Node::Scalar(text) => settings.push((name, Raw::Text(text))),
        Node::List(nodes) => {
            let texts = nodes.into_iter().map(|node| match node {
                Node::Scalar(text) => Ok(text),
                Node::Nothing | Node::List(_) | Node::Map(_) => Err(Malformed::NoTexts { name: name.clone() }),
            });
            let texts = texts.collect::<Result<_, _>>()?;
            settings.push((name, Raw::List(texts)));
        }
        Node::Map(entries) => {
            for (inner, node) in entries {
                flatten(format!("{name}.{}", inner.to_lowercase()), node, settings)?;
            }
        }
    }
    Ok(())
}

/// Any YAML value, with scalars as text: what they mean depends on the setting.
enum Node {
    Nothing,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let settings = parse(text).unwrap();
        let shown: Vec<(&str, String)> = settings.iter().map(|(name, raw)| (name.as_str(), raw.to_string())).collect();
        let shown: Vec<(&str, &str)> = shown.iter().map(|(name, raw)| (*name, raw.as_str())).collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn nested_dotted_and_mixed_names_are_the_same_names() {
        let expected = &[("streams.retention.max.bytes", "1024")];
        check("streams:\n  retention:\n    max:\n      bytes: 1024\n", expected);
        check("streams.retention.max.bytes: 1024\n", expected);
        check("streams:\n  retention.max:\n    bytes: 1024\n", expected);
        check("Streams:\n  Retention.Max.BYTES: 1024\n", expected);
    }

    #[test]
    fn scalars_stay_what_was_written_as_far_as_yaml_lets_them() {
        check("port: 9292\nhost: example.org\n", &[("port", "9292"), ("host", "example.org")]);
        check("nats.embedded: false\nhost: \"9\"\n", &[("nats.embedded", "false"), ("host", "9")]);
        check("nats.servers: [a, b]\n", &[("nats.servers", "[a, b]")]);
    }

    #[test]
    fn nothing_is_no_setting() {
        check("", &[]);
        check("# only a comment\n", &[]);
        check("host:\nport: ~\ntls: {}\n", &[]);
    }

    #[test]
    fn what_is_no_list_of_settings_is_refused_in_one_line() {
        for text in ["- a\n- b\n", "just text", "a: [1, [2]]", "a: b: c", "{", "a: &x [*x", "? [a]\n: b", "\u{0}"] {
            let error = parse(text).expect_err(text).to_string();
            assert!(!error.is_empty() && !error.contains('\n'), "{text:?}: {error:?}");
        }
    }

    #[test]
    fn a_deep_nest_and_an_alias_bomb_are_refused_not_followed() {
        assert!(parse(&"[".repeat(200_000)).is_err());
        assert!(parse(&"{a: ".repeat(200_000)).is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let alias = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        assert!(parse(&bomb).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-c:\\-\\[\\]{}&*#?|>!%@`\"' \n\t~.0-9]{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_characters_are_read_or_refused(text in "\\PC{0,100}") {
            let _ = parse(&text);
        }
    }
}
