//! A network of our own: one namespace for each server, joined by a bridge that the clients are on. Owns making it, cutting
//! it and taking it away; knows nothing of who talks over it.
//!
//! A way between two servers is cut by telling the sender that the other has a hardware address which nobody has. Its
//! packets are sent and lost without a sign, as in a real network; the way back is cut apart from it. This takes nothing
//! but `ip`.

use std::net::Ipv4Addr;
use std::process::Command;

use super::Failure;

/// The hardware address that nobody has.
const NOBODY: &str = "02:00:00:00:00:fe";
/// The bridge's own place in the network, which clients speak from.
const CLIENTS: u8 = 254;

/// The network, gone when dropped.
#[derive(Debug)]
pub(super) struct Network {
    /// What the names of its parts begin with. Names of devices have at most 15 characters.
    prefix: String,
    third: u8,
    nodes: usize,
}

impl Network {
    /// Makes one for so many servers.
    pub(super) fn make(nodes: usize) -> Result<Self, Failure> {
        let number = std::process::id();
        let third = u8::try_from(number % 250).expect("it is below 250");
        // From here on dropping it takes away whatever was made.
        let network = Self { prefix: format!("lbt{}", number % 100_000), third, nodes };
        let bridge = network.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/24", network.address_of(CLIENTS)), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for node in 0..nodes {
            let (namespace, cable) = (network.namespace(node), network.cable(node));
            ip(&["netns", "add", &namespace])?;
            ip(&["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
            ip(&["link", "set", &cable, "master", &bridge, "up"])?;
            let address = format!("{}/24", network.address(node));
            ip(&["-n", &namespace, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        }
        Ok(network)
    }

    /// The namespace a server runs in.
    pub(super) fn namespace(&self, node: usize) -> String {
        format!("{}n{node}", self.prefix)
    }

    /// The address a server listens on.
    pub(super) fn address(&self, node: usize) -> Ipv4Addr {
        self.address_of(u8::try_from(node + 1).expect("there are few servers"))
    }

    /// Loses what one server sends to another.
    pub(super) fn cut(&self, from: usize, to: usize) -> Result<(), Failure> {
        let to = self.address(to).to_string();
        let namespace = self.namespace(from);
        ip(&["-n", &namespace, "neigh", "replace", &to, "lladdr", NOBODY, "nud", "permanent", "dev", "eth0"])
    }

    /// Lets through again what one server sends to another.
    pub(super) fn heal(&self, from: usize, to: usize) -> Result<(), Failure> {
        ip(&["-n", &self.namespace(from), "neigh", "del", &self.address(to).to_string(), "dev", "eth0"])
    }

    /// Takes a server off the network.
    pub(super) fn unplug(&self, node: usize) -> Result<(), Failure> {
        ip(&["link", "set", &self.cable(node), "down"])
    }

    /// Puts it back.
    pub(super) fn plug_in(&self, node: usize) -> Result<(), Failure> {
        ip(&["link", "set", &self.cable(node), "up"])
    }

    fn bridge(&self) -> String {
        format!("{}br", self.prefix)
    }

    fn cable(&self, node: usize) -> String {
        format!("{}v{node}", self.prefix)
    }

    fn address_of(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.third, last)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What was never made cannot be taken away, which is what is wanted. A namespace lives on for as long as connections
        // of killed servers are being closed, and its cable with it: that goes first.
        for node in 0..self.nodes {
            let _ = ip(&["link", "del", &self.cable(node)]);
            let _ = ip(&["netns", "del", &self.namespace(node)]);
        }
        let _ = ip(&["link", "del", &self.bridge()]);
    }
}

/// Runs `ip`.
fn ip(arguments: &[&str]) -> Result<(), Failure> {
    let what = || format!("ip {}", arguments.join(" "));
    let output = Command::new("ip").args(arguments).output().map_err(|error| Failure::new(what(), error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(what(), String::from_utf8_lossy(&output.stderr).trim()))
}
