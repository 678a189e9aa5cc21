//! Notices that the worker is to stop, while its handlers still run.

use std::{sync::Arc, time::Duration};

use apalis_core::worker::context::WorkerContext;

use super::core::Core;

/// How often it looks whether apalis was told: that says nothing to a backend before its last
/// handler has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for the stop. From then on nothing is claimed, and what was claimed and has not
/// started runs elsewhere; running handlers are told.
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
