//! The list of all handlers, one a file.

pub mod issue_invoice;

use upshot_queue::Client;
use upshot_shared::{Health, Settings};

use crate::{
    executor::Error,
    mail::Keeper,
    registry::Registry,
    store::{Sweeper, Watch},
};

/// All built-in handlers, and what works beside them.
pub struct All {
    /// The handlers.
    pub registry: Registry,
    /// Sweeps up behind them.
    pub sweeper: Sweeper,
    /// Looks after the jobs that wait for the mail server.
    pub keeper: Keeper,
    /// Looks whether the store takes files.
    pub watch: Watch,
}

/// Sets up all built-in handlers, for all queues.
///
/// # Errors
/// When what a handler needs cannot be set up.
pub fn all(settings: &Settings, queues: Vec<Client>, health: &Health) -> Result<All, Error> {
    let desk = issue_invoice::Desk::new(settings)?;
    let sweeper = desk.sweeper(queues.clone());
    let keeper = desk.keeper(queues.clone(), health.clone());
    let watch = desk.watch(queues, health.clone(), settings.store.look);
    let registry = Registry::new().handle(issue_invoice::KIND, issue_invoice::VERSION, desk.handler());
    Ok(All { registry, sweeper, keeper, watch })
}
