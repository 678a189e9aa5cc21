//! Watches Redis' clock.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use super::{super::core::Core, EVERY, note};
use crate::{client::hold::Hold, error::Error, worker::set_back::Clock};

/// A clock that is further ahead than this has jumped.
const JUMP: Duration = Duration::from_secs(60);

/// The last reading of the clock, and its time.
type Seen = Option<(i64, Instant)>;

pub(super) async fn run(core: &Core, hold: &Hold) -> Infallible {
    let mut seen = None;
    loop {
        if hold.is_ours() {
            note(core, "clock", look(core, &mut seen).await);
        } else {
            seen = None;
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(core: &Core, seen: &mut Seen) -> Result<(), Error> {
    let queue = &core.options.queue;
    let Clock { now, set_back, anew } = core.renewals.mind_clock().await?;
    if !set_back.is_zero() {
        tracing::warn!(
            %queue, ?set_back, anew,
            "the clock of Redis was set back: leases, rates and delays count from now on"
        );
        metrics::counter!("job_queue_clock_set_back_total", "queue" => queue.to_string()).increment(1);
    }
    if let Some((before, at)) = seen.replace((now, Instant::now())) {
        let ahead = Duration::from_millis(now.saturating_sub(before).max(0).unsigned_abs());
        let ahead = ahead.saturating_sub(at.elapsed());
        if ahead > JUMP {
            tracing::warn!(
                %queue, ?ahead,
                "the clock of Redis jumped ahead: leases ran out, and jobs that ended seem older; \
                 set it right if it is wrong now"
            );
        }
    }
    Ok(())
}
