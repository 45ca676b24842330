//! Histograms: how often what was measured lay below which bounds.
//!
//! Owns the counts, a few numbers for each histogram however much is measured, and what they look like on the page. It never
//! knows what is measured: the unit that ends a name says which bounds there are.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{HistogramFn, Key, SharedString};
use metrics_exporter_prometheus::formatting::{sanitize_label_value, write_help_line, write_type_line};
use parking_lot::RwLock;

/// Bounds of durations, in seconds: from a cached answer to a client's usual patience.
const SECONDS: &[f64] = &[0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// The same in milliseconds.
const MILLISECONDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0];
/// Bounds of everything else, which is counts: from one to the largest batch by default, and some more.
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0];

fn bounds_of(name: &str) -> &'static [f64] {
    if name.ends_with("_seconds") {
        SECONDS
    } else if name.ends_with("_ms") {
        MILLISECONDS
    } else {
        COUNTS
    }
}

/// Every histogram there is.
#[derive(Debug, Default)]
pub(super) struct Histograms {
    by_key: RwLock<HashMap<Key, Arc<Buckets>>>,
    descriptions: RwLock<HashMap<String, SharedString>>,
}

impl Histograms {
    /// Says what those of a name mean.
    pub(super) fn describe(&self, name: &str, description: SharedString) {
        self.descriptions.write().insert(name.to_owned(), description);
    }

    /// The one of this name and these labels.
    pub(super) fn of(&self, key: &Key) -> Arc<Buckets> {
        if let Some(buckets) = self.by_key.read().get(key) {
            return Arc::clone(buckets);
        }
        let mut by_key = self.by_key.write();
        Arc::clone(by_key.entry(key.clone()).or_insert_with(|| Arc::new(Buckets::new(bounds_of(key.name())))))
    }

    /// Writes all of them to the end of `page`, those of one name together.
    pub(super) fn render(&self, page: &mut String) {
        let mut all: Vec<(Key, Arc<Buckets>)> =
            self.by_key.read().iter().map(|(key, buckets)| (key.clone(), Arc::clone(buckets))).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        for of_one_name in all.chunk_by(|(one, _), (other, _)| one.name() == other.name()) {
            let Some((first, _)) = of_one_name.first() else { continue };
            if let Some(description) = self.descriptions.read().get(first.name()) {
                write_help_line(page, first.name(), None, None, description);
            }
            write_type_line(page, first.name(), None, None, "histogram");
            for (key, buckets) in of_one_name {
                buckets.render(key, page).expect("a text takes everything");
            }
            page.push('\n');
        }
    }
}

/// One histogram.
#[derive(Debug)]
pub(super) struct Buckets {
    /// The upper end of each bucket, ascending; the last bucket has none.
    bounds: &'static [f64],
    /// How many values lay in each bucket, one more than there are bounds.
    counts: Box<[AtomicU64]>,
    /// The bits of the sum of all values.
    sum: AtomicU64,
}

impl Buckets {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0.0_f64.to_bits()) }
    }

    fn render(&self, key: &Key, page: &mut String) -> fmt::Result {
        let name = key.name();
        let mut labels = String::new();
        for label in key.labels() {
            write!(labels, "{}=\"{}\",", label.key(), sanitize_label_value(label.value()))?;
        }
        let mut count = 0;
        let ends = self.bounds.iter().copied().chain([f64::INFINITY]);
        for (end, within) in ends.zip(&self.counts) {
            count += within.load(Ordering::Relaxed);
            match end.is_finite() {
                true => writeln!(page, "{name}_bucket{{{labels}le=\"{end}\"}} {count}")?,
                false => writeln!(page, "{name}_bucket{{{labels}le=\"+Inf\"}} {count}")?,
            }
        }
        let labels = match labels.strip_suffix(',') {
            Some(labels) => format!("{{{labels}}}"),
            None => String::new(),
        };
        writeln!(page, "{name}_sum{labels} {}", f64::from_bits(self.sum.load(Ordering::Relaxed)))?;
        writeln!(page, "{name}_count{labels} {count}")
    }
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody measures as much as 2^53 at once")]
    fn record_many(&self, value: f64, count: usize) {
        let bucket = self.bounds.partition_point(|end| *end < value);
        if let Some(within) = self.counts.get(bucket) {
            within.fetch_add(count as u64, Ordering::Relaxed);
        }
        let more = value * count as f64;
        let add = |sum: u64| Some((f64::from_bits(sum) + more).to_bits());
        // It never fails, because `add` never declines.
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

#[cfg(test)]
mod tests {
    use metrics::Label;

    use super::*;

    fn page(histograms: &Histograms) -> Vec<String> {
        let mut page = String::new();
        histograms.render(&mut page);
        page.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_value_lies_in_the_bucket_that_ends_with_it() {
        let histograms = Histograms::default();
        let batch = histograms.of(&Key::from_name("batch"));
        batch.record(1.0);
        batch.record_many(3.0, 2);
        batch.record(1e9);
        histograms.describe("batch", "Messages.".into());
        let page = page(&histograms);
        assert_eq!(
            page[..5],
            [
                "# HELP batch Messages.",
                "# TYPE batch histogram",
                "batch_bucket{le=\"1\"} 1",
                "batch_bucket{le=\"2\"} 1",
                "batch_bucket{le=\"4\"} 3",
            ]
        );
        assert_eq!(
            page[page.len() - 5..],
            [
                "batch_bucket{le=\"16384\"} 3",
                "batch_bucket{le=\"+Inf\"} 4",
                "batch_sum 1000000007",
                "batch_count 4",
                "",
            ]
        );
    }

    #[test]
    fn those_of_one_name_stand_together_and_are_counted_apart() {
        let histograms = Histograms::default();
        let of = |value: &'static str| {
            histograms.of(&Key::from_parts("a_seconds", vec![Label::new("rpc", value), Label::new("code", "ok")]))
        };
        of("Publish").record(0.002);
        histograms.of(&Key::from_name("b_ms")).record(2.0);
        of("\"").record(0.002);
        of("Publish").record(0.002);
        let counts: Vec<String> = page(&histograms)
            .into_iter()
            .filter(|line| line.starts_with("# TYPE") || line.contains("_count") || line.contains("0.0025"))
            .collect();
        assert_eq!(
            counts,
            [
                "# TYPE a_seconds histogram",
                "a_seconds_bucket{rpc=\"\\\"\",code=\"ok\",le=\"0.0025\"} 1",
                "a_seconds_count{rpc=\"\\\"\",code=\"ok\"} 1",
                "a_seconds_bucket{rpc=\"Publish\",code=\"ok\",le=\"0.0025\"} 2",
                "a_seconds_count{rpc=\"Publish\",code=\"ok\"} 2",
                "# TYPE b_ms histogram",
                "b_ms_count 1",
            ]
        );
    }
}
