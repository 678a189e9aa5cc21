//! `upshot login`: checks a token and keeps it in a profile.

mod device;

use chrono::Utc;
use serde_json::{Value, json};
use upshot_runtime::Settings;

use super::{
    client::{
        Client,
        credential::{Credential, Source},
        server::Server,
    },
    me, profiles,
    value::text,
};
use crate::{
    arguments::Login,
    exit::Exit,
    output::{Output, note},
    profiles::{Profile, Profiles},
};

/// Checks the token with the API, and keeps it under the profile's name.
pub async fn run(settings: &Settings, login: &Login, out: &mut Output) -> anyhow::Result<()> {
    let name = login.api.profile.clone().unwrap_or_default();
    let server = server(settings, login, &Profiles::read()?)?;
    let credential = match given(login)? {
        Some(credential) => {
            credential.source.permit(&server, &login.api)?;
            Some(credential)
        }
        None if asks_for_nothing(&server).await? => None,
        None => {
            Source::Login.permit(&server, &login.api)?;
            Some(device(&server).await?)
        }
    };
    let me = Client::with(&server, credential.clone())?.read("/v1/me", &[]).await?;
    // A server that asks for no authentication has not looked at the token.
    let token = credential.map(|credential| credential.token).filter(|_| !is_local(&me));
    let profile = Profile {
        api: server.base.as_str().trim_end_matches('/').into(),
        token_over_http: login.api.token_over_http && token.is_some(),
        token,
    };
    let api = profile.api.to_string();
    let said = json!({"profile": profiles::document(name.as_str(), &profile), "me": me});
    // Read again, because the login may have taken minutes.
    Profiles::read()?.keep(&name, profile)?;
    out.answer(&said, |page| {
        me::print(page, &api, &me, Utc::now());
        page.text(match is_local(&me) {
            true => format!("the API asks for no authentication; the profile `{name}` keeps its address"),
            false => format!("the profile `{name}` keeps the login"),
        });
    })?;
    for variable in ["UPSHOT_TOKEN", "UPSHOT_TOKEN_FILE"] {
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            note(format_args!(
                "{variable} is set, and other commands use it instead of the profile: unset it"
            ));
        }
    }
    Ok(())
}

/// The server to log in to. A name that is not a profile yet becomes one.
fn server(settings: &Settings, login: &Login, kept: &Profiles) -> anyhow::Result<Server> {
    let mut given = login.api.clone();
    let is_known = given.profile.as_ref().is_some_and(|name| kept.get(name.as_str()).is_some());
    if given.api.is_some() || !is_known {
        given.profile = None;
    }
    Server::of(settings, &given, kept)
}

/// The token that is given, if any.
fn given(login: &Login) -> anyhow::Result<Option<Credential>> {
    if login.token_stdin {
        return Credential::of_stdin().map(Some);
    }
    Credential::told(&login.api, None)
}

/// Whether the API takes requests without a credential.
async fn asks_for_nothing(server: &Server) -> anyhow::Result<bool> {
    match Client::with(server, None)?.read("/v1/me", &[]).await {
        Ok(me) => Ok(is_local(&me)),
        Err(error) if Exit::of(&error) == Exit::Refused => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_local(me: &Value) -> bool {
    text(me, "kind") == "local"
}

/// The token of a person who logs in with a browser.
async fn device(server: &Server) -> anyhow::Result<Credential> {
    let got = device::log_in(&Client::with(server, None)?).await?;
    got.ok_or_else(|| {
        Exit::Usage.because(format!(
            "{} has no identity provider to log in with: give a token with --token-stdin or --token-file; an \
             administrator makes it with `upshot token create`",
            server.base
        ))
    })
}
