//! The list of all handlers, one a file.

pub mod issue_invoice;

use upshot_queue::Queue;
use upshot_shared::Settings;

use crate::{executor::Error, registry::Registry, store::Sweeper};

/// All built-in handlers, and what sweeps up behind them in all queues.
///
/// # Errors
/// When what a handler needs cannot be set up.
pub fn all(
    settings: &Settings,
    queues: impl IntoIterator<Item = Queue>,
) -> Result<(Registry, Sweeper), Error> {
    let desk = issue_invoice::Desk::new(settings)?;
    let sweeper = desk.sweeper(queues);
    let registry = Registry::new().handle(issue_invoice::KIND, issue_invoice::VERSION, desk.handler());
    Ok((registry, sweeper))
}
