//! Rule: creating and deleting streams is linearizable: as if each happened at one moment between question and answer, to a plain
//! set of names; and what was answered is never undone.

use std::collections::{BTreeMap, BTreeSet};

use liftbridge_metadata_raft::{Applied, ClusterEvent, ClusterState, ProposalOutcome, ProposeError, Rejection};

use super::Verdict;

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::simulation::cluster) enum Change {
    Create(String),
    Delete(String),
}

#[derive(Debug)]
struct Asked {
    change: Change,
    /// The latest index that anybody had been answered with by then.
    floor: u64,
}

/// The set of names, as it was after each change, and who asked for which.
#[derive(Debug, Default)]
pub(in crate::simulation::cluster) struct Changes {
    /// At which index a name came to be there or not, by name.
    history: BTreeMap<String, BTreeMap<u64, bool>>,
    asked: BTreeMap<u64, Asked>,
    answered: BTreeSet<u64>,
    floor: u64,
    /// The latest index that anybody has applied.
    ceiling: u64,
}

impl Changes {
    /// Somebody asks for a change.
    pub(in crate::simulation::cluster) fn on_asked(&mut self, request: u64, change: Change) {
        self.asked.insert(request, Asked { change, floor: self.floor });
    }

    /// A server applied something.
    pub(in crate::simulation::cluster) fn on_applied(&mut self, applied: &Applied) -> Verdict {
        let index = applied.index.get();
        self.ceiling = self.ceiling.max(index);
        for event in &applied.events {
            match event {
                ClusterEvent::StreamCreated(stream) => self.note(stream.name.as_str(), index, true)?,
                ClusterEvent::StreamDeleted(stream) => self.note(stream.name.as_str(), index, false)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn note(&mut self, name: &str, index: u64, there: bool) -> Verdict {
        let history = self.history.entry(name.to_owned()).or_default();
        history.insert(index, there);
        // Servers apply at different times, so only neighbours that are known can be compared.
        let around = [history.range(..index).next_back(), history.range(index + 1..).next()];
        let same = around.into_iter().flatten().find(|(_, other)| **other == there);
        match same {
            None => Ok(()),
            Some((other, _)) if there => Err(format!("`{name}` is created at {index} and at {other}")),
            Some((other, _)) => Err(format!("`{name}` is deleted at {index} and at {other}")),
        }
    }

    /// Somebody is answered.
    pub(in crate::simulation::cluster) fn on_answered(&mut self, request: u64, outcome: &ProposalOutcome) -> Verdict {
        let Some(Asked { change, floor }) = self.asked.remove(&request) else { return Ok(()) };
        let (name, there) = match &change {
            Change::Create(name) => (name, true),
            Change::Delete(name) => (name, false),
        };
        match outcome {
            Ok(index) => {
                let index = index.get();
                let happened = self.history.get(name).and_then(|history| history.get(&index)) == Some(&there);
                if !happened {
                    return Err(format!("{change:?} is answered with {index}, where it did not happen"));
                }
                if index <= floor {
                    return Err(format!(
                        "{change:?} happened at {index}, and was asked for after {floor} was answered"
                    ));
                }
                self.floor = self.floor.max(index);
                let is_first = self.answered.insert(index);
                if is_first { Ok(()) } else { Err(format!("two changes are answered with {index}")) }
            }
            Err(ProposeError::Rejected(Rejection::StreamExists)) => self.check_was(name, floor, true),
            Err(ProposeError::Rejected(Rejection::StreamNotFound)) => self.check_was(name, floor, false),
            // Others say nothing about names, or nothing at all.
            Err(_) => Ok(()),
        }
    }

    /// At some moment since `floor` the name was there, or was not.
    fn check_was(&self, name: &str, floor: u64, there: bool) -> Verdict {
        let none = BTreeMap::new();
        let history = self.history.get(name).unwrap_or(&none);
        let at_first = history.range(..=floor).next_back().is_some_and(|(_, there)| *there);
        let later = history.range(floor + 1..=self.ceiling.max(floor + 1)).any(|(_, then)| *then == there);
        if at_first == there || later {
            return Ok(());
        }
        Err(format!("somebody was told that `{name}` is there: {there}; from {floor} on it was never so"))
    }

    /// What is there in the end.
    pub(in crate::simulation::cluster) fn check_end(&self, state: &ClusterState) -> Verdict {
        for (name, history) in &self.history {
            let expected = history.values().next_back().copied().unwrap_or_default();
            if state.streams().get(name).is_some() != expected {
                return Err(format!("`{name}` is there: {}; the last change says {expected}", !expected));
            }
        }
        Ok(())
    }
}
