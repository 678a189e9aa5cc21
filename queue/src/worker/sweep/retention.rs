//! Forgets jobs that ended long ago, in parts with pauses.

use std::{
    collections::HashMap,
    convert::Infallible,
    time::{Duration, Instant},
};

use super::{super::core::Core, EVERY, note};
use crate::{
    client::hold::Hold, error::Error, job::state::State, policy::pace::Pace, worker::retention::WINDOW,
};

/// How often a long run reports its progress.
const TELLS: Duration = Duration::from_secs(10);

/// When it last logged that jobs of a state must wait.
type Said = HashMap<&'static str, Instant>;

pub(super) async fn run(core: &Core, hold: &Hold) -> Infallible {
    let mut said = Said::new();
    loop {
        let keep = core.leases.policy().keep;
        for (of, keep) in
            [(State::Succeeded, keep.succeeded), (State::Dead, keep.dead), (State::Cancelled, keep.cancelled)]
        {
            note(core, "retention", trim(core, hold, of, keep, &mut said).await);
        }
        note(core, "signals", trim_signals(core, hold, keep.signals, &mut said).await);
        note(
            core,
            "verdicts",
            trim_verdicts(core, hold, keep.verdicts, keep.verdicts_bytes, &mut said).await,
        );
        tokio::time::sleep(EVERY).await;
    }
}

/// Forgets the due jobs of a state.
async fn trim(core: &Core, hold: &Hold, of: State, keep: Duration, said: &mut Said) -> Result<(), Error> {
    let (queue, state) = (&core.options.queue, of.as_str());
    let (mut forgotten, mut told) = (0, Instant::now());
    while hold.is_ours() {
        let began = Instant::now();
        let trimmed = core.renewals.trim(of, keep).await?;
        forgotten += trimmed.forgotten;
        if trimmed.held {
            waits(core, state, said);
        }
        if told.elapsed() >= TELLS {
            tracing::info!(%queue, state, forgotten, "jobs are forgotten after their retention, and more are to follow");
            told = Instant::now();
        }
        if !trimmed.more {
            break;
        }
        Pace::TRIM.rest(began.elapsed()).await;
    }
    Ok(())
}

/// Forgets the signals that were kept for long enough.
async fn trim_signals(core: &Core, hold: &Hold, keep: Duration, said: &mut Said) -> Result<(), Error> {
    while hold.is_ours() {
        let began = Instant::now();
        let trimmed = core.renewals.trim_signals(keep).await?;
        if trimmed.held {
            waits(core, "signals", said);
        }
        if !trimmed.more {
            break;
        }
        Pace::TRIM.rest(began.elapsed()).await;
    }
    Ok(())
}

/// Drops the rows about verdicts that were kept for long enough, or for which there is no room.
async fn trim_verdicts(
    core: &Core,
    hold: &Hold,
    keep: Duration,
    most: u64,
    said: &mut Said,
) -> Result<(), Error> {
    while hold.is_ours() {
        let began = Instant::now();
        let trimmed = core.renewals.trim_verdicts(keep, most).await?;
        if trimmed.held {
            waits(core, "verdicts", said);
        }
        if trimmed.forgotten == 0 || !trimmed.more {
            break;
        }
        Pace::TRIM.rest(began.elapsed()).await;
    }
    Ok(())
}

/// Says, once in a while, that more is due than may be forgotten: jobs of a state, signals, or rows.
fn waits(core: &Core, state: &'static str, said: &mut Said) {
    if said.get(state).is_some_and(|at| at.elapsed() < WINDOW) {
        return;
    }
    said.insert(state, Instant::now());
    let queue = &core.options.queue;
    tracing::warn!(
        %queue, state,
        "as much was forgotten within an hour as may be; the rest of what is older than its \
         retention waits. If the clock of Redis jumped ahead, set it right now; otherwise they go hour by hour"
    );
    metrics::counter!("job_queue_retention_held_total", "queue" => queue.to_string(), "state" => state)
        .increment(1);
}
