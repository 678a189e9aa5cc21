//! The measurements, one a file, and the order in which they are taken.

mod backlog;
mod bare_script;
mod bridge;
mod bullmq;
mod full_calls;
mod idle;
mod mixed;
mod noop;
mod queue_start;
mod rss;
mod start;
mod takeover;

use self::bare_script::BareScript;
use crate::{
    arguments::{Arguments, Measurement},
    calls::Dearest,
    figures::Figures,
    peer::Peer,
    slowlog::Slow,
    stage::Stage,
};

/// Takes what was asked for.
pub async fn run(stage: &Stage, arguments: &Arguments, figures: &mut Figures) -> anyhow::Result<()> {
    let (amounts, places) = (arguments.amounts(), arguments.concurrency);
    let mut dearest = Dearest::default();
    let mut bare = arguments.wants(Measurement::BareScript).then(|| BareScript::new(amounts));
    part_of(&mut bare, stage).await?;
    if arguments.wants(Measurement::Idle) {
        idle::measure(stage, amounts, figures).await?;
    }
    if arguments.wants(Measurement::Start) {
        start::measure(stage, amounts, figures).await?;
    }
    part_of(&mut bare, stage).await?;
    if arguments.wants(Measurement::Bridge) {
        bridge::measure(stage, amounts, figures).await?;
    }
    part_of(&mut bare, stage).await?;
    match peer(arguments).await {
        // It takes turns with our own two.
        Some(peer) => bullmq::measure(stage, &peer, amounts, places, figures).await?,
        None => {
            if arguments.wants(Measurement::QueueStart) {
                queue_start::measure(stage, amounts, figures).await?;
            }
            if arguments.wants(Measurement::Noop) {
                noop::measure(stage, amounts, places, figures).await?;
            }
        }
    }
    part_of(&mut bare, stage).await?;
    if arguments.wants(Measurement::Mixed) {
        mixed::measure(stage, amounts, places, figures).await?;
    }
    part_of(&mut bare, stage).await?;
    if arguments.wants(Measurement::FullCalls) {
        full_calls::measure(stage, amounts, &mut dearest).await?;
    }
    part_of(&mut bare, stage).await?;
    if arguments.wants(Measurement::Backlog) {
        backlog::measure(stage, amounts, places, figures, &mut dearest).await?;
    }
    if arguments.wants(Measurement::FullCalls) || arguments.wants(Measurement::Backlog) {
        dearest.add_to(figures);
    }
    part_of(&mut bare, stage).await?;
    if arguments.wants(Measurement::Takeover) {
        takeover::measure(stage, amounts, figures).await?;
    }
    if arguments.wants(Measurement::Rss) {
        rss::measure(stage, amounts, figures).await?;
    }
    part_of(&mut bare, stage).await?;
    figures.add("slow_script_calls", count_slow(&stage.slow_calls().await?));
    if let Some(bare) = bare {
        figures.add("slow_bare_calls", count_slow(&bare.slow_calls()));
    }
    Ok(())
}

/// A part of the bare script's calls, if they are asked for.
async fn part_of(bare: &mut Option<BareScript>, stage: &Stage) -> anyhow::Result<()> {
    match bare {
        Some(bare) => bare.part(stage).await,
        None => Ok(()),
    }
}

fn count_slow(slow: &[Slow]) -> f64 {
    for Slow { script, key, calls, longest } in slow {
        let name = upshot_queue::script_name(script).unwrap_or("the bare script");
        println!("slow calls of {name}: {calls}, the longest {longest:.1?}, with {key}");
    }
    slow.iter().map(|slow| slow.calls).sum::<usize>() as f64
}

/// The peer, if it is asked for and there. The rest is worth having without it.
async fn peer(arguments: &Arguments) -> Option<Peer> {
    if !arguments.wants(Measurement::Bullmq) {
        return None;
    }
    match Peer::find(&arguments.bullmq).await {
        Ok(peer) => Some(peer),
        Err(error) => {
            println!("BullMQ is left out: {error:#}");
            None
        }
    }
}
