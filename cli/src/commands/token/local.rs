//! API tokens on Redis itself, for the server: no API and no administrator is needed.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use upshot_access::{Credential, NewToken, Only, Scope, Token, Tokens};
use upshot_queue::Connector;
use upshot_runtime::Settings;
use upshot_shared::duration;

use super::tenants;
use crate::{arguments::TokenCreate, commands::person, exit::Exit, running::Running};

/// How long Redis may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tokens in the Redis of the settings.
pub struct Local(Tokens);

impl Local {
    /// The tokens in the Redis of the settings, or of a running `upshot up`.
    pub fn new(mut settings: Settings) -> anyhow::Result<Self> {
        Running::fill(&mut settings);
        if settings.redis.url.is_empty() {
            return Err(Exit::Usage.because(
                "redis.url is empty and no `upshot up` runs here: run the command where the server's settings \
                 are, or set UPSHOT_REDIS_URL",
            ));
        }
        Ok(Self(Tokens::new(&Connector::new(settings.redis.options())?)?))
    }

    /// Makes a token. It may have every right: whoever reaches Redis has them all.
    pub async fn create(&self, create: &TokenCreate) -> anyhow::Result<Value> {
        let all_if_empty = |names: &[String]| {
            if names.is_empty() { Only::All } else { Only::of(names.iter().cloned()) }
        };
        let lifetime = create.expires_in.as_deref().map(millis).transpose()?;
        let new = NewToken {
            name: create.name.clone(),
            role: create.role,
            more: create.right.iter().copied().collect(),
            without: create.without.iter().copied().collect(),
            scope: Scope {
                tenants: Only::of(tenants(create)),
                queues: all_if_empty(&create.queue),
                sources: all_if_empty(&create.source),
                target: None,
            },
            lifetime_ms: lifetime,
            created_by: format!("local:{}", person::login_name()),
        };
        Ok(with_secret(within(self.0.create(new)).await?))
    }

    /// All tokens.
    pub async fn list(&self) -> anyhow::Result<Vec<Value>> {
        Ok(within(self.0.list()).await?.iter().map(document).collect())
    }

    /// Gives a token another secret.
    pub async fn rotate(&self, id: &str, overlap: &str) -> anyhow::Result<Value> {
        Ok(with_secret(within(self.0.rotate(id, millis(overlap)?)).await?))
    }

    /// Ends a token.
    pub async fn revoke(&self, id: &str) -> anyhow::Result<Value> {
        Ok(document(&within(self.0.revoke(id)).await?))
    }
}

async fn within<T>(call: impl Future<Output = Result<T, upshot_access::Error>>) -> anyhow::Result<T> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Exit::NotReachable.because(format!(
            "Redis has not answered within {}s: it may have made the change, so look with `upshot token list --local`",
            PATIENCE.as_secs()
        ))),
    }
}

fn millis(text: &str) -> anyhow::Result<i64> {
    let read = duration::parse(text).map_err(|why| Exit::Usage.because(why))?;
    Ok(i64::try_from(read.as_millis()).unwrap_or(i64::MAX))
}

fn with_secret((credential, token): (Credential, Token)) -> Value {
    let mut document = document(&token);
    document["token"] = json!(credential.expose());
    document
}

/// A token as the API shows it.
fn document(token: &Token) -> Value {
    let names = |only: &Only| only.names().map(str::to_owned).collect::<Vec<String>>();
    let Scope { tenants, queues, sources, target: _ } = &token.scope;
    json!({
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "rights": token.rights(),
        "scope": {"tenants": names(tenants), "queues": names(queues), "sources": names(sources)},
        "created_at": moment(Some(token.created_at)),
        "created_by": token.created_by,
        "expires_at": moment(token.expires_at),
        "rotated_at": moment(token.rotated_at),
        "previous_until": moment(token.previous_until),
        "used_at": moment(token.used_at),
    })
}

fn moment(ms: Option<i64>) -> Option<String> {
    let time = DateTime::from_timestamp_millis(ms?)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
