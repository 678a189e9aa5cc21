//! The one-time administrator link: how the first person gets in.

use std::time::Duration;

use upshot_access::{Error, FirstToken};

use super::Mode;
use crate::state::Shared;

/// How long the link is valid.
pub const VALID: Duration = Duration::from_secs(3_600);
/// How long the session lasts that the link begins: long enough to make tokens.
pub const SESSION: Duration = Duration::from_secs(3_600);
/// A pause after Redis failed.
const PAUSE: Duration = Duration::from_secs(2);

/// Shows the one-time administrator link if nobody could get in otherwise. Of several processes, one
/// shows it.
pub async fn show(state: Shared, port: Option<u16>) {
    if state.mode == Mode::Off || state.people.provider.is_some() {
        return;
    }
    loop {
        match make(&state).await {
            Ok(Some(token)) => {
                let base = state.public_url.clone();
                // Without HTTPS, a login is taken on the server itself alone.
                let base = base.filter(|url| url.starts_with("https://"));
                let base = base.unwrap_or_else(|| match port {
                    Some(port) => format!("http://127.0.0.1:{port}"),
                    None => "http://127.0.0.1".to_owned(),
                });
                let link = format!("{}/access#{}", base.trim_end_matches('/'), token.expose());
                tracing::warn!(
                    %link,
                    "nobody may administer the API yet: open the link within an hour, once, or run `upshot token \
                     create --local`"
                );
                return;
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "whether there is an administrator is not known yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn make(state: &Shared) -> Result<Option<FirstToken>, Error> {
    if state.tokens.has_administrator().await? {
        return Ok(None);
    }
    let made = state.people.once.make_first(u64::try_from(VALID.as_millis()).unwrap_or(u64::MAX)).await?;
    if made.is_none() {
        tracing::warn!(
            "nobody may administer the API yet, and a one-time administrator link was shown within the last hour: \
             look for it in the log, or run `upshot token create --local`"
        );
    }
    Ok(made)
}
