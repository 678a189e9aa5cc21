//! The metrics of an executor.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

use crate::schedules;

/// The results of an attempt.
pub(crate) const ENDS: [&str; 3] = ["achieved", "failed", "put_off"];

/// Describes the metrics, and starts those with known labels at 0.
pub(crate) fn describe<'a>(kinds: impl Iterator<Item = &'a str>) {
    describe_counter!("upshot_executor_attempts_total", "Attempts that handlers ended, by how they ended.");
    for kind in kinds {
        for end in ENDS {
            counter!("upshot_executor_attempts_total", "kind" => kind.to_owned(), "result" => end)
                .absolute(0);
        }
    }
    describe_counter!(schedules::RUNS, "Jobs that schedules enqueued at due times.");
    describe_counter!(schedules::MISSED, "Due times of schedules that got no job.");
    describe_gauge!(
        "upshot_schedule_troubles",
        "Schedules that do not run as they say, by what keeps them from it."
    );
    describe_gauge!(
        "upshot_schedule_differences",
        "Schedules of the settings that differ from those stored with the queue."
    );
    describe_histogram!("upshot_executor_attempt_seconds", "Time that handlers took for an attempt.");
}
