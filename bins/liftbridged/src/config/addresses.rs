//! Where the server listens and where clients are told to find it. Owns how these follow from `listen`, `host` and
//! `port`; never a socket.

use std::fmt;

use thiserror::Error;

/// Where nothing else is said, only this machine gets in.
const LOOPBACK: &str = "127.0.0.1";
/// Every interface.
const WILDCARD: &str = "0.0.0.0";
/// What clients on this machine call it.
const LOCALHOST: &str = "localhost";

/// An address that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum AddressError {
    #[error("Could not parse address string \"{text}\", write it as `host:port`")]
    Address { text: String },
    #[error("Could not read host \"{text}\", it must be one name or address without port")]
    Host { text: String },
    #[error("Could not parse port \"{text}\", it must be a number from 0 to 65535")]
    Port { text: String },
}

/// A host with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Where the server listens and where clients are told to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) bind: HostPort,
    pub(crate) advertised_host: String,
    /// `None` = the port that is bound.
    pub(crate) advertised_port: Option<u16>,
}

/// The addresses that follow from the settings. `port_given` tells a port somebody asked for from the default.
pub(crate) fn resolve(
    listen: Option<&str>,
    host: Option<&str>,
    port: u16,
    port_given: bool,
) -> Result<Addresses, AddressError> {
    let host_or = |otherwise: &str| host.unwrap_or(otherwise).to_owned();
    let bind = match listen {
        Some(listen) => bind_address(listen, &host_or(LOOPBACK))?,
        None => HostPort { host: host_or(LOOPBACK), port },
    };
    let advertised_host = match (host, listen) {
        (Some(host), _) => host.to_owned(),
        (None, Some(_)) if !is_wildcard(&bind.host) => bind.host.clone(),
        (None, _) => LOCALHOST.to_owned(),
    };
    // A port beside `host` may be that of a proxy; without one, and with port 0, it is the port that is bound.
    let advertised_port = Some(port).filter(|port| host.is_some() && port_given && *port > 0);
    Ok(Addresses { bind, advertised_host, advertised_port })
}

/// The address in `listen`; `lone_port_host` is where a port alone is bound.
pub(crate) fn bind_address(listen: &str, lone_port_host: &str) -> Result<HostPort, AddressError> {
    if !listen.is_empty() && listen.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(HostPort { host: lone_port_host.to_owned(), port: port(listen)? });
    }
    let unreadable = || AddressError::Address { text: listen.to_owned() };
    let (host, port_text) = listen.rsplit_once(':').ok_or_else(unreadable)?;
    let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
        Some(bracketed) => bracketed.ok_or_else(unreadable)?,
        None if host.contains(':') => return Err(unreadable()),
        None => host,
    };
    if !is_legal(host) {
        return Err(unreadable());
    }
    let host = if host.is_empty() { WILDCARD } else { host };
    Ok(HostPort { host: host.to_owned(), port: port(port_text)? })
}

/// Refuses what cannot be a host. It has no port of its own: a colon is for addresses of version 6.
pub(crate) fn check_host(text: &str) -> Result<(), AddressError> {
    let is_address = text.parse::<std::net::Ipv6Addr>().is_ok();
    match is_legal(text) && (is_address || !text.contains(':')) {
        true => Ok(()),
        false => Err(AddressError::Host { text: text.to_owned() }),
    }
}

fn is_legal(host: &str) -> bool {
    !host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '/'))
}

fn port(text: &str) -> Result<u16, AddressError> {
    text.parse().map_err(|_| AddressError::Port { text: text.to_owned() })
}

/// Whether this host stands for every interface, which is where nobody can be sent.
pub(crate) fn is_wildcard(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// Whether only this machine gets to this host.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == LOCALHOST || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `listen`, `host` and `port` as somebody gives them, then what is bound and what clients are told (`:*` = the
    /// bound port).
    #[track_caller]
    fn check(listen: Option<&str>, host: Option<&str>, port: Option<u16>, bind: &str, advertised: &str) {
        let addresses = resolve(listen, host, port.unwrap_or(9292), port.is_some()).unwrap();
        let port = addresses.advertised_port.map_or_else(|| "*".to_owned(), |port| port.to_string());
        let told = format!("{}:{port}", addresses.advertised_host);
        assert_eq!((addresses.bind.to_string().as_str(), told.as_str()), (bind, advertised));
    }

    #[test]
    fn nothing_said_means_loopback() {
        check(None, None, None, "127.0.0.1:9292", "localhost:*");
        check(None, None, Some(5050), "127.0.0.1:5050", "localhost:*");
    }

    #[test]
    fn host_is_bound_too_when_there_is_no_listen() {
        check(None, Some("my-host"), None, "my-host:9292", "my-host:*");
        check(None, Some("192.168.0.1"), Some(4333), "192.168.0.1:4333", "192.168.0.1:4333");
    }

    #[test]
    fn listen_is_bound_and_host_is_what_clients_are_told() {
        check(Some("localhost:4222"), None, None, "localhost:4222", "localhost:*");
        check(Some("localhost:4222"), Some("my-host"), Some(4333), "localhost:4222", "my-host:4333");
        check(Some("localhost:4222"), Some("my-host"), None, "localhost:4222", "my-host:*");
        check(Some("[::1]:1"), None, None, "[::1]:1", "::1:*");
    }

    #[test]
    fn a_port_without_a_host_is_every_interface_and_a_port_alone_is_not() {
        check(Some(":5050"), None, None, "0.0.0.0:5050", "localhost:*");
        check(Some("5050"), None, None, "127.0.0.1:5050", "127.0.0.1:*");
        check(Some("5050"), Some("10.0.0.1"), None, "10.0.0.1:5050", "10.0.0.1:*");
    }

    #[test]
    fn nobody_is_sent_to_every_interface() {
        check(Some("0.0.0.0:9292"), None, None, "0.0.0.0:9292", "localhost:*");
        check(Some("[::]:9292"), None, None, "[::]:9292", "localhost:*");
    }

    #[test]
    fn port_zero_is_the_port_that_is_bound() {
        check(None, Some("my-host"), Some(0), "my-host:0", "my-host:*");
        check(Some("127.0.0.1:0"), None, None, "127.0.0.1:0", "127.0.0.1:*");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "host", "::1:9292", "[::1", "[::1]", "a b:1", "http://x:1", "[]x:1"] {
            assert!(matches!(bind_address(text, LOOPBACK), Err(AddressError::Address { .. })), "{text:?}");
        }
        for text in ["a b", "a/b", "my-host:9292", "[::1]", "http://x", "a\u{7}"] {
            assert!(matches!(check_host(text), Err(AddressError::Host { .. })), "{text:?}");
        }
        for text in ["my-host", "10.0.0.1", "::1", "bücher.example"] {
            assert_eq!(check_host(text), Ok(()), "{text:?}");
        }
        for text in ["host:", "host:x", "host:65536", "70000", ":-1"] {
            assert!(matches!(bind_address(text, LOOPBACK), Err(AddressError::Port { .. })), "{text:?}");
        }
    }
}
