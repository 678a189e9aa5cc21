//! The metrics of a bridge.

use metrics::{counter, describe_counter, describe_histogram};
use upshot_queue::QueueName;
use upshot_shared::Reason;

/// The possible results for a job that an event asks for.
pub(crate) const RESULTS: [&str; 5] = ["inserted", "duplicate", "refused", "repaired", "conflict"];

/// The possible results for a confirmation.
pub(crate) const CONFIRMED: [&str; 4] = ["stored", "known", "contradicts", "full"];

/// Describes the metrics, and starts those with known labels at 0.
pub(crate) fn describe<'a>(queues: impl Iterator<Item = &'a QueueName>) {
    describe_counter!("upshot_bridge_jobs_total", "Jobs that events asked for, by result.");
    describe_counter!(
        "upshot_bridge_confirmations_total",
        "Confirmations that messages and events were, by what their queue said."
    );
    for queue in queues {
        for result in CONFIRMED {
            let queue = queue.to_string();
            counter!("upshot_bridge_confirmations_total", "queue" => queue, "result" => result).absolute(0);
        }
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
