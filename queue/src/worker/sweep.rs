//! What has to be done now and then: retention, parked jobs, the outbox, the scrubber.

use std::{sync::Arc, time::Duration};

use super::core::Core;
use crate::{
    parking::NeedCursor,
    queue::{Error, Queue},
    scrub::Scrubber,
    state::State,
};

/// How often.
const EVERY: Duration = Duration::from_secs(5);

/// Sweeps until the worker ends. What depends on what this worker can run it
/// does itself; the rest is done by one worker of a queue at a time.
pub(super) async fn run(core: Arc<Core>) {
    let queue = &core.renewals;
    let mut scrubber = Scrubber::default();
    // A worker that starts may be of a build that can read what none could before, and looks
    // through all needs. Later it looks at a part of them at a time: handlers name as many as
    // they like.
    let mut looked = false;
    let mut needs = NeedCursor::default();
    loop {
        let swept = async {
            let kinds = core.options.kinds.as_ref();
            let released = if looked {
                let (released, next) = queue.unpark_part_for(kinds, needs).await?;
                needs = next.unwrap_or_default();
                released
            } else {
                queue.unpark_for(kinds).await?
            };
            looked = true;
            if released > 0 {
                tracing::info!(queue = %core.options.queue, jobs = released, "parked jobs go on");
            }
            if is_our_turn(&core).await? {
                trim(&core).await?;
                queue.trim_outbox().await?;
                scrub(queue, &mut scrubber).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = swept.await {
            tracing::debug!(queue = %core.options.queue, %error, "not swept");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn is_our_turn(core: &Core) -> Result<bool, Error> {
    let mut cmd = redis::cmd("SET");
    cmd.arg(core.renewals.keys().sweeper()).arg(&core.worker).arg("NX");
    // A little less than a round, so that it is free again in the next one.
    cmd.arg("PX").arg((EVERY - EVERY / 10).as_millis() as u64);
    let set: Option<String> = cmd.query_async(&mut core.renewals.conn.clone()).await?;
    Ok(set.is_some())
}

async fn trim(core: &Core) -> Result<(), Error> {
    let options = &core.options;
    for (state, keep) in [
        (State::Succeeded, options.keep_succeeded),
        (State::Dead, options.keep_dead),
        (State::Cancelled, options.keep_cancelled),
    ] {
        while core.renewals.trim(state, keep).await?.1 {}
    }
    Ok(())
}

async fn scrub(queue: &Queue, scrubber: &mut Scrubber) -> Result<(), Error> {
    if let Some(found) = scrubber.step(queue).await?
        && found.total() > 0
    {
        tracing::error!(queue = %queue.name(), ?found, "jobs were not where their state said; mended");
        metrics::counter!("upshot_queue_mended_total", "queue" => queue.name().to_string())
            .increment(found.total());
    }
    Ok(())
}
