//! What must be true, whatever happens. Knows logs and watermarks; nothing of how the protocol gets there.

use std::collections::HashMap;

use crate::model_log::{ModelLog, Record};

#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// Everything that was ever committed, by offset.
    ledger: Vec<Record>,
    /// In which epoch each of it was.
    committed_in: Vec<u64>,
    /// What publishers under `ALL` were told, by offset.
    acknowledged: HashMap<u64, Record>,
    /// Who led in which epoch: the broker and its life.
    leaders: HashMap<u64, (usize, u64)>,
    /// The high watermark of each broker in its present life.
    watermarks: HashMap<usize, u64>,
}

impl Checker {
    pub(crate) fn committed_count(&self) -> u64 {
        self.ledger.len() as u64
    }

    /// A broker takes the lead: nobody else must have led in this epoch, and it must have everything that was committed in
    /// earlier ones. What later ones have committed by then is nothing to one that learns late that it was to lead.
    pub(crate) fn on_leads(&mut self, broker: usize, incarnation: u64, epoch: u64, log: &ModelLog) {
        let before = self.leaders.insert(epoch, (broker, incarnation));
        assert!(before.is_none(), "two leaders in epoch {epoch}: {before:?} and n{broker}/{incarnation}");
        let committed = self.committed_in.partition_point(|committing| *committing < epoch) as u64;
        assert!(log.end() >= committed, "n{broker} leads without what is committed");
        self.check_committed(broker, log, committed);
    }

    pub(crate) fn on_life(&mut self, broker: usize) {
        self.watermarks.remove(&broker);
    }

    /// A broker shows a high watermark: what lies below is the same as on every other one, for good.
    pub(crate) fn on_watermark(&mut self, broker: usize, leads_in: Option<u64>, end: u64, log: &ModelLog) {
        let shown = self.watermarks.insert(broker, end);
        assert!(
            shown.is_none_or(|before| before <= end),
            "the watermark of n{broker} goes back from {shown:?} to {end}"
        );
        assert!(end <= log.durable_end, "the watermark of n{broker} is above what it has for certain");
        if let Some(epoch) = leads_in {
            for offset in self.committed_count()..end {
                self.ledger.push(log.get(offset).expect("the leader has what it commits"));
                let later = self.committed_in.last().is_some_and(|latest| *latest > epoch);
                assert!(!later, "n{broker} commits in epoch {epoch}, after a later one has");
                self.committed_in.push(epoch);
            }
        }
        assert!(end <= self.committed_count(), "n{broker} shows what nobody has committed");
        self.check_committed(broker, log, end);
    }

    pub(crate) fn on_acknowledged_all(&mut self, offset: u64, record: Record) {
        assert_eq!(
            self.ledger.get(usize::try_from(offset).expect("small")),
            Some(&record),
            "acknowledged, not committed"
        );
        let twice = self.acknowledged.insert(offset, record);
        assert!(twice.is_none(), "offset {offset} is acknowledged twice");
    }

    /// A broker cuts its log to `end`: never what is committed.
    pub(crate) fn on_cut(&self, broker: usize, log: &ModelLog, end: u64) {
        for offset in end.max(log.start)..log.end() {
            let committed = self.ledger.get(usize::try_from(offset).expect("small"));
            assert!(committed.is_none() || committed != log.get(offset).as_ref(), "n{broker} cuts committed {offset}");
        }
    }

    /// At the end all have the same.
    pub(crate) fn on_healed(&self, logs: &[&ModelLog]) {
        let end = logs[0].end();
        assert_eq!(self.committed_count(), end, "not everything is committed");
        for (broker, log) in logs.iter().enumerate() {
            assert_eq!(log.end(), end, "n{broker} ends elsewhere");
            self.check_committed(broker, log, end);
        }
    }

    fn check_committed(&self, broker: usize, log: &ModelLog, end: u64) {
        for offset in log.start..end.min(self.committed_count()) {
            let committed = self.ledger.get(usize::try_from(offset).expect("small"));
            assert_eq!(committed, log.get(offset).as_ref(), "offset {offset} on n{broker}");
        }
    }
}
