//! Many runs, each from a seed of its own.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{operation::Plan, run::run, server::Server, shrink::shrink};

/// As many as take about 20 s on two cores.
const RUNS: u64 = 2500;
/// Runs at the same time: enough to keep Redis busy.
const ABREAST: usize = 4;

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}: `{text}` is no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_does_what_the_model_does() {
    let first = number("UPSHOT_MODEL_SEED", 0);
    let end = first + number("UPSHOT_MODEL_RUNS", RUNS);
    let next = Arc::new(AtomicU64::new(first));
    let began = Instant::now();
    let run_some = || {
        let next = Arc::clone(&next);
        tokio::spawn(async move {
            let server = Server::connect().await;
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return None;
                }
                let plan = Plan::draw(seed);
                if let Err(why) = run(&server, &plan).await {
                    // The others may stop.
                    next.store(end, Ordering::Relaxed);
                    return Some(explain(&server, seed, plan, why).await);
                }
            }
        })
    };
    let abreast: Vec<_> = (0..ABREAST).map(|_| run_some()).collect();
    let mut failed = Vec::new();
    for each in abreast {
        failed.extend(each.await.unwrap());
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    eprintln!("{} runs in {:.1} s", end - first, began.elapsed().as_secs_f64());
}

async fn explain(server: &Server, seed: u64, plan: Plan, why: String) -> String {
    let all = plan.operations.len();
    let (plan, why) = shrink(server, plan, why).await;
    let mut text =
        format!("seed {seed}, shares {}, {} of {all} operations:\n", plan.shares, plan.operations.len());
    for operation in &plan.operations {
        text.push_str(&format!("  {operation:?}\n"));
    }
    text.push_str(&why);
    text.push_str(&format!("\nrepeat with UPSHOT_MODEL_SEED={seed} UPSHOT_MODEL_RUNS=1"));
    text
}
