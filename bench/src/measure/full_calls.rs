//! What a script call costs Redis that has as many jobs as it takes.
//!
//! `SLOWLOG` has the time that passed, and a machine with few cores, or the host of a
//! virtual one, takes the core away for 4 to 30 ms now and then. The thread's CPU time has
//! none of that, but what Redis does besides (moving keys to a larger table, and pages that
//! the host of a virtual machine has yet to provide). It cannot be had for one call among
//! others that are under way, so these are made one after the other.

use super::mixed::{plain_job, set_limits, shared_job};
use crate::{
    arguments::Amounts,
    calls::{Calls, Dearest},
    stage::Stage,
};

/// Jobs of an enqueue that is one call, of a lane or two.
const ENQUEUE: usize = 74;
/// Jobs of the largest claim.
pub(super) const CLAIM: usize = 160;
/// Ends of the largest completion.
pub(super) const ENDS: usize = 192;
/// Jobs of a lane that come one after the other, as where a long list is enqueued.
const TOGETHER: usize = 51;
/// Jobs that wait besides.
const WAITING: usize = 20_480;

/// Plain jobs in one lane; then jobs that share the queue by all means it has.
pub async fn measure(stage: &Stage, amounts: Amounts, dearest: &mut Dearest) -> anyhow::Result<()> {
    let [_, server] = stage.servers();
    for shared in [false, true] {
        stage.flush().await?;
        let queue = stage.queue()?;
        if shared {
            set_limits(&queue).await?;
        }
        let job = move |i| if shared { shared_job(i / TOGETHER) } else { plain_job(i) };
        let mut calls = Calls::new(queue, stage.redis().await?, server, ENQUEUE, job);
        calls.fill(WAITING).await?;
        for call in 0..amounts.full_calls + 100 {
            if call == 100 {
                calls.warmed_up();
            }
            calls.batch(ENDS, CLAIM).await?;
        }
        calls.report(if shared { "shared" } else { "plain" }, dearest);
    }
    Ok(())
}
