//! The login of a person through a browser, which may be on another machine (RFC 8628).

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    commands::{
        Answered,
        client::{
            Client,
            credential::{Credential, Source},
        },
        person,
        value::text,
    },
    exit::Exit,
    output::note,
};

/// The most bytes of the name that the person reads in the browser.
const NAME: usize = 60;
/// How much longer the API wants to be left alone when it says so (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// Shows the code and the address, and waits until the person has approved there. Returns `None` if
/// the API has no identity provider, and so nobody could approve.
pub async fn log_in(client: &Client) -> anyhow::Result<Option<Credential>> {
    let begun = match client.post("/v1/device", &json!({ "name": name() })).await {
        Ok(begun) => begun,
        // An API of an earlier version does not know the address.
        Err(error) if matches!(code(&error), Some("no-provider" | "unknown-address")) => return Ok(None),
        Err(error) => return Err(error),
    };
    let seconds = |field: &str| begun.get(field).and_then(Value::as_u64).map(Duration::from_secs);
    let [device, typed, address] = ["device_code", "user_code", "verification_uri"]
        .map(|field| begun.get(field).and_then(Value::as_str));
    let (Some(device), Some(typed), Some(address)) = (device, typed, address) else {
        return Err(Exit::Failed.because("the API does not say how to log in: does it have another version?"));
    };
    let complete = begun.get("verification_uri_complete").and_then(Value::as_str).unwrap_or(address);
    note(format_args!("Open {complete} in a browser, and approve the code {typed} there."));
    let lasts = seconds("expires_in").unwrap_or(Duration::from_secs(600));
    let mut pause = seconds("interval").unwrap_or(SLOWER);
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        sleep(pause).await;
        match client.post("/v1/device/token", &json!({ "device_code": device })).await {
            Ok(answer) => {
                let token = answer.get("token").and_then(Value::as_str);
                let token = token.context("the API approves the login without a token")?;
                return Ok(Some(Credential { token: token.into(), source: Source::Login }));
            }
            Err(error) => match after(&error) {
                After::Again => {}
                After::Slower => pause += SLOWER,
                After::Ended => {
                    return Err(Exit::Refused.because(format!("the login is refused: {}", said(&error))));
                }
                After::Failed => return Err(error),
            },
        }
    }
    Err(Exit::Refused.because(format!(
        "the code {typed} was not approved within {} minutes: run `upshot login` again",
        lasts.as_secs() / 60
    )))
}

/// What follows a poll that brought no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The person has not answered, or the API is away for the moment.
    Again,
    /// The same, with a longer pause.
    Slower,
    /// The person has refused, or the code has expired.
    Ended,
    /// Another poll would fail too.
    Failed,
}

fn after(error: &anyhow::Error) -> After {
    match code(error) {
        Some("authorization-pending") => After::Again,
        Some("slow-down" | "too-often") => After::Slower,
        Some("access-denied" | "expired-token") => After::Ended,
        _ if Exit::of(error) == Exit::NotReachable => After::Again,
        _ => After::Failed,
    }
}

fn code(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<Answered>()?.code()
}

fn said(error: &anyhow::Error) -> String {
    error.downcast_ref::<Answered>().map(|answered| text(&answered.problem, "detail")).unwrap_or_default()
}

/// What the person reads in the browser about this command.
fn name() -> String {
    let (login, machine) = (person::login_name(), person::machine());
    let machine = machine.map(|machine| format!(" on {machine}")).unwrap_or_default();
    let name: String =
        format!("upshot of {login}{machine}").chars().filter(|char| !char.is_control()).collect();
    name.get(..name.floor_char_boundary(NAME)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn answered(status: u16, code: &str) -> anyhow::Error {
        let problem = json!({"code": code, "detail": "why"});
        Answered::new(StatusCode::from_u16(status).unwrap(), problem).into()
    }

    #[test]
    fn each_answer_to_a_poll_is_followed_as_the_rfc_says() {
        for (status, code, expected) in [
            (400, "authorization-pending", After::Again),
            (400, "slow-down", After::Slower),
            (429, "too-often", After::Slower),
            (400, "access-denied", After::Ended),
            (400, "expired-token", After::Ended),
            (503, "redis-unavailable", After::Again),
            (400, "invalid-parameter", After::Failed),
            (507, "too-many-tokens", After::Failed),
        ] {
            assert_eq!(after(&answered(status, code)), expected, "{code}");
        }
        assert_eq!(after(&Exit::NotReachable.because("no API")), After::Again);
    }

    #[test]
    fn the_name_fits_what_the_api_takes() {
        let name = name();
        assert!(name.starts_with("upshot of ") && name.len() <= NAME, "{name}");
    }
}
