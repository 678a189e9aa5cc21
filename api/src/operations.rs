//! Walks the operations on many jobs. Of each queue one API process does at a time.

use std::time::Duration;

use futures::future;
use metrics::{counter, describe_counter};
use tokio::sync::Notify;
use upshot_access::Right;
use upshot_queue::{Advanced, Error, OperationId, Operator, Walker, connect::Backoff, operation::Act};

use crate::state::Shared;

/// How often a process looks for operations that another process created.
const LOOK: Duration = Duration::from_secs(1);
const CHANGED: &str = "upshot_operation_jobs_total";

/// Wakes the walkers of this process, so that an operation begins at once.
#[derive(Debug, Default)]
pub struct Waker(Notify);

impl Waker {
    /// Wakes them.
    pub fn wake(&self) {
        self.0.notify_waiters();
    }
}

/// The right that an act on many jobs needs.
pub const fn right_of(act: Act) -> Right {
    match act {
        Act::Retry => Right::Replay,
        Act::Cancel => Right::Cancel,
        Act::Purge => Right::Purge,
        Act::Reschedule { .. } | Act::Prioritise { .. } => Right::Schedule,
        Act::Unpark => Right::Pause,
        Act::Waive => Right::Waive,
    }
}

/// Describes the metrics.
pub fn describe() {
    describe_counter!(CHANGED, "Jobs that operations of this process examined, by act and result.");
}

/// Walks until streams must end.
pub async fn run(state: Shared) {
    let process = format!("{:016x}", uuid::Uuid::new_v4().as_u64_pair().0);
    let walking = state.lists.values().map(|queue| {
        let operator = Operator::new(queue.clone());
        walk(&state, Walker::new(operator, process.clone()))
    });
    let walking = future::join_all(walking);
    let _ = state.stop.run_until_cancelled(walking).await;
}

async fn walk(state: &Shared, mut walker: Walker) {
    let mut backoff = Backoff::default();
    loop {
        // A wake-up between the look and the wait is not missed.
        let mut woken = std::pin::pin!(state.operations.0.notified());
        woken.as_mut().enable();
        match round(&mut walker).await {
            Ok(None) => backoff.reset(),
            Ok(Some(wait)) => {
                backoff.reset();
                tokio::select! {
                    () = woken => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Err(error) => {
                tracing::debug!(queue = %walker.operator().client().name(), %error, "operations wait");
                backoff.wait().await;
            }
        }
    }
}

/// Makes a step of each operation. Returns how long to wait; `None` for not at all.
async fn round(walker: &mut Walker) -> Result<Option<Duration>, Error> {
    let mut wait = Some(LOOK);
    for id in walker.take().await? {
        match step(walker, &id).await {
            Ok(Some(pause)) => wait = wait.map(|wait| wait.min(pause)),
            Ok(None) => wait = None,
            // A damaged job, or one that another version wrote, stops no other operation.
            Err(error @ (Error::Unreadable(_) | Error::Cursor(_))) => {
                let why = format!("it cannot be walked: {error}");
                tracing::error!(operation = %id, why, "an operation failed");
                walker.operator().fail_operation(&id, &why).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(wait)
}

/// Makes a step of an operation. Returns how long it waits; `None` where it continues.
async fn step(walker: &Walker, id: &OperationId) -> Result<Option<Duration>, Error> {
    match walker.operator().advance(id).await? {
        Advanced::By { act, changed, refused, phase, took } => {
            let queue = walker.operator().client().name();
            for (result, jobs) in [("changed", changed), ("refused", refused)] {
                let labels = [
                    ("queue", queue.to_string()),
                    ("act", act.as_str().to_owned()),
                    ("result", result.to_owned()),
                ];
                counter!(CHANGED, &labels).increment(jobs);
            }
            if !phase.is_active() {
                tracing::info!(operation = %id, %queue, %phase, "an operation ended its walk");
            }
            walker.rest(took).await;
            Ok(None)
        }
        Advanced::Wait(wait) => Ok(Some(wait)),
        Advanced::Idle(_) => Ok(Some(LOOK)),
    }
}
