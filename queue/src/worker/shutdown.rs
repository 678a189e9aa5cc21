//! Notices the stop of the worker while its handlers still run.

use std::{sync::Arc, time::Duration};

use apalis_core::worker::context::WorkerContext;

use super::core::Core;

/// How often it checks for apalis' own stop, of which apalis tells a backend only after the last
/// handler.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for the stop. Then it ends the claims, hands back jobs that have not started, and tells
/// running handlers.
pub(super) async fn run(core: Arc<Core>, worker: WorkerContext) {
    tokio::select! {
        () = core.options.stop.cancelled() => {}
        () = core.stop.cancelled() => {}
        () = apalis_stops(&worker) => {}
    }
    core.stop.cancel();
    core.leases.release_unstarted();
}

async fn apalis_stops(worker: &WorkerContext) {
    while !worker.is_shutting_down() {
        tokio::time::sleep(LOOK).await;
    }
}
