//! The metrics of the relay.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use upshot_queue::QueueName;
use upshot_runtime::Settings;
use upshot_shared::{Receipt, Verdict};

/// Describes the metrics, and starts those with known labels at 0.
pub(super) fn describe(settings: &Settings) {
    describe_counter!("upshot_receipts_published_total", "Receipts that RabbitMQ confirmed.");
    for route in settings.all_routes() {
        for verdict in Verdict::ALL {
            let (route, verdict) = (route.name.clone(), verdict.as_str());
            counter!("upshot_receipts_published_total", "route" => route, "verdict" => verdict).absolute(0);
        }
    }
    describe_counter!("upshot_receipts_failures_total", "How often receipts had to wait, by cause.");
    for cause in ["rabbitmq", "refused", "redis"] {
        counter!("upshot_receipts_failures_total", "cause" => cause).absolute(0);
    }
    describe_gauge!("upshot_receipts_relaying", "1 while this process relays the receipts of a queue.");
    for queue in settings.queues.keys() {
        holds(queue, false);
    }
}

pub(super) fn published(receipt: &Receipt) {
    let (route, verdict) = (receipt.data.route.clone(), receipt.verdict().as_str());
    counter!("upshot_receipts_published_total", "route" => route, "verdict" => verdict).increment(1);
}

pub(super) fn holds(queue: &QueueName, is_ours: bool) {
    gauge!("upshot_receipts_relaying", "queue" => queue.to_string()).set(f64::from(u8::from(is_ours)));
}
