//! A program that is built without webhooks.

use upshot_ledger::alarms::{Notice, Told};
use upshot_runtime::settings::AlarmSettings;

/// No sender.
pub enum Sender {}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "`alarms.webhook` is set, and this program is built without webhooks: build it with the feature `webhook` of the \
     crate `upshot`, or remove the key"
)]
pub struct Unusable;

impl Sender {
    /// No sender.
    ///
    /// # Errors
    /// Always.
    pub const fn new(_: &AlarmSettings) -> Result<Self, Unusable> {
        Err(Unusable)
    }

    /// Never called.
    pub fn receiver(&self) -> String {
        match *self {}
    }

    /// Never called.
    #[expect(clippy::unused_async, reason = "as the one that sends")]
    pub async fn send(&self, _: &Notice) -> Told {
        match *self {}
    }
}
