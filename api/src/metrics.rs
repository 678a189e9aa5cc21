//! The metrics of an API process.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};
use upshot_shared::Reason;

/// Describes the metrics, and starts those with known labels at 0.
pub(crate) fn describe() {
    describe_counter!("upshot_api_events_total", "Events that were posted, by result.");
    for result in ["accepted", "duplicate"].into_iter().chain(Reason::ALL.map(Reason::as_str)) {
        counter!("upshot_api_events_total", "result" => result).absolute(0);
    }
    crate::operations::describe();
    describe_gauge!("upshot_api_watched_jobs", "Jobs whose progress is watched.");
}

/// Describes the metrics of requests, which other services count as well.
pub(crate) fn describe_requests() {
    describe_gauge!("upshot_api_connections", "Connections that are open.");
    describe_counter!(
        "upshot_api_connections_refused_total",
        "Connections that were closed at once because too many were open."
    );
    describe_counter!("upshot_api_requests_total", "Requests that were answered.");
    describe_histogram!("upshot_api_request_seconds", "Time from a request to the head of its answer.");
}
