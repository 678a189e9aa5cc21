//! Walks the operations on many jobs. Of each queue one API process does at a time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures::future;
use metrics::{counter, describe_counter};
use tokio::sync::Notify;
use upshot_access::Right;
use upshot_queue::{
    Advanced, Error, OperationId, Operator, Walker,
    connect::{Backoff, Cause},
    operation::Act,
};

use crate::state::Shared;

/// How often a process looks for operations that another process created.
const LOOK: Duration = Duration::from_secs(1);
/// Steps of an operation that may fail in a row for a cause of its own.
const ERRORS: u32 = 5;
const CHANGED: &str = "upshot_operation_jobs_total";
/// The names of the acts.
const ACTS: [&str; 7] = ["retry", "cancel", "purge", "reschedule", "prioritise", "unpark", "waive"];

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
    for (queue, act) in state.lists.values().flat_map(|queue| ACTS.map(|act| (queue, act))) {
        for result in ["changed", "refused"] {
            counter!(CHANGED, "queue" => queue.name().to_string(), "act" => act, "result" => result)
                .absolute(0);
        }
    }
    let walking = state.lists.values().map(|queue| {
        let operator = Operator::new(queue.clone());
        walk(&state, Walker::new(operator, process.clone()))
    });
    let walking = future::join_all(walking);
    let _ = state.stop.run_until_cancelled(walking).await;
}

async fn walk(state: &Shared, mut walker: Walker) {
    let mut backoff = Backoff::default();
    let mut is_known = false;
    let mut errors = HashMap::new();
    loop {
        // A wake-up between the look and the wait is not missed.
        let mut woken = std::pin::pin!(state.operations.0.notified());
        woken.as_mut().enable();
        match round(&mut walker, &mut errors).await {
            Ok(None) => {
                is_known = false;
                backoff.reset();
            }
            Ok(Some(wait)) => {
                is_known = false;
                backoff.reset();
                tokio::select! {
                    () = woken => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Err(error) => {
                if !is_known {
                    tracing::warn!(queue = %walker.operator().client().name(), %error, "operations wait");
                }
                is_known = true;
                backoff.wait().await;
            }
        }
    }
}

/// Makes a step of each operation. `errors` has how many steps of an operation failed in a row. Returns
/// how long to wait; `None` for not at all.
async fn round(
    walker: &mut Walker,
    errors: &mut HashMap<OperationId, u32>,
) -> Result<Option<Duration>, Error> {
    let mut wait = Some(LOOK);
    let mut failed = None;
    let ids = walker.take().await?;
    errors.retain(|id, _| ids.contains(id));
    for id in ids {
        // A round of slow steps outlasts the lease. What another process walks by now is left to it.
        if !walker.keep().await? {
            break;
        }
        let said = step(walker, &id).await;
        if said.is_ok() {
            errors.remove(&id);
        }
        match said {
            Ok(Some(pause)) => wait = wait.map(|wait| wait.min(pause)),
            Ok(None) => wait = None,
            // A damaged job, or one that another version wrote, stops no other operation.
            Err(error @ (Error::Unreadable(_) | Error::Cursor(_))) => {
                let why = format!("it cannot be walked: {error}");
                tracing::error!(operation = %id, why, "an operation failed");
                walker.operator().fail_operation(&id, &why).await?;
            }
            // Nor does one that Redis refuses.
            Err(error) => {
                let row = errors.entry(id.clone()).or_default();
                // What the server itself lacks passes, and says nothing about the operation.
                *row += u32::from(error.cause() == Cause::Other);
                if *row >= ERRORS {
                    let why = format!("{row} steps in a row failed: {error}");
                    tracing::error!(operation = %id, why, "an operation failed");
                    walker.operator().fail_operation(&id, &why).await?;
                    continue;
                }
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(wait), Err)
}

/// Makes a step of an operation. Returns how long it waits; `None` where it continues.
async fn step(walker: &Walker, id: &OperationId) -> Result<Option<Duration>, Error> {
    let began = Instant::now();
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
        // Another process made the step: this one read as much.
        Advanced::Idle(_) => {
            walker.rest(began.elapsed()).await;
            Ok(Some(LOOK))
        }
    }
}
