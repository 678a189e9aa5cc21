//! Puts together figures that nobody fetches, so that they do not pile up.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

/// How often.
const EVERY: Duration = Duration::from_secs(5);

/// Runs for ever.
pub async fn run(metrics: PrometheusHandle) {
    let mut interval = tokio::time::interval(EVERY);
    loop {
        interval.tick().await;
        metrics.run_upkeep();
    }
}
