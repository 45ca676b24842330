//! What a run is asked for. Owns the limits of what may be asked; never what happens then.

use std::time::Duration;

use super::fault::Fault;

/// What is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Every fault this machine allows, in an order that follows from the seed.
    All,
    /// This one, again and again.
    Only(Fault),
}

impl Scenario {
    /// The scenario of this name.
    pub fn of(name: &str) -> Option<Self> {
        if name == "all" {
            return Some(Self::All);
        }
        Fault::ALL.into_iter().find(|fault| fault.name() == name).map(Self::Only)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Only(fault) => fault.name(),
        }
    }

    /// The faults it is made of.
    pub(super) fn faults(self) -> Vec<Fault> {
        match self {
            Self::All => Fault::ALL.to_vec(),
            Self::Only(fault) => vec![fault],
        }
    }
}

/// What a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides what happens when.
    pub seed: u64,
    /// How long there is load and faults; starting before and reading back after it come on top.
    pub load: Duration,
    /// How many servers.
    pub nodes: usize,
    /// What is done to them.
    pub scenario: Scenario,
}

impl Plan {
    /// How to see the same schedule again.
    pub fn command(&self) -> String {
        let Self { seed, load, nodes, scenario } = self;
        let (seconds, name) = (load.as_secs(), scenario.name());
        format!("cargo xtask cluster-test --seed {seed} --seconds {seconds} --nodes {nodes} --scenario {name}")
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
        assert_eq!(Scenario::of("all").map(Scenario::name), Some("all"));
        assert_eq!(Scenario::of("none"), None);
    }
}
