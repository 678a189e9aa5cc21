//! Makes a failing plan short: drops what it fails without.

use crate::{operation::Plan, run::run, server::Server};

/// A shorter plan that fails too, and how.
pub async fn shrink(server: &Server, plan: Plan, why: String) -> (Plan, String) {
    let (mut plan, mut why) = (plan, why);
    let mut length = plan.operations.len() / 2;
    loop {
        let mut dropped = false;
        let mut at = 0;
        while length > 0 && at < plan.operations.len() {
            let mut shorter = plan.clone();
            shorter.operations.drain(at..(at + length).min(plan.operations.len()));
            match run(server, &shorter).await {
                Err(told) => (plan, why, dropped) = (shorter, told, true),
                Ok(()) => at += length,
            }
        }
        if !dropped {
            length /= 2;
        }
        if length == 0 {
            break;
        }
    }
    // What does several things at once, then does fewer.
    let mut at = 0;
    while at < plan.operations.len() {
        let mut dropped = false;
        for smaller in plan.operations[at].smaller() {
            let mut shorter = plan.clone();
            shorter.operations[at] = smaller;
            if let Err(told) = run(server, &shorter).await {
                (plan, why, dropped) = (shorter, told, true);
                break;
            }
        }
        if !dropped {
            at += 1;
        }
    }
    (plan, why)
}
