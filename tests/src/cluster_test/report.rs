//! What a run showed, for people and for programs. Owns the words and the verdict; finds out nothing by itself.

use std::fmt;
use std::time::Duration;

use serde_json::json;

use super::checker::Judgement;
use super::hurt::Outage;
use super::ledger::Told;
use super::plan::{Plan, Scenario};

/// The longest that publishers of a partition may hear of no success before that counts as a failure of its own. No fault lasts
/// long, and two that overlap at worst take each other's place.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What a run showed.
#[derive(Debug)]
pub struct Report {
    pub(super) plan: Plan,
    /// How long there was load.
    pub(super) load: Duration,
    pub(super) judgement: Judgement,
    pub(super) outages: Vec<Outage>,
    pub(super) told: Told,
    /// What this machine did not allow, and so was not shown.
    pub(super) left_out: Vec<String>,
    /// What did not become well again by itself.
    pub(super) not_whole: Vec<String>,
}

impl Report {
    /// Whether the run kept every promise, and anything was promised at all.
    pub fn is_good(&self) -> bool {
        self.judgement.is_clean() && self.not_whole.is_empty() && self.judgement.acked > 0 && !self.is_too_silent()
    }

    /// Whether a partition could not be published to for too long. The weather's publishers end when they are through.
    fn is_too_silent(&self) -> bool {
        self.plan.scenario != Scenario::Weather && self.partition_silence() > SILENCE_MAX
    }

    /// One line for programs.
    pub fn json(&self) -> String {
        let Judgement { acked, stored, unacked, repeated, copies, seen, alike_bytes, .. } = self.judgement;
        let failovers: Vec<_> = self.outages.iter().map(|outage| self.outage_json(outage)).collect();
        let mut line = json!({
            "good": self.is_good(), "seed": self.plan.seed, "scenario": self.plan.scenario.name(),
            "nodes": self.plan.nodes, "seconds": self.load.as_secs_f64(),
            "acked": acked, "stored": stored, "unacked": unacked, "repeated": repeated, "copies": copies, "seen": seen,
            "alike_bytes": alike_bytes,
            "silence_ms": millis(self.told.silence_of_all(Duration::ZERO, self.load)),
            "partition_silence_ms": millis(self.partition_silence()),
            "outages": failovers, "failed": self.told.failed, "left_out": self.left_out, "not_whole": self.not_whole,
        });
        for (rule, findings) in self.judgement.rules() {
            line[rule] = findings.count.into();
        }
        line.to_string()
    }

    fn outage_json(&self, outage: &Outage) -> serde_json::Value {
        json!({
            "fault": outage.fault.name(), "victims": outage.victims, "began_ms": millis(outage.began),
            "ended_ms": millis(outage.ended), "led": outage.partitions.len(),
            "failover_ms": self.failover(outage).map(millis), "whole_ms": outage.whole.map(millis),
        })
    }

    /// The longest time in which publishers of one partition heard of no success.
    fn partition_silence(&self) -> Duration {
        let partitions = 0..self.told.acked.len();
        let silences = partitions.map(|partition| self.told.silence(partition, Duration::ZERO, self.load));
        silences.max().unwrap_or_default()
    }

    /// Time from the fault to the first ack of something sent after it, for the slowest partition whose leader was hurt;
    /// `None` when none was led, or none was acked any more.
    fn failover(&self, outage: &Outage) -> Option<Duration> {
        let first = |&partition: &usize| self.told.first_acked_after(partition, outage.began);
        let slowest = outage.partitions.iter().map(first).collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some(slowest.saturating_sub(outage.began))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<18} {:>24} {:>8} {:>5} {:>10} {:>10}", "fault", "on", "after s", "led", "failover", "whole")?;
        for outage in &self.outages {
            let (after, led) = (outage.began.as_secs_f64(), outage.partitions.len());
            let failover = self.failover(outage).map_or_else(|| "-".to_owned(), shown);
            let whole = outage.whole.map_or_else(|| "-".to_owned(), |whole| shown(whole.saturating_sub(outage.ended)));
            let (fault, on) = (outage.fault.name(), outage.victims.join(" "));
            writeln!(f, "{fault:<18} {on:>24} {after:>8.1} {led:>5} {failover:>10} {whole:>10}")?;
        }
        let Judgement { acked, stored, unacked, repeated, copies, seen, alike_bytes, alike_batches, .. } =
            self.judgement;
        writeln!(f, "\nacked under ALL    {acked:>9}, of {stored} stored, in {:.0} s", self.load.as_secs_f64())?;
        writeln!(f, "without an ack     {unacked:>9}, of them {repeated} repeated by their publishers")?;
        writeln!(f, "copies read back   {copies:>9}, consumers were shown {seen} messages")?;
        writeln!(f, "compared on disks  {alike_bytes:>9} bytes of each copy, in {alike_batches} batches")?;
        let silence = shown(self.told.silence_of_all(Duration::ZERO, self.load));
        writeln!(f, "no ack at all for  {silence:>9}, of one partition for {}", shown(self.partition_silence()))?;
        for (reason, count) in &self.told.failed {
            writeln!(f, "  {count:>6} x {reason}")?;
        }
        for (rule, findings) in self.judgement.rules() {
            writeln!(f, "{rule:<18} {:>9}", findings.count)?;
            for example in &findings.examples {
                writeln!(f, "  {example}")?;
            }
        }
        if self.is_too_silent() {
            writeln!(f, "TOO LONG WITHOUT AN ACK: more than {} s", SILENCE_MAX.as_secs())?;
        }
        for what in &self.not_whole {
            writeln!(f, "NOT WHOLE AGAIN: {what}")?;
        }
        for what in &self.left_out {
            writeln!(f, "NOT SHOWN: {what}")?;
        }
        write!(f, "{}: {}", if self.is_good() { "good" } else { "BAD" }, self.plan.command())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn shown(time: Duration) -> String {
    format!("{} ms", millis(time))
}
