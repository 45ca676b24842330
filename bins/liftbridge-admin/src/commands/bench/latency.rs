//! Times, as a distribution. Owns the histogram; averages are never given.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Three significant digits are kept: more is noise.
const SIGNIFICANT_DIGITS: u8 = 3;
/// The longest time told apart from longer ones, in nanoseconds: ten minutes.
const NANOS_MAX: u64 = 600_000_000_000;

/// Measured times.
#[derive(Debug)]
pub(super) struct Latencies {
    nanos: Histogram<u64>,
}

/// Quantiles in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct LatencyView {
    p50_us: f64,
    p99_us: f64,
    #[serde(rename = "p99.9_us")]
    p99_9_us: f64,
    #[serde(rename = "p99.99_us")]
    p99_99_us: f64,
    max_us: f64,
}

impl Latencies {
    pub(super) fn new() -> Self {
        let nanos = Histogram::new_with_bounds(1, NANOS_MAX, SIGNIFICANT_DIGITS);
        Self { nanos: nanos.expect("the bounds are constants the histogram accepts") }
    }

    pub(super) fn record(&mut self, time: Duration) {
        self.nanos.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(NANOS_MAX).max(1));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.nanos.add(&other.nanos).expect("all histograms have the same bounds");
    }

    pub(super) fn view(&self) -> Option<LatencyView> {
        #[expect(clippy::cast_precision_loss, reason = "microseconds for people")]
        let us = |nanos: u64| nanos as f64 / 1e3;
        let quantile = |q| us(self.nanos.value_at_quantile(q));
        (!self.nanos.is_empty()).then(|| LatencyView {
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p99_9_us: quantile(0.999),
            p99_99_us: quantile(0.9999),
            max_us: us(self.nanos.max()),
        })
    }
}

impl LatencyView {
    pub(super) fn text(&self) -> String {
        let ms = |us: f64| format!("{:.3} ms", us / 1e3);
        let Self { p50_us, p99_us, p99_9_us, p99_99_us, max_us } = self;
        format!(
            "p50 {}, p99 {}, p99.9 {}, p99.99 {}, max {}",
            ms(*p50_us),
            ms(*p99_us),
            ms(*p99_9_us),
            ms(*p99_99_us),
            ms(*max_us)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_everything_recorded() {
        let (mut latencies, mut other) = (Latencies::new(), Latencies::new());
        assert!(latencies.view().is_none());
        (1..=500).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        (501..=1000).for_each(|ms| other.record(Duration::from_millis(ms)));
        latencies.merge(&other);
        let view = latencies.view().unwrap();
        assert!((view.p50_us / 500_000.0 - 1.0).abs() < 0.01, "{view:?}");
        assert!((view.p99_us / 990_000.0 - 1.0).abs() < 0.01, "{view:?}");
        latencies.record(Duration::MAX);
        assert!(latencies.view().unwrap().max_us > 1e8);
    }
}
