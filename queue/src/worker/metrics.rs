//! The metrics of a worker.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::QueueName;

/// Describes the metrics, and starts those of this queue at 0.
pub(super) fn describe(queue: &QueueName) {
    describe_counter!("job_queue_claimed_total", "Jobs that workers of this process claimed.");
    describe_counter!(
        "job_queue_reclaimed_total",
        "Jobs whose lease had expired and that claims of this process reclaimed."
    );
    describe_counter!(
        "job_queue_refused_total",
        "Writes of attempts that were refused because their lease was lost."
    );
    describe_counter!(
        "job_queue_repaired_total",
        "Jobs that were not where their state said, and that this process put right."
    );
    describe_counter!(
        "job_queue_clock_skewed_total",
        "Jobs that ended here and whose times by several clocks were in the wrong order."
    );
    describe_counter!(
        "job_queue_clock_set_back_total",
        "How often the clock of Redis was found to be set back."
    );
    describe_counter!(
        "job_queue_retention_held_total",
        "How often retention held finished jobs back, because a jump of the clock made too many old at once."
    );
    describe_gauge!(
        "job_queue_configuration_version",
        "Version of the queue's configuration that this process works by; 0 for its own settings."
    );
    describe_gauge!(
        "job_queue_configuration_differences",
        "Values in which this process's settings differ from the queue's configuration, which counts."
    );
    for name in ["job_queue_configuration_version", "job_queue_configuration_differences"] {
        gauge!(name, "queue" => queue.to_string()).set(0.0);
    }
    for state in ["succeeded", "dead", "cancelled", "signals"] {
        counter!("job_queue_retention_held_total", "queue" => queue.to_string(), "state" => state)
            .absolute(0);
    }
    for name in [
        "job_queue_clock_set_back_total",
        "job_queue_clock_skewed_total",
        "job_queue_claimed_total",
        "job_queue_reclaimed_total",
        "job_queue_refused_total",
        "job_queue_repaired_total",
    ] {
        counter!(name, "queue" => queue.to_string()).absolute(0);
    }
}
