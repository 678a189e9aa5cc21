//! The figures by name, and their first targets.

use std::collections::BTreeMap;

/// What a figure is to reach.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// No target: it explains others.
    None,
}

/// Every figure in the order of the table: its name, what it says, its first
/// target. A dot in a name makes an object in JSON.
pub const ALL: &[(&str, &str, Target)] = &[
    ("bare_loop_events_per_s", "consume, one script, ack: the ceiling", Target::None),
    ("bridge_events_per_s", "events taken over by `upshot bridge`", Target::AtLeast(20_000.0)),
    ("bridge_to_bare_loop", "the bridge beside the bare loop", Target::AtLeast(0.5)),
    ("enqueue_jobs_per_s", "jobs enqueued in bulk by one client", Target::AtLeast(100_000.0)),
    ("noop_jobs_per_s", "jobs that do nothing, claimed to done", Target::AtLeast(35_000.0)),
    ("start_ms_p50", "publish to start at 500 a second, median", Target::AtMost(3.0)),
    ("start_ms_p99", "publish to start, 99 of 100", Target::AtMost(15.0)),
    ("queue_start_ms_p50", "enqueue to start at 50 a second, median", Target::AtMost(1.5)),
    ("queue_start_ms_p99", "enqueue to start, 99 of 100", Target::AtMost(6.0)),
    ("mixed_jobs_per_s", "no-op with tenants, priorities, weights, limits", Target::None),
    ("mixed_to_plain", "the same beside one lane without limits", Target::AtLeast(0.9)),
    ("mixed_cpu_ms", "CPU a job: worker, Redis", Target::None),
    ("mixed_to_plain_cpu", "the same beside one lane without limits", Target::None),
    ("backlog_enqueue_ratio", "an enqueue beside 1,000,000 jobs, to an empty queue", Target::AtMost(1.2)),
    ("backlog_claim_ratio", "a claim", Target::AtMost(1.2)),
    ("backlog_complete_ratio", "a completion", Target::AtMost(1.2)),
    ("backlog_drain_jobs_per_s", "the backlog worked off, median of its parts", Target::None),
    ("backlog_drain_flatness", "its slowest part beside its fastest", Target::None),
    ("takeover_s_p50", "SIGKILL of a worker to its jobs running again", Target::None),
    ("takeover_s_p99", "the same, 99 of 100", Target::AtMost(10.0)),
    ("redis_bytes_per_waiting_job", "of 300 bytes, as the bridge stores it", Target::AtMost(1_000.0)),
    ("redis_bytes_per_finished_job", "the same when it is done", Target::AtMost(1_200.0)),
    ("noop_bytes_waiting", "of 300 bytes, without an event", Target::None),
    ("noop_bytes_finished", "the same when it is done", Target::None),
    ("rss_mb.bridge", "memory after load", Target::AtMost(40.0)),
    ("rss_mb.executor", "memory after the invoices", Target::None),
    ("rss_mb.api", "memory after the requests", Target::AtMost(40.0)),
    ("rss_peak_mb.bridge", "the most it ever was", Target::None),
    ("rss_peak_mb.executor", "", Target::None),
    ("rss_peak_mb.api", "", Target::None),
    ("bare_loop_cpu_ms", "CPU an event: loop, RabbitMQ, Redis", Target::None),
    ("bridge_cpu_ms", "CPU an event: bridge, RabbitMQ, Redis", Target::None),
    ("noop_cpu_ms", "CPU a job: worker, Redis", Target::AtMost(0.035)),
    ("start_cpu_ms", "CPU an event: producer, all of Upshot, servers", Target::None),
    ("idle_worker_cpu_percent", "of a core, by a worker without jobs", Target::AtMost(1.0)),
    ("idle_redis_commands_per_s", "that a worker without jobs causes", Target::AtMost(20.0)),
    ("full_enqueue_cpu_ms", "Redis' CPU for a full call, where it is dearest", Target::None),
    ("full_claim_cpu_ms", "the same of a claim", Target::None),
    ("full_complete_cpu_ms", "the same of a completion", Target::None),
    ("slow_script_calls", "of ours, that took Redis over 5 ms on the clock", Target::AtMost(0.0)),
    ("slow_bare_calls", "the same of 100,000 of a bare script of 0.8 ms", Target::None),
    ("bullmq_enqueue_jobs_per_s", "BullMQ: jobs by `addBulk`", Target::None),
    ("bullmq_noop_jobs_per_s", "BullMQ: jobs that do nothing, best setting", Target::None),
    ("noop_to_bullmq", "our no-op jobs beside BullMQ's", Target::AtLeast(5.0)),
    ("bullmq_noop_cpu_ms", "BullMQ: CPU a job: workers, Redis", Target::None),
    ("bullmq_start_ms_p50", "BullMQ: `add` to start at 50 a second, median", Target::None),
    ("bullmq_start_ms_p99", "BullMQ: `add` to start, 99 of 100", Target::None),
    ("bullmq_bytes_waiting", "BullMQ: Redis bytes of a job of 300 bytes", Target::None),
    ("bullmq_bytes_finished", "BullMQ: the same when it is done, and kept", Target::None),
];

/// What was measured: values by figure, one for each round.
#[derive(Debug, Default)]
pub struct Figures {
    rounds: BTreeMap<&'static str, Vec<f64>>,
}

impl Figures {
    /// Adds one round's value.
    pub fn add(&mut self, name: &'static str, value: f64) {
        debug_assert!(ALL.iter().any(|(known, ..)| *known == name), "{name} is not listed");
        self.rounds.entry(name).or_default().push(value);
    }

    /// The median of the rounds, if it was measured.
    pub fn get(&self, name: &str) -> Option<f64> {
        let mut values = self.rounds.get(name)?.clone();
        Some(percentile(&mut values, 0.5))
    }
}

/// The value that this share of all values does not exceed.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    // A share of 0 to 1 keeps the place within the values.
    let place = (last as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_do_not_depend_on_the_order() {
        let mut values = vec![5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(percentile(&mut values, 0.5), 3.0);
        assert_eq!(percentile(&mut values, 0.99), 5.0);
        assert!(percentile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn the_figure_of_several_rounds_is_their_median() {
        let mut figures = Figures::default();
        for value in [3.0, 9.0, 4.0] {
            figures.add("noop_jobs_per_s", value);
        }
        assert_eq!(figures.get("noop_jobs_per_s"), Some(4.0));
        assert_eq!(figures.get("start_ms_p50"), None);
    }
}
