//! `upshot link`: capability links of end users, through the API.

use serde_json::{Map, Value, json};
use upshot_runtime::Settings;

use super::{
    client::Client,
    value::{part, text},
};
use crate::{
    arguments::{LinkCommand, LinkId, LinkWith},
    exit::Exit,
    output::{Output, note},
};

/// Makes or revokes a link.
pub async fn run(settings: &Settings, what: &LinkCommand, out: &mut Output) -> anyhow::Result<()> {
    match what {
        LinkCommand::Job(job) => make(settings, "job", job.id.as_str(), &job.with, out).await,
        LinkCommand::Subject(subject) => {
            make(settings, "subject", &subject.subject, &subject.with, out).await
        }
        LinkCommand::Revoke(revoke) => {
            let LinkId::Id(id) = &revoke.id else {
                return Err(Exit::Usage.because(
                    "this is a link: give its id, which `upshot link job` and `subject` print beside the link",
                ));
            };
            let said = Client::new(settings, &revoke.api)?.delete(&format!("/v1/links/{id}"), &[]).await?;
            let was_valid = part(&said, "was_valid").as_bool().unwrap_or_default();
            let before = if was_valid { "" } else { "; it had expired before" };
            out.answer(&said, |page| page.text(format!("the link {id} shows nothing any more{before}")))?;
            Ok(())
        }
    }
}

/// Makes a link. Standard output gets the link alone.
async fn make(
    settings: &Settings,
    target: &str,
    name: &str,
    with: &LinkWith,
    out: &mut Output,
) -> anyhow::Result<()> {
    let said = Client::new(settings, &with.api)?.post("/v1/links", &body(target, name, with)).await?;
    out.answer(&said, |page| page.line(text(&said, "link")))?;
    note(format_args!(
        "whoever has the link sees the {target} until {}; `upshot link revoke {}` ends it; it is not shown again",
        text(&said, "expires_at"),
        text(&said, "id")
    ));
    Ok(())
}

fn body(target: &str, name: &str, with: &LinkWith) -> Value {
    let tenant = with.tenant.as_ref().map(|tenant| ("tenant".to_owned(), json!(tenant)));
    let lifetime = with.expires_in.as_ref().map(|time| ("lifetime".to_owned(), json!(time)));
    let fields = [Some((target.to_owned(), json!(name))), tenant, lifetime];
    fields.into_iter().flatten().collect::<Map<String, Value>>().into()
}
