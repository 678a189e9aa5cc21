//! Writes entries of the audit log, and repeats what Redis did not take.

use std::time::Duration;

use metrics::{counter, describe_counter};
use tokio::time::{sleep, timeout};
use upshot_access::{
    Right,
    acts::{Begun, Conclusion, Ended, Intent},
};

use super::not_on_record;
use crate::{problem::Problem, state::Shared};

/// How long an intent may take, and how long an answer waits for its result.
const INTENT: Duration = Duration::from_secs(5);
const RESULT: Duration = Duration::from_secs(1);
/// The waits before a result is written again.
const AGAIN: [u64; 6] = [1, 2, 5, 10, 20, 20];
/// How often refusals without entries are counted in the log.
const MINUTE: Duration = Duration::from_secs(60);

/// Writes an intent.
pub(super) async fn intend(state: &Shared, intent: Intent) -> Result<Begun, Problem> {
    match timeout(INTENT, state.acts.intend(intent)).await {
        Ok(Ok(begun)) => Ok(begun),
        Ok(Err(error)) => {
            tracing::warn!(%error, "an act was refused, because it could not be put on record");
            Err(not_on_record())
        }
        Err(_) => Err(not_on_record()),
    }
}

/// Writes a result. What Redis does not take at once is written in the background.
pub(super) async fn conclude(state: &Shared, begun: Begun, conclusion: Conclusion) {
    count(begun.right(), Ended::of_status(conclusion.status));
    if let Ok(Ok(())) = timeout(RESULT, state.acts.conclude(&begun, conclusion.clone())).await {
        return;
    }
    let state = state.clone();
    tokio::spawn(async move {
        for wait in AGAIN {
            sleep(Duration::from_secs(wait)).await;
            if let Ok(Ok(())) = timeout(INTENT, state.acts.conclude(&begun, conclusion.clone())).await {
                return;
            }
        }
        counter!("upshot_acts_unwritten_total").increment(1);
        tracing::error!(
            act = begun.id(),
            status = conclusion.status,
            "the result of an act could not be written: the audit log shows it as unknown"
        );
    });
}

/// Writes a login.
pub(super) fn login(state: Shared, intent: Intent, conclusion: Conclusion) {
    tokio::spawn(async move {
        count(intent.right, Ended::of_status(conclusion.status));
        for wait in AGAIN {
            if let Ok(Ok(())) = timeout(INTENT, state.acts.record(intent.clone(), conclusion.clone())).await {
                return;
            }
            sleep(Duration::from_secs(wait)).await;
        }
        counter!("upshot_acts_unwritten_total").increment(1);
        tracing::error!(operation = intent.operation, "a login could not be written to the audit log");
    });
}

/// Writes a refusal, if it gets an entry of its own.
pub(super) fn refused(state: Shared, intent: Intent, conclusion: Conclusion) {
    count(intent.right, Ended::Refused);
    tokio::spawn(async move {
        match timeout(INTENT, state.acts.refused(intent, conclusion)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => counter!("upshot_acts_unwritten_total").increment(1),
        }
    });
}

/// Counts refusals without entries in the log, for ever.
pub async fn write_suppressed(state: Shared) {
    let mut interval = tokio::time::interval(MINUTE);
    loop {
        interval.tick().await;
        if let Err(error) = state.acts.write_suppressed().await {
            tracing::debug!(%error, "refusals are counted later");
        }
    }
}

/// Describes the metrics, and starts those with known labels at 0.
pub(super) fn describe(rights: impl Iterator<Item = Right>) {
    describe_counter!(
        "upshot_acts_total",
        "Acts of principals, by the right that they need and their result."
    );
    describe_counter!("upshot_acts_unwritten_total", "Results and refusals that the audit log lacks.");
    counter!("upshot_acts_unwritten_total").absolute(0);
    for right in rights {
        for result in [Ended::Done, Ended::Failed, Ended::Refused] {
            let labels = [("right", right.as_str()), ("result", result.as_str())];
            counter!("upshot_acts_total", &labels).absolute(0);
        }
    }
}

fn count(right: Option<Right>, result: Ended) {
    let labels = [("right", right.map_or("none", Right::as_str)), ("result", result.as_str())];
    counter!("upshot_acts_total", &labels).increment(1);
}
