//! The list of all handlers, one a file.

pub mod issue_invoice;

use upshot_shared::Settings;

use crate::{executor::Error, registry::Registry};

/// All built-in handlers.
///
/// # Errors
/// When what a handler needs cannot be set up.
pub fn all(settings: &Settings) -> Result<Registry, Error> {
    let desk = issue_invoice::Desk::new(settings)?;
    Ok(Registry::new().handle(issue_invoice::KIND, issue_invoice::VERSION, desk.handler()))
}
