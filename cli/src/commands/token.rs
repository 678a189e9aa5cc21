//! `upshot token`: API tokens of services, through the API or on Redis itself.

mod local;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use upshot_access::Right;
use upshot_runtime::Settings;

use self::local::Local;
use super::{
    client::Client,
    me::names,
    value::{away, list as members, part, text},
};
use crate::{
    arguments::{Place, TokenCommand, TokenCreate},
    output::{Output, Table, note},
};

/// Makes, lists, rotates or revokes tokens.
pub async fn run(settings: Settings, what: &TokenCommand, out: &mut Output) -> anyhow::Result<()> {
    match what {
        TokenCommand::Create(create) => {
            let made = Store::of(settings, &create.place)?.create(create).await?;
            let until = when_it_ends(&made);
            secret(&made, &format!("the token {} ({}) is made{until}", create.name, text(&made, "id")), out)
        }
        TokenCommand::List(list) => {
            let tokens = Store::of(settings, &list.place)?.list().await?;
            if tokens.is_empty() {
                note("there are no API tokens: `upshot token create` makes one");
            }
            out.items(&tokens, |page| {
                let rows: Vec<_> = tokens.iter().map(|token| row(token, Utc::now())).collect();
                page.table(&mut table(), &rows);
            })?;
            Ok(())
        }
        TokenCommand::Rotate(rotate) => {
            let id = rotate.id.as_str();
            let rotated = Store::of(settings, &rotate.place)?.rotate(id, &rotate.overlap).await?;
            secret(
                &rotated,
                &format!("the token {} ({id}) has another secret", text(&rotated, "name")),
                out,
            )?;
            if text(&rotated, "previous_until") != "-" {
                note(format_args!("the old secret is taken until {}", text(&rotated, "previous_until")));
            }
            Ok(())
        }
        TokenCommand::Revoke(revoke) => {
            let id = revoke.id.as_str();
            let revoked = Store::of(settings, &revoke.place)?.revoke(id).await?;
            out.answer(&revoked, |page| {
                page.text(format!("the token {} ({id}) is revoked", text(&revoked, "name")))
            })?;
            Ok(())
        }
    }
}

/// Where tokens are changed.
enum Store {
    Api(Client),
    Local(Local),
}

impl Store {
    fn of(settings: Settings, place: &Place) -> anyhow::Result<Self> {
        if place.local {
            return Ok(Self::Local(Local::new(settings)?));
        }
        Ok(Self::Api(Client::new(&settings, &place.api)?))
    }

    async fn create(&self, create: &TokenCreate) -> anyhow::Result<Value> {
        match self {
            Self::Api(client) => client.post("/v1/tokens", &body(create)).await,
            Self::Local(local) => local.create(create).await,
        }
    }

    async fn list(&self) -> anyhow::Result<Vec<Value>> {
        match self {
            Self::Api(client) => {
                let said = client.read("/v1/tokens", &[]).await?;
                Ok(members(&said, "tokens").cloned().collect())
            }
            Self::Local(local) => local.list().await,
        }
    }

    async fn rotate(&self, id: &str, overlap: &str) -> anyhow::Result<Value> {
        match self {
            Self::Api(client) => {
                client.post(&format!("/v1/tokens/{id}/rotate"), &json!({ "overlap": overlap })).await
            }
            Self::Local(local) => local.rotate(id, overlap).await,
        }
    }

    async fn revoke(&self, id: &str) -> anyhow::Result<Value> {
        match self {
            Self::Api(client) => client.delete(&format!("/v1/tokens/{id}"), &[]).await,
            Self::Local(local) => local.revoke(id).await,
        }
    }
}

/// Prints a secret, alone on standard output, and what it is beside.
fn secret(answer: &Value, told: &str, out: &mut Output) -> anyhow::Result<()> {
    out.answer(answer, |page| page.line(text(answer, "token")))?;
    note(format_args!("{told}; it is not shown again"));
    Ok(())
}

/// What the API is asked to make. A field that is left out has the API's own default.
fn body(create: &TokenCreate) -> Value {
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(create.name));
    body.insert("role".to_owned(), json!(create.role));
    body.insert("tenants".to_owned(), json!(tenants(create)));
    for (field, names) in [("queues", &create.queue), ("sources", &create.source)] {
        if !names.is_empty() {
            body.insert(field.to_owned(), json!(names));
        }
    }
    for (field, rights) in [("rights", &create.right), ("without", &create.without)] {
        if !rights.is_empty() {
            let names: Vec<&str> = rights.iter().copied().map(Right::as_str).collect();
            body.insert(field.to_owned(), json!(names));
        }
    }
    if let Some(lifetime) = &create.expires_in {
        body.insert("expires_in".to_owned(), json!(lifetime));
    }
    body.into()
}

/// The tenants of a token; `*` for all.
fn tenants(create: &TokenCreate) -> Vec<String> {
    if create.all_tenants { vec![upshot_access::scope::EVERYTHING.to_owned()] } else { create.tenant.clone() }
}

fn when_it_ends(token: &Value) -> String {
    match text(token, "expires_at").as_str() {
        "-" => " and does not expire".to_owned(),
        at => format!(" and expires at {at}"),
    }
}

/// The table of tokens.
pub(super) fn table() -> Table<6> {
    let mut table = Table::new(["TOKEN", "NAME", "ROLE", "TENANTS", "USED", "EXPIRES"]);
    table.wrapping(&[1, 3]);
    table
}

/// A token in it.
pub(super) fn row(token: &Value, now: DateTime<Utc>) -> [String; 6] {
    let [id, name, role] = ["id", "name", "role"].map(|field| text(token, field));
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    let tenants = names(part(token, "scope"), "tenants");
    let (used, expires) = (away(token, "used_at", now), away(token, "expires_at", now));
    [id, name, role, tenants, or(used, "never"), or(expires, "never")]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn create(line: &str) -> TokenCreate {
        let words = ["upshot", "token", "create"].into_iter().chain(line.split_whitespace());
        match Arguments::try_parse_from(words).unwrap().command {
            Command::Token(token) => match token.what {
                TokenCommand::Create(create) => create,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_is_said_is_asked_for() {
        assert_eq!(
            body(&create("ops --role operator --all-tenants")),
            json!({"name": "ops", "role": "operator", "tenants": ["*"]})
        );
        let all = "shop --role producer --tenant acme --tenant globex --queue invoices --source /shops/berlin \
                   --right see-arguments --without share --expires-in 90d";
        assert_eq!(
            body(&create(all)),
            json!({"name": "shop", "role": "producer", "tenants": ["acme", "globex"], "queues": ["invoices"],
                "sources": ["/shops/berlin"], "rights": ["see-arguments"], "without": ["share"],
                "expires_in": "90d"})
        );
    }
}
