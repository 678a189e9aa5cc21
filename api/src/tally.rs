//! Counts how all routes stand, once for all streams that show it.
//!
//! The process counts while somebody listens, every 250 ms at most. However many pages are open, Redis
//! is asked once.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

use crate::{routes::overview::Overview, state::Shared};

/// The time between two counts.
const PAUSE: Duration = Duration::from_millis(250);

/// The newest count, and who waits for it.
#[derive(Debug)]
pub struct Tally {
    newest: watch::Sender<Option<Arc<Counted>>>,
    wanted: Notify,
}

/// A count of all queues.
#[derive(Debug)]
pub struct Counted {
    /// How everything stands.
    pub overview: Overview,
    /// The same as JSON.
    pub text: String,
}

impl Default for Tally {
    fn default() -> Self {
        Self { newest: watch::Sender::new(None), wanted: Notify::new() }
    }
}

impl Tally {
    /// Begins to listen. The process counts as long as the receiver is there.
    pub fn listen(&self) -> watch::Receiver<Option<Arc<Counted>>> {
        let mut receiver = self.newest.subscribe();
        // The last count is news for this listener.
        receiver.mark_changed();
        self.wanted.notify_one();
        receiver
    }
}

/// Counts for those that listen, until the future is dropped.
pub async fn run(state: Shared) {
    let tally = &state.tally;
    loop {
        while tally.newest.receiver_count() == 0 {
            tally.newest.send_replace(None);
            tally.wanted.notified().await;
        }
        match Overview::of_all(&state).await {
            Ok(overview) => {
                // Strings and numbers always serialise.
                let text = serde_json::to_string(&overview).unwrap_or_default();
                let counted = Arc::new(Counted { overview, text });
                tally.newest.send_if_modified(|newest| {
                    let is_other = newest.as_ref().is_none_or(|newest| newest.text != counted.text);
                    if is_other {
                        *newest = Some(counted);
                    }
                    is_other
                });
            }
            // A page that hears nothing says as of when its figures are.
            Err(problem) => tracing::debug!(?problem, "the routes are not counted yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
