//! The built-in job that waits for another event: an expectation of others (`[[expectations]]`).
//!
//! Its arguments are the data of the event that opened it, as those of any job. The label
//! [`LABEL_KEY`] has the key of the confirmation that the other event is.

use std::time::Duration;

use serde::{Deserialize, de::IgnoredAny};
use upshot_queue::{Failure, Stop};
use upshot_runtime::Settings;
use upshot_shared::{
    Evidence, Outcome,
    expectation::{KIND, LABEL_KEY, QUEUE},
    intake::{LABEL_ID, LABEL_SOURCE, LABEL_TYPE},
    outcome::Confirm,
};

use crate::{context::Context, job::Job};

/// The least time to wait. If the job runs after its due time, the other event may be on its way, too.
const LEAST: Duration = Duration::from_secs(1);

/// An expectation of others.
#[derive(Debug, Deserialize)]
pub(crate) struct Expect(IgnoredAny);

/// Whether an executor with these settings works on expectations.
pub(crate) fn is_wanted(settings: &Settings) -> bool {
    settings.worked_queues().any(|(name, _)| name.as_str() == QUEUE)
}

impl Job for Expect {
    const KIND: &'static str = KIND;
    type State = ();

    async fn run(self, cx: &Context<()>) -> Result<Outcome, Stop> {
        let job = cx.job();
        let Some(key) = job.labels.get(LABEL_KEY) else {
            let why = format!(
                "the job has no label `{LABEL_KEY}`: jobs of kind `{KIND}` come from [[expectations]] alone"
            );
            return Err(Failure::permanent(why).into());
        };
        let within = job.expected_by().map_or(LEAST, |due| left(due, cx.now()));
        let label = |name: &str| job.labels.get(name).cloned().unwrap_or_default();
        let facts = [("type", label(LABEL_TYPE)), ("source", label(LABEL_SOURCE)), ("id", label(LABEL_ID))];
        let evidence = Evidence::new("event", facts);
        Ok(Outcome::awaiting(format!("`{key}` is expected"), evidence, Confirm::new(key, within)))
    }
}

/// How long to wait for the other event.
fn left(due: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(due.saturating_sub(now)).unwrap_or(0)).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_ends_at_the_due_time_or_a_little_later() {
        assert_eq!(left(90_000, 30_000), Duration::from_secs(60));
        for (due, now) in [(30_500, 30_000), (30_000, 30_000), (0, 30_000), (i64::MIN, i64::MAX)] {
            assert_eq!(left(due, now), LEAST);
        }
    }
}
