//! What a bridge counts.

use metrics::{counter, describe_counter, describe_histogram};
use upshot_queue::QueueName;
use upshot_shared::Reason;

/// What may become of a job that an event asks for.
pub(crate) const RESULTS: [&str; 5] = ["inserted", "duplicate", "refused", "repaired", "conflict"];

/// Says what the metrics mean, and starts those whose labels are known at 0.
pub(crate) fn describe<'a>(queues: impl Iterator<Item = &'a QueueName>) {
    describe_counter!("upshot_bridge_jobs_total", "Jobs that events asked for, by what became of them.");
    for queue in queues {
        for result in RESULTS {
            counter!("upshot_bridge_jobs_total", "queue" => queue.to_string(), "result" => result)
                .absolute(0);
        }
    }
    describe_counter!(
        "upshot_bridge_quarantined_total",
        "Messages that were put into quarantine, by reason."
    );
    for reason in Reason::ALL {
        counter!("upshot_bridge_quarantined_total", "reason" => reason.as_str()).absolute(0);
    }
    describe_histogram!(
        "upshot_bridge_ack_seconds",
        "Time from the arrival of a message to its acknowledgement."
    );
}
