//! The checks of `upshot doctor`, one subject a file.
//!
//! | module | its one thing |
//! |---|---|
//! | [`check`] | a check and how it came out |
//! | [`redis`] | Redis: reached, version, writes, persistence, memory, replicas, queues, clock |
//! | [`rabbitmq`] | RabbitMQ: reached, version, login, exchanges and queues, alarms |
//! | [`outside`] | store and mail server |
//!
//! A check reports what was seen and, if that is wrong, what to do. The checks change nothing,
//! except for a file in the store that they delete again.

pub mod check;
#[cfg(any(feature = "files", feature = "mail"))]
mod outside;
mod rabbitmq;
mod redis;

use upshot_runtime::{Settings, secret::file::is_open_to_others};

use upshot_shared::Intake;

use check::Checks;

/// Checks everything that the settings name.
pub async fn examine(settings: &Settings) -> Checks {
    let mut checks = Checks::default();
    contracts(&mut checks, settings);
    secret_files(&mut checks, settings);
    // Checks of one server run one after another, different servers at the same time.
    let store = async {
        #[cfg(feature = "files")]
        return outside::store(settings).await;
        #[cfg(not(feature = "files"))]
        Checks::default()
    };
    let smtp = async {
        #[cfg(feature = "mail")]
        return outside::smtp(settings).await;
        #[cfg(not(feature = "mail"))]
        Checks::default()
    };
    let (redis, rabbitmq, store, smtp) =
        tokio::join!(redis::examine(settings), rabbitmq::examine(settings), store, smtp);
    for more in [redis, rabbitmq, store, smtp] {
        checks.extend(more);
    }
    checks
}

fn contracts(checks: &mut Checks, settings: &Settings) {
    let mut checks = checks.of("settings");
    let (routes, queues) = (settings.all_routes().len(), settings.queues.len());
    checks.ok("settings", format!("they can be used; routes: {routes}, queues: {queues}"));
    match Intake::new(settings.intake()) {
        Ok(intake) => match intake.without_contract().as_slice() {
            [] => checks.ok("contracts", "all load, and every route has one"),
            names => {
                let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                checks.ok("contracts", format!("all load; routes without one accept any JSON: {names}"));
            }
        },
        Err(error) => checks.failed("contracts", error, "correct the contract, or `contracts.dir`"),
    }
}

/// Whether other users of the machine may read the files of secrets.
fn secret_files(checks: &mut Checks, settings: &Settings) {
    let mut checks = checks.of("settings");
    for (key, file) in settings.secret_files() {
        let (check, file_name) = (format!("file of {key}"), file.display());
        if is_open_to_others(file) {
            let seen = format!("{file_name}: every user of this machine may read it");
            checks.warning(
                check,
                seen,
                "take the right from others (chmod o-r), unless only services get there",
            );
        } else {
            checks.ok(check, format!("{file_name}: it is read again for each connection"));
        }
    }
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "::1") || host.starts_with("127.")
}
