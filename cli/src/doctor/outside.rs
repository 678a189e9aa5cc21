//! The file store and the mail server.

use std::time::Duration;

use upshot_executor::{mail::Mailer, store::Store};
use upshot_shared::Settings;

use super::check::Checks;

/// How long a store may take. An S3 client tries for minutes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn store(settings: &Settings) -> Checks {
    let mut all = Checks::default();
    let mut checks = all.of("store");
    let url = settings.store_url();
    let store = match Store::open(&url) {
        Ok(store) => store,
        Err(error) => {
            checks.failed("opened", error, "correct `store.url`");
            return all;
        }
    };
    let remedy = "see that the store is there, and that its user may write, read and delete";
    match tokio::time::timeout(PATIENCE, store.probe()).await {
        Ok(Ok(())) => checks.ok("write, read, delete", url),
        Ok(Err(failure)) => checks.failed("write, read, delete", failure.message, remedy),
        Err(_) => checks.failed("write, read, delete", format!("{url}: nothing within {PATIENCE:?}"), remedy),
    }
    all
}

pub(super) async fn smtp(settings: &Settings) -> Checks {
    let mut all = Checks::default();
    let mut checks = all.of("smtp");
    let mailer = match Mailer::new(&settings.smtp) {
        Ok(mailer) => mailer,
        Err(error) => {
            checks.failed("settings", error, "correct [smtp]");
            return all;
        }
    };
    match mailer.probe().await {
        Ok(said) => checks.ok("connect, greeting, login", format!("{said} answers")),
        Err(failure) => {
            let remedy = "see that the mail server runs and that `smtp.url` leads to it: jobs that mail wait until then";
            checks.failed("connect, greeting, login", failure.message, remedy);
        }
    }
    all
}
