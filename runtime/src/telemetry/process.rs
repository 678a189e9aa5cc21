//! The metrics that every process has.

use metrics::{counter, describe_counter, describe_gauge, gauge};

/// Describes and starts them.
pub(super) fn describe() {
    describe_gauge!("upshot_build_info", "Always 1; the label has the version of Upshot.");
    gauge!("upshot_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    describe_counter!("upshot_log_lines_lost_total", "Log lines that could not be written.");
    counter!("upshot_log_lines_lost_total").absolute(0);
    describe_counter!(
        "upshot_redis_installation_lost_total",
        "How often the data in Redis were found to be gone or replaced."
    );
    counter!("upshot_redis_installation_lost_total").absolute(0);
    describe_gauge!(
        "upshot_redis_installation_lost",
        "Whether the data in Redis are gone or were replaced since this process started."
    );
    gauge!("upshot_redis_installation_lost").set(0.0);
}
