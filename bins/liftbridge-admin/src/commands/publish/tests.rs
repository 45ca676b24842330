//! What is read as one message, and what is refused.

use std::io::Cursor;

use bytes::Bytes;

use super::csv_records::CsvRecords;
use super::lines::{LINE_BYTES_MAX, Lines};
use super::*;

fn lines(text: &[u8]) -> Lines<Cursor<Vec<u8>>> {
    Lines::new(Cursor::new(text.to_vec()), PathBuf::from("test"))
}

#[track_caller]
fn check_lines(text: &[u8], expected: &[&[u8]]) {
    let found: Vec<_> = lines(text).map(Result::unwrap).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_csv(text: &str, key_column: Option<&str>, expected: &[(Option<&str>, &str)]) {
    let records = CsvRecords::new(lines(text.as_bytes()), key_column).unwrap();
    let found: Vec<_> = records.map(Result::unwrap).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|&(key, value)| Entry {
            key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
            value: Bytes::copy_from_slice(value.as_bytes()),
        })
        .collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_csv_error(text: &str, key_column: Option<&str>, expected: &str) {
    let error = CsvRecords::new(lines(text.as_bytes()), key_column)
        .and_then(|records| records.collect::<Result<Vec<_>, _>>())
        .unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn lines_are_any_bytes_without_their_ends() {
    check_lines(b"", &[]);
    check_lines(b"a\nb", &[b"a", b"b"]);
    check_lines(b"a\r\n\n\xff\n", &[b"a", b"", b"\xff"]);
}

#[test]
fn a_line_of_the_largest_size_is_taken_and_a_longer_one_is_not() {
    let mut text = vec![b'x'; LINE_BYTES_MAX];
    text.push(b'\n');
    assert_eq!(lines(&text).next().unwrap().unwrap().len(), LINE_BYTES_MAX);
    text.insert(0, b'x');
    assert!(lines(&text).next().unwrap().is_err());
}

#[test]
fn csv_records_stand_as_they_are_with_the_key_of_their_column() {
    check_csv("origin,temp\nJFK,1\n\nEWR,2\n", Some("origin"), &[(Some("JFK"), "JFK,1"), (Some("EWR"), "EWR,2")]);
    check_csv("origin,temp\nJFK,1\n", None, &[(None, "JFK,1")]);
    check_csv("a,b,c\n1,,\n,,3\n", Some("c"), &[(Some(""), "1,,"), (Some("3"), ",,3")]);
    check_csv("a\n\"\"\nx\n", Some("a"), &[(Some(""), "\"\""), (Some("x"), "x")]);
    let quoted = "origin,note\n\"J,\"\"FK\",\"two\nlines\"\nEWR,x";
    check_csv(quoted, Some("origin"), &[(Some("J,\"FK"), "\"J,\"\"FK\",\"two\nlines\""), (Some("EWR"), "EWR,x")]);
}

#[test]
fn csv_that_cannot_be_keyed_says_where_and_why() {
    check_csv_error("", Some("a"), "no header row");
    check_csv_error("a,b\n1,2\n", Some("c"), "no column `c`, only a, b");
    check_csv_error("a,b\n1\n", Some("b"), "test, line 2: the key's column is missing");
    check_csv_error("a,b\n\"1,2\n", Some("a"), "a quote is not closed");
}

#[test]
fn a_file_called_minus_is_standard_input() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        publish: PublishArguments,
    }
    let open = |file: &str| {
        let line = <Line as clap::Parser>::try_parse_from(["publish", "weather", "--file", file]).unwrap();
        Input::open(&line.publish)
    };
    assert!(open("-").is_ok());
    assert!(matches!(open("./-"), Err(Failure::ReadFile { .. })), "a file of that name is reached by its path");
}
