//! Forgets finished jobs past their retention.

use std::{sync::Arc, time::Duration};

use super::core::Core;
use crate::{scripts::MAX_BATCH, state::State};

/// Sweeps every few seconds until the worker ends. Every worker does it; a
/// sweep that finds nothing costs one look at the oldest entry.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        for (state, keep) in
            [(State::Succeeded, core.options.keep_succeeded), (State::Dead, core.options.keep_dead)]
        {
            loop {
                match core.renewals.trim(state, keep).await {
                    Ok(n) if n as usize >= MAX_BATCH => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::debug!(queue = %core.options.queue, %error, "not swept");
                        break;
                    }
                }
            }
        }
    }
}
