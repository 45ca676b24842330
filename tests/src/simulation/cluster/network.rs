//! The network: it loses, doubles, delays and reorders, and is cut, in one direction or both. Owns what is on its way; never
//! what it means.

use std::collections::BTreeSet;
use std::time::Duration;

use super::words::Packet;
use crate::dice::Dice;

/// Something on its way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    due: Duration,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) packet: Packet,
}

/// How bad it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Of so many packets in a hundred each is lost, or comes twice.
    lost: u64,
    doubled: u64,
    /// The longest way, in milliseconds.
    delay_max: u64,
}

impl Weather {
    /// As good as it gets.
    pub(super) const FAIR: Self = Self { lost: 0, doubled: 0, delay_max: 2 };

    /// Some weather.
    pub(super) fn roll(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => Self::FAIR,
            1 => Self { lost: dice.below(4), doubled: 0, delay_max: 1 + dice.below(40) },
            2 => Self { lost: dice.below(20), doubled: dice.below(20), delay_max: 1 + dice.below(200) },
            _ => Self { lost: 0, doubled: dice.below(10), delay_max: 1 + dice.below(1000) },
        }
    }
}

/// The network.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) weather: Weather,
    flights: Vec<Flight>,
    /// From whom nothing gets to whom.
    cut: BTreeSet<(u64, u64)>,
}

impl Network {
    /// A network in fair weather.
    pub(super) fn new() -> Self {
        Self { weather: Weather::FAIR, flights: Vec::new(), cut: BTreeSet::new() }
    }

    /// Takes a packet on.
    pub(super) fn send(&mut self, now: Duration, from: u64, to: u64, packet: &Packet, dice: &mut Dice) {
        if self.cut.contains(&(from, to)) {
            return;
        }
        // A call is made once, or not at all.
        let may_double = matches!(packet, Packet::Raft(_) | Packet::Partition(..));
        let copies = 1 + u64::from(may_double && dice.percent(self.weather.doubled));
        for _ in 0..copies {
            if !dice.percent(self.weather.lost) {
                let due = now + Duration::from_millis(dice.below(self.weather.delay_max + 1));
                self.flights.push(Flight { due, from, to, packet: packet.clone() });
            }
        }
    }

    /// What arrives by now at whoever listens.
    pub(super) fn arrivals(&mut self, now: Duration, listens: impl Fn(u64) -> bool) -> Vec<Flight> {
        let cut = &self.cut;
        let mut due: Vec<Flight> =
            self.flights.extract_if(.., |flight| flight.due <= now && listens(flight.to)).collect();
        due.retain(|flight| !cut.contains(&(flight.from, flight.to)));
        due.sort_by_key(|flight| flight.due);
        due
    }

    /// Forgets what is on its way to a server that is gone.
    pub(super) fn drop_to(&mut self, server: u64) {
        self.flights.retain(|flight| flight.to != server);
    }

    /// Lets nothing through from one server to another any more.
    pub(super) fn cut(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    /// Lets everything through again.
    pub(super) fn mend(&mut self) {
        self.cut.clear();
    }

    /// Whether two servers hear each other.
    pub(super) fn joins(&self, one: u64, other: u64) -> bool {
        !self.cut.contains(&(one, other)) && !self.cut.contains(&(other, one))
    }
}
