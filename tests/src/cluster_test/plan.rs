//! What a run is asked for. Owns the limits of what may be asked; never what happens then.

use std::path::PathBuf;
use std::time::Duration;

use super::fault::Fault;

/// The weather's name.
const WEATHER: &str = "weather";

/// What is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Every fault this machine allows, in an order that follows from the seed.
    All,
    /// This one, again and again.
    Only(Fault),
    /// Leaders are killed in turn while weather readings are published, each until it is acknowledged.
    Weather,
}

impl Scenario {
    /// The scenario of this name.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "all" => Some(Self::All),
            WEATHER => Some(Self::Weather),
            name => Fault::ALL.into_iter().find(|fault| fault.name() == name).map(Self::Only),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Only(fault) => fault.name(),
            Self::Weather => WEATHER,
        }
    }

    /// The faults it is made of.
    pub(super) fn faults(self) -> Vec<Fault> {
        match self {
            Self::All => Fault::ALL.to_vec(),
            Self::Only(fault) => vec![fault],
            Self::Weather => vec![Fault::KillLeader],
        }
    }
}

/// What a run is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides what happens when.
    pub seed: u64,
    /// How long there is load and faults; starting before and reading back after it come on top. The weather takes as long
    /// as it has readings.
    pub load: Duration,
    /// How many servers.
    pub nodes: usize,
    /// What is done to them.
    pub scenario: Scenario,
    /// A file with the readings of the weather, plain or `.gz`; the project's sample when `None`.
    pub data: Option<PathBuf>,
}

impl Plan {
    /// How to see the same schedule again.
    pub fn command(&self) -> String {
        let Self { seed, load, nodes, scenario, data } = self;
        let (seconds, name) = (load.as_secs(), scenario.name());
        let data = data.as_ref().map(|data| format!(" --data {}", data.display())).unwrap_or_default();
        match scenario {
            Scenario::Weather => format!("cargo xtask cluster-test --nodes {nodes} --scenario {name}{data}"),
            Scenario::All | Scenario::Only(_) => {
                format!("cargo xtask cluster-test --seed {seed} --seconds {seconds} --nodes {nodes} --scenario {name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_a_scenario_of_its_name() {
        for fault in Fault::ALL {
            assert_eq!(Scenario::of(fault.name()), Some(Scenario::Only(fault)));
        }
        for name in ["all", "weather"] {
            assert_eq!(Scenario::of(name).map(Scenario::name), Some(name));
        }
        assert_eq!(Scenario::of("none"), None);
    }
}
