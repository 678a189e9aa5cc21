//! What a worker counts.

use metrics::{counter, describe_counter};

use crate::QueueName;

/// Says what the metrics mean, and starts those of this queue at 0.
pub(super) fn describe(queue: &QueueName) {
    describe_counter!("upshot_queue_claimed_total", "Jobs that workers of this process claimed.");
    describe_counter!(
        "upshot_queue_taken_over_total",
        "Jobs whose lease had expired and that claims of this process took over."
    );
    describe_counter!(
        "upshot_queue_refused_total",
        "Writes of attempts that were refused because their lease was lost."
    );
    describe_counter!(
        "upshot_queue_mended_total",
        "Jobs that were not where their state said, and that this process put right."
    );
    describe_counter!(
        "upshot_queue_clock_set_back_total",
        "How often the clock of Redis was found to be set back."
    );
    describe_counter!(
        "upshot_queue_retention_held_total",
        "How often retention held finished jobs back, because a jump of the clock made too many old at once."
    );
    for state in ["succeeded", "dead", "cancelled"] {
        counter!("upshot_queue_retention_held_total", "queue" => queue.to_string(), "state" => state)
            .absolute(0);
    }
    for name in [
        "upshot_queue_clock_set_back_total",
        "upshot_queue_claimed_total",
        "upshot_queue_taken_over_total",
        "upshot_queue_refused_total",
        "upshot_queue_mended_total",
    ] {
        counter!(name, "queue" => queue.to_string()).absolute(0);
    }
}
