//! The process's metrics as a page of text. Owns the recorder, which keeps nothing but numbers: what is measured is sorted
//! into buckets at once, so nothing piles up when nobody looks at the page. It never knows what is counted.

mod histograms;

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use thiserror::Error;

use crate::metrics::describe;
use histograms::Histograms;

/// Another recorder counts in this process already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this process has another metrics recorder already")]
pub struct RecorderInstalled;

/// Everything the process counts, as Prometheus reads it. Cheap to clone.
#[derive(Clone)]
pub struct MetricsPage {
    handle: PrometheusHandle,
    histograms: Arc<Histograms>,
}

impl MetricsPage {
    /// Makes this process count. Once per process, before anything is counted.
    ///
    /// # Errors
    /// When something else counts already.
    pub fn install() -> Result<Self, RecorderInstalled> {
        let (recorder, page) = Self::with_recorder();
        metrics::set_global_recorder(recorder).map_err(|_| RecorderInstalled)?;
        describe();
        Ok(page)
    }

    /// A page nothing is counted on.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self::with_recorder().1
    }

    /// A page, and what counts for it.
    pub(crate) fn with_recorder() -> (PageRecorder, Self) {
        let rest = PrometheusBuilder::new().build_recorder();
        let page = Self { handle: rest.handle(), histograms: Arc::default() };
        (PageRecorder { rest, histograms: Arc::clone(&page.histograms) }, page)
    }

    /// The page.
    pub(crate) fn render(&self) -> String {
        let mut page = self.handle.render();
        self.histograms.render(&mut page);
        page
    }

    /// The page, with what `show` shows at this moment and no page has to remember.
    pub(crate) fn render_with(&self, show: impl FnOnce()) -> String {
        let (recorder, shown) = Self::with_recorder();
        metrics::with_local_recorder(&recorder, show);
        let mut page = self.render();
        page.push_str(&shown.render());
        page
    }
}

/// Counts what is on a page. Histograms are kept apart: those of the library keep every value until somebody looks.
pub(crate) struct PageRecorder {
    rest: PrometheusRecorder,
    histograms: Arc<Histograms>,
}

impl Recorder for PageRecorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.rest.describe_counter(name, unit, description);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.rest.describe_gauge(name, unit, description);
    }

    fn describe_histogram(&self, name: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.histograms.describe(name.as_str(), description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.rest.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.rest.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        self.histograms.of(key).into()
    }
}

impl std::fmt::Debug for MetricsPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsPage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Code;

    use super::*;
    use crate::metrics::request_finished;

    #[test]
    fn what_is_shown_for_one_page_is_not_on_the_next() {
        let (recorder, page) = MetricsPage::with_recorder();
        metrics::with_local_recorder(&recorder, || metrics::counter!("kept").increment(1));
        let lines = |shown: &'static str| -> Vec<String> {
            let text = page.render_with(|| metrics::gauge!("shown", "stream" => shown).set(1.0));
            text.lines().filter(|line| line.ends_with(" 1")).map(str::to_owned).collect()
        };
        assert_eq!(lines("a"), ["kept 1", "shown{stream=\"a\"} 1"]);
        assert_eq!(lines("b"), ["kept 1", "shown{stream=\"b\"} 1"]);
    }

    #[test]
    fn latency_is_counted_in_seconds_and_in_milliseconds_by_call_and_code() {
        let (recorder, page) = MetricsPage::with_recorder();
        metrics::with_local_recorder(&recorder, || {
            request_finished("Publish", Code::Ok, Duration::from_millis(3));
        });
        let page = page.render();
        for line in [
            "liftbridge_request_latency_seconds_bucket{rpc=\"Publish\",code=\"ok\",le=\"0.005\"} 1",
            "liftbridge_request_latency_seconds_bucket{rpc=\"Publish\",code=\"ok\",le=\"0.0025\"} 0",
            "liftbridge_request_latency_ms_bucket{rpc=\"Publish\",code=\"ok\",le=\"5\"} 1",
            "liftbridge_request_latency_ms_count{rpc=\"Publish\",code=\"ok\"} 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
    }
}
