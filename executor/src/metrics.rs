//! What an executor counts.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};

/// How an attempt may end.
pub(crate) const ENDS: [&str; 3] = ["achieved", "failed", "put_off"];
/// What may be swept.
pub(crate) const SWEPT: [&str; 2] = ["draft", "staging"];

/// Says what the metrics mean, and starts those whose labels are known at 0.
pub(crate) fn describe<'a>(kinds: impl Iterator<Item = &'a str>) {
    describe_counter!("upshot_executor_attempts_total", "Attempts that handlers ended, by how they ended.");
    for kind in kinds {
        for end in ENDS {
            counter!("upshot_executor_attempts_total", "kind" => kind.to_owned(), "result" => end)
                .absolute(0);
        }
    }
    describe_gauge!(
        "upshot_executor_mail_refused",
        "Whether the mail server refuses all mail, so that jobs wait for `breaker:smtp`."
    );
    gauge!("upshot_executor_mail_refused").set(0.0);
    describe_histogram!("upshot_executor_attempt_seconds", "Time that handlers took for an attempt.");
    describe_counter!(
        "upshot_executor_swept_total",
        "Files that no job needs any longer and that were removed."
    );
    for what in SWEPT {
        counter!("upshot_executor_swept_total", "what" => what).absolute(0);
    }
}
