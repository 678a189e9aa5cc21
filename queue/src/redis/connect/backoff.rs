//! The waits of a loop that must not give up.

use std::time::Duration;

/// Waits that grow from 50 ms to 2 s, for loops that must not give up.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Resets the wait after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits after a failure, a little longer each time.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }

    /// After a failure: how long to wait, a little longer every time.
    pub fn next_wait(&mut self) -> Duration {
        let wait = Duration::from_millis(50 << self.failures.min(5)).min(Duration::from_secs(2));
        self.failures = self.failures.saturating_add(1);
        wait
    }
}
