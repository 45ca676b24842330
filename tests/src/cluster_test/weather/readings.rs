//! Readings as messages. Owns how a reading becomes one and how one is known again; sends nothing.

use std::collections::BTreeMap;

use liftbridge_client::{AckPolicy, Outgoing, partition_of_key};

use crate::api::wire;
use crate::cluster_test::message_id::MessageId;

/// The header that says which of an airport's readings a message is: some are the same as others, but for the hour.
const NUMBER: &str = "number";
/// The number of the first airport's publisher, above those of all other publishers.
const FIRST_PUBLISHER: u16 = 400;

/// The readings of some airports, each airport's in the order they were made in.
#[derive(Debug)]
pub(super) struct Readings {
    by_airport: Vec<(String, Vec<String>)>,
    promised: Vec<Vec<(u16, u32)>>,
}

impl Readings {
    /// These, for a stream of so many partitions.
    pub(super) fn new(by_airport: BTreeMap<String, Vec<String>>, partitions: usize) -> Self {
        let mut promised = vec![Vec::new(); partitions];
        let readings = Self { by_airport: by_airport.into_iter().collect(), promised: promised.clone() };
        for (airport, (_, of_airport)) in readings.by_airport.iter().enumerate() {
            let count = u32::try_from(of_airport.len()).expect("an airport has few readings");
            promised[readings.partition(airport)].push((publisher(airport), count));
        }
        Self { promised, ..readings }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.by_airport.iter().map(|(_, readings)| readings.len()).sum()
    }

    /// How many airports there are.
    pub(super) fn airports(&self) -> usize {
        self.by_airport.len()
    }

    /// How many readings an airport has.
    pub(super) fn of_airport(&self, airport: usize) -> usize {
        self.by_airport[airport].1.len()
    }

    /// The partition an airport's readings go to.
    pub(super) fn partition(&self, airport: usize) -> usize {
        let partitions = u32::try_from(self.promised.len()).expect("there are few partitions");
        let partition = partition_of_key(self.by_airport[airport].0.as_bytes(), partitions);
        usize::try_from(partition.get()).expect("partition numbers are small")
    }

    /// Whose readings each partition gets, and how many.
    pub(super) fn promised(&self) -> &[Vec<(u16, u32)>] {
        &self.promised
    }

    /// A reading as it is published.
    pub(super) fn message(&self, airport: usize, number: usize) -> Outgoing {
        let (name, readings) = &self.by_airport[airport];
        let message = Outgoing::new(readings[number].clone()).key(name.clone()).by_key();
        message.header(NUMBER, number.to_string()).ack(AckPolicy::All).at_least_once()
    }

    /// The name of a reading in what is told of a run.
    pub(super) fn id(airport: usize, number: usize) -> MessageId {
        let sequence = u32::try_from(number).expect("an airport has few readings");
        MessageId { publisher: publisher(airport), sequence, attempt: 0 }
    }

    /// Which reading a message is; `None` when it is not one, or not as it was published.
    pub(super) fn identify(&self, message: &wire::Message) -> Option<MessageId> {
        let airport = self.by_airport.iter().position(|(name, _)| name.as_bytes() == message.key)?;
        let number: usize = std::str::from_utf8(message.headers.get(NUMBER)?).ok()?.parse().ok()?;
        let reading = self.by_airport[airport].1.get(number)?;
        let is_here = usize::try_from(message.partition) == Ok(self.partition(airport));
        (reading.as_bytes() == message.value && is_here).then(|| Self::id(airport, number))
    }
}

fn publisher(airport: usize) -> u16 {
    FIRST_PUBLISHER + u16::try_from(airport).expect("there are few airports")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_known_again_by_its_bytes_and_a_changed_one_is_nobodys() {
        let lines = ["EWR,1", "EWR,1"].map(str::to_owned).to_vec();
        let readings = Readings::new(BTreeMap::from([("EWR".to_owned(), lines)]), 1);
        let headers = [(NUMBER.to_owned(), "1".into())].into();
        let sent = wire::Message { key: "EWR".into(), value: "EWR,1".into(), headers, ..wire::Message::default() };
        assert_eq!(readings.identify(&sent), Some(Readings::id(0, 1)));
        for changed in [
            wire::Message { value: "EWR,2".into(), ..sent.clone() },
            wire::Message { key: "JFK".into(), ..sent.clone() },
            wire::Message { partition: 1, ..sent.clone() },
            wire::Message { headers: Default::default(), ..sent },
        ] {
            assert_eq!(readings.identify(&changed), None, "{changed:?}");
        }
        assert_eq!(readings.promised(), [vec![(FIRST_PUBLISHER, 2)]]);
    }
}
