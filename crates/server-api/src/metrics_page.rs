//! The process's metrics as a page of text. Owns the recorder and how latencies are sorted into buckets; never what is
//! counted.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use thiserror::Error;

use crate::metrics::{LATENCY_BUCKETS_SECONDS, REQUEST_LATENCY_MS, REQUEST_LATENCY_SECONDS, describe};

/// How often what was measured is moved into the buckets, so that it does not pile up when nobody looks at the page.
pub(crate) const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Another recorder counts in this process already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this process has another metrics recorder already")]
pub struct RecorderInstalled;

/// Everything the process counts, as Prometheus reads it. Cheap to clone.
#[derive(Clone)]
pub struct MetricsPage {
    handle: PrometheusHandle,
}

impl MetricsPage {
    /// Makes this process count. Once per process, before anything is counted.
    ///
    /// # Errors
    /// When something else counts already.
    pub fn install() -> Result<Self, RecorderInstalled> {
        let recorder = recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| RecorderInstalled)?;
        describe();
        Ok(Self { handle })
    }

    /// A page nothing is counted on.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self { handle: recorder().handle() }
    }

    /// The page.
    pub(crate) fn render(&self) -> String {
        self.handle.render()
    }

    /// The page, with what `show` shows at this moment and no page has to remember.
    pub(crate) fn render_with(&self, show: impl FnOnce()) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, show);
        let mut page = self.render();
        page.push_str(&recorder.handle().render());
        page
    }

    /// Moves what was measured into the buckets.
    pub(crate) fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn recorder() -> PrometheusRecorder {
    let milliseconds = LATENCY_BUCKETS_SECONDS.map(|seconds| seconds * 1000.0);
    let seconds = Matcher::Full(REQUEST_LATENCY_SECONDS.to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &LATENCY_BUCKETS_SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full(REQUEST_LATENCY_MS.to_owned()), &milliseconds))
        .expect("the list of buckets is not empty")
        .build_recorder()
}

impl std::fmt::Debug for MetricsPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsPage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::metrics::request_finished;

    #[test]
    fn what_is_shown_for_one_page_is_not_on_the_next() {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || metrics::counter!("kept").increment(1));
        let page = MetricsPage { handle: recorder.handle() };
        let lines = |shown: &'static str| -> Vec<String> {
            let text = page.render_with(|| metrics::gauge!("shown", "stream" => shown).set(1.0));
            text.lines().filter(|line| line.ends_with(" 1")).map(str::to_owned).collect()
        };
        assert_eq!(lines("a"), ["kept 1", "shown{stream=\"a\"} 1"]);
        assert_eq!(lines("b"), ["kept 1", "shown{stream=\"b\"} 1"]);
    }

    #[test]
    fn latency_is_counted_in_seconds_and_in_milliseconds_by_call_and_code() {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || {
            request_finished("Publish", Code::Ok, Duration::from_millis(3));
        });
        let page = MetricsPage { handle: recorder.handle() }.render();
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
