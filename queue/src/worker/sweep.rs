//! Periodic work: parked jobs, retention, the outbox, the scrubber.
//!
//! Each part is a separate loop, so that none waits for another. Every worker does the work that
//! depends on its own kinds. One worker of a queue at a time does the rest ([`Hold`]), with pauses
//! that leave Redis to other callers.

mod clock;
mod retention;

use std::{
    convert::Infallible,
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Worker, core::Core};
use crate::{
    client::{hold::Hold, parking::ConditionCursor},
    error::Error,
    policy::pace::Pace,
    worker::scrub::Scrubber,
};

/// The interval of each part.
const EVERY: Duration = Duration::from_secs(5);
/// The shortest time between the starts of two passes of the scrubber.
const SCRUB_EVERY: Duration = Duration::from_secs(30);

/// Sweeps until the worker ends, as soon as it is known for how long jobs and signals are kept.
pub(super) async fn run(core: Arc<Core>) {
    core.configured.cancelled().await;
    let client = &core.renewals.client;
    let hold = Hold::new(client.conn.clone(), client.keys().sweeper(), core.worker().to_owned());
    tokio::join!(
        hold.run(),
        clock::run(&core, &hold),
        conditions(&core),
        releases(&core, &hold),
        retention::run(&core, &hold),
        outbox(&core, &hold),
        scrub(&core, &hold),
    );
}

/// Looks which conditions of parked jobs this worker meets.
async fn conditions(core: &Core) -> Infallible {
    let (queue, kinds) = (&core.renewals, core.options.kinds.as_ref());
    // A worker that starts may be of a build that can read what none could before, and looks
    // through all conditions. Later it looks at a part of them at a time: handlers name as many as
    // they like.
    let mut looked = false;
    let mut from = ConditionCursor::default();
    loop {
        let looking = async {
            let released = if looked {
                let (released, next) = queue.unpark_part_for(kinds, from).await?;
                from = next.unwrap_or_default();
                released
            } else {
                queue.unpark_for(kinds).await?
            };
            looked = true;
            if released > 0 {
                tracing::info!(queue = %core.options.queue, jobs = released, "parked jobs continue");
            }
            Ok::<_, Error>(())
        };
        note(core, "conditions", looking.await);
        tokio::time::sleep(EVERY).await;
    }
}

/// Continues releases of parked jobs.
async fn releases(core: &Core, hold: &Hold) -> Infallible {
    loop {
        if hold.is_ours() {
            note(core, "releases", core.renewals.client.finish_releases(|| hold.is_ours()).await);
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn outbox(core: &Core, hold: &Hold) -> Infallible {
    loop {
        if hold.is_ours() {
            note(core, "outbox", core.renewals.trim_outbox().await);
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn scrub(core: &Core, hold: &Hold) -> Infallible {
    let mut scrubber = Scrubber::default();
    loop {
        let began = Instant::now();
        while hold.is_ours() {
            let step = Instant::now();
            let done = scrub_step(&core.renewals, &mut scrubber).await;
            let is_through = matches!(done, Ok(true));
            let failed = done.is_err();
            note(core, "scrubber", done.map(drop));
            if failed {
                tokio::time::sleep(EVERY).await;
            }
            if is_through {
                break;
            }
            Pace::SCRUB.rest(step.elapsed()).await;
        }
        tokio::time::sleep(SCRUB_EVERY.saturating_sub(began.elapsed()).max(EVERY)).await;
    }
}

/// Takes a step. Returns whether the pass has ended.
async fn scrub_step(queue: &Worker, scrubber: &mut Scrubber) -> Result<bool, Error> {
    let Some(found) = scrubber.step(queue).await? else { return Ok(false) };
    if found.total() > 0 {
        tracing::error!(queue = %queue.client.name(), ?found, "jobs were not where their state said; repaired");
        metrics::counter!("job_queue_repaired_total", "queue" => queue.client.name().to_string())
            .increment(found.total());
    }
    Ok(true)
}

/// The next round does the rest.
fn note<E: Display>(core: &Core, what: &str, done: Result<(), E>) {
    if let Err(error) = done {
        tracing::debug!(queue = %core.options.queue, what, %error, "not swept");
    }
}
