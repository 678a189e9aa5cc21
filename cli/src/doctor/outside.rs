//! The file store and the mail server.

use std::time::Duration;

#[cfg(feature = "mail")]
use upshot_mail::Mailer;
use upshot_runtime::Settings;
#[cfg(feature = "files")]
use upshot_runtime::store::Store;

use super::check::Checks;

/// How long a store or a mail server may take. Their clients wait for minutes.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(feature = "files")]
pub(super) async fn store(settings: &Settings) -> Checks {
    let mut all = Checks::default();
    let mut checks = all.of("store");
    let url = settings.store_url();
    let store = match Store::open(&url, settings.store.ca_file.as_deref()) {
        Ok(store) => store,
        Err(error) => {
            checks.failed("opened", error, "correct `store.url`");
            return all;
        }
    };
    let remedy = "see that the store is there, and that its user may write, read and delete";
    match tokio::time::timeout(PATIENCE, store.probe()).await {
        Ok(Ok(())) => checks.ok("write, read, delete", url),
        Ok(Err(stop)) => checks.failed("write, read, delete", stop.why(), remedy),
        Err(_) => checks.failed("write, read, delete", format!("{url}: nothing within {PATIENCE:?}"), remedy),
    }
    all
}

#[cfg(feature = "mail")]
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
    let remedy =
        "see that the mail server runs and that `smtp.url` leads to it: jobs that mail wait until then";
    match tokio::time::timeout(PATIENCE, mailer.probe()).await {
        Ok(Ok(said)) => checks.ok("connect, greeting, login", format!("{said} answers")),
        Ok(Err(failure)) => checks.failed("connect, greeting, login", failure.message, remedy),
        Err(_) => {
            let said = format!("the mail server says nothing within {PATIENCE:?}");
            checks.failed("connect, greeting, login", said, remedy);
        }
    }
    all
}
