//! Renders the metrics now and then, so that samples do not pile up if no scraper fetches them.

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
