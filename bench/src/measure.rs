//! The measurements, one a file, and the order in which they are taken.

mod bridge;
mod noop;
mod rss;
mod start;

use crate::{
    arguments::{Arguments, Measurement},
    figures::Figures,
    stage::Stage,
};

/// Takes what was asked for.
pub async fn run(stage: &Stage, arguments: &Arguments, figures: &mut Figures) -> anyhow::Result<()> {
    let amounts = arguments.amounts();
    if arguments.wants(Measurement::Start) {
        start::measure(stage, amounts, figures).await?;
    }
    if arguments.wants(Measurement::Bridge) {
        bridge::measure(stage, amounts, figures).await?;
    }
    if arguments.wants(Measurement::Noop) {
        noop::measure(stage, amounts, arguments.concurrency, figures).await?;
    }
    if arguments.wants(Measurement::Rss) {
        rss::measure(stage, amounts, figures).await?;
    }
    Ok(())
}
