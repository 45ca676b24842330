//! Where a broker is reached. Owns how addresses are written; never opens one.

use std::fmt;

use crate::error::ConnectError;

/// The port of an address that names none.
const PORT_DEFAULT: u16 = 9292;

/// A host and a port. IPv6 hosts are kept without brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

impl Address {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }

    /// Reads `host`, `host:port`, `[::1]` or `[::1]:port`.
    pub(crate) fn parse(text: &str) -> Result<Self, ConnectError> {
        let invalid = || ConnectError::InvalidAddress { address: text.to_owned() };
        let text = text.trim();
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(invalid)?)),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(PORT_DEFAULT), str::parse).map_err(|_| invalid())?;
        let illegal = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '?' | '#' | '[' | ']');
        if host.is_empty() || host.contains(illegal) {
            return Err(invalid());
        }
        Ok(Self::new(host, port))
    }

    /// This address, with `fallback`'s host where a broker advertised none that can be dialled.
    pub(crate) fn or_host_of(self, fallback: &Self) -> Self {
        let nowhere = matches!(self.host.as_str(), "" | "0.0.0.0" | "::" | "[::]");
        if nowhere { Self { host: fallback.host.clone(), port: self.port } } else { self }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') && !self.host.starts_with('[') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Address::parse(text).ok().map(|address| address.to_string()).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn addresses_are_hosts_with_an_optional_port() {
        check("localhost:1", Some("localhost:1"));
        check("localhost", Some("localhost:9292"));
        check(" 10.0.0.1:9 ", Some("10.0.0.1:9"));
        check("[::1]", Some("[::1]:9292"));
        check("[::1]:7", Some("[::1]:7"));
        check("", None);
        check(":9292", None);
        check("host:", None);
        check("host:70000", None);
        check("[::1]x7", None);
        check("http://host:1", None);
        check("a b:1", None);
    }

    #[test]
    fn brokers_that_advertise_no_host_are_reached_where_the_answer_came_from() {
        let seed = Address::new("example.org", 1);
        assert_eq!(Address::new("0.0.0.0", 5).or_host_of(&seed).to_string(), "example.org:5");
        assert_eq!(Address::new("", 5).or_host_of(&seed).to_string(), "example.org:5");
        assert_eq!(Address::new("10.0.0.2", 5).or_host_of(&seed).to_string(), "10.0.0.2:5");
    }
}
