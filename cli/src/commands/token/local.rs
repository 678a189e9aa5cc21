//! API tokens on Redis itself, for the server: no API and no administrator is needed.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use upshot_access::{
    Credential, Error, Identity, NewToken, Only, Right, Scope, Token, Tokens,
    acts::{Acts, Conclusion, Intent, Kept, Origin},
};
use upshot_queue::Connector;
use upshot_runtime::{Settings, settings::AuditSettings};
use upshot_shared::duration;

use super::tenants;
use crate::{arguments::TokenCreate, commands::person, exit::Exit, output::note, running::Running};

/// How long Redis may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tokens in the Redis of the settings. Each change is on record, as one over the API is.
pub struct Local {
    tokens: Tokens,
    acts: Acts,
}

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
        let connector = Connector::new(settings.redis.options())?;
        let AuditSettings { keep, keep_acts, keep_refusals, .. } = settings.audit;
        let kept = Kept { time: keep, acts: keep_acts, refusals: keep_refusals };
        let conn = connector.connect()?;
        Ok(Self {
            tokens: Tokens::with_connection(conn.clone(), connector.prefix()),
            acts: Acts::with_connection(conn, connector.prefix(), kept),
        })
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
        let (credential, token) =
            self.recorded("create_token", None, self.tokens.create(new), |(_, token)| token).await?;
        Ok(with_secret(&credential, &token))
    }

    /// All tokens.
    pub async fn list(&self) -> anyhow::Result<Vec<Value>> {
        Ok(within(self.tokens.list()).await?.iter().map(document).collect())
    }

    /// Gives a token another secret.
    pub async fn rotate(&self, id: &str, overlap: &str) -> anyhow::Result<Value> {
        let rotate = self.tokens.rotate(id, millis(overlap)?);
        let (credential, token) = self.recorded("rotate_token", Some(id), rotate, |(_, token)| token).await?;
        Ok(with_secret(&credential, &token))
    }

    /// Ends a token.
    pub async fn revoke(&self, id: &str) -> anyhow::Result<Value> {
        let revoke = self.tokens.revoke(id);
        Ok(document(&self.recorded("revoke_token", Some(id), revoke, |token| token).await?))
    }

    /// Makes a change with its intent on record before it, and its result after it.
    async fn recorded<T>(
        &self,
        operation: &str,
        id: Option<&str>,
        change: impl Future<Output = Result<T, Error>>,
        token: impl Fn(&T) -> &Token,
    ) -> anyhow::Result<T> {
        let named = |id: &str| BTreeMap::from([("token".to_owned(), id.to_owned())]);
        let agent = format!("upshot token --local, run by {}", person::login_name());
        let intent = Intent {
            principal: Some(Identity::Local),
            origin: Origin { agent: Some(agent), ..Origin::default() },
            right: Some(Right::Administer),
            operation: operation.to_owned(),
            target: id.map(named).unwrap_or_default(),
            ..Intent::default()
        };
        let begun = within(self.acts.intend(intent)).await?;
        let changed = within(change).await;
        let conclusion = match &changed {
            Ok(changed) => {
                let token = token(changed);
                let about = json!({"name": token.name, "role": token.role, "rights": token.rights(), "scope": token.scope});
                Conclusion {
                    status: 200,
                    target: named(&token.id),
                    after: Some(about),
                    ..Conclusion::default()
                }
            }
            Err(error) => Conclusion { status: status(Exit::of(error)), ..Conclusion::default() },
        };
        // Without its result the act is unknown; the change itself is made.
        if let Err(error) = within(self.acts.conclude(&begun, conclusion)).await {
            note(format_args!("warning: the audit log has no result of this: {error:#}"));
        }
        changed
    }
}

/// The status that the API would answer.
const fn status(exit: Exit) -> u16 {
    match exit {
        Exit::NotFound => 404,
        Exit::NotReachable => 503,
        _ => 500,
    }
}

async fn within<T>(call: impl Future<Output = Result<T, Error>>) -> anyhow::Result<T> {
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

fn with_secret(credential: &Credential, token: &Token) -> Value {
    let mut document = document(token);
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
