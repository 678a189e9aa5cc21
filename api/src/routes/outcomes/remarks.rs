//! `POST /v1/outcomes/{id}/waive`, `note` and `owner`: what operators remark about an outcome.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use upshot_ledger::list::Found;
use upshot_queue::{Changed, Remark};
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    links::Links,
    problem::{Code, Details, Problem},
    report,
    state::Shared,
    target::Target,
    view::OutcomeReport,
};

/// Bytes of a remark, and of the name of an operator, at most.
const TEXT: usize = 1_000;
const NAME: usize = 200;

/// Why an outcome is settled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Waive {
    /// Why, for people: 1 to 1000 bytes.
    #[schema(min_length = 1, max_length = 1000, example = "the customer was called, and has the invoice")]
    reason: String,
    /// The operator, where the API asks for no authentication: whatever the caller says. Otherwise
    /// the name of the principal is kept, and this is ignored.
    #[serde(default)]
    #[schema(max_length = 200, example = "ada")]
    by: String,
}

/// A note about an outcome.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The note: 1 to 1000 bytes.
    #[schema(min_length = 1, max_length = 1000, example = "the provider looks into it")]
    note: String,
    /// The operator, where the API asks for no authentication: whatever the caller says. Otherwise
    /// the name of the principal is kept, and this is ignored.
    #[serde(default)]
    #[schema(max_length = 200, example = "ada")]
    by: String,
}

/// The person or team in charge of an outcome.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// The name: 1 to 200 bytes.
    #[schema(min_length = 1, max_length = 200, example = "billing")]
    owner: String,
    /// The operator, where the API asks for no authentication: whatever the caller says. Otherwise
    /// the name of the principal is kept, and this is ignored.
    #[serde(default)]
    #[schema(max_length = 200, example = "ada")]
    by: String,
}

/// Settles an outcome that will not come.
///
/// The outcome of a job that is open, overdue, reopened or missed then counts as waived. A job that has not
/// ended continues, and its end changes nothing about the verdict. The content type `application/json` is
/// required, so that no page of another origin can send this from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/outcomes/{id}/waive",
    operation_id = "waive_outcome",
    extensions(("x-right" = json!("waive"))),
    tag = "outcomes",
    params(("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Waive, description = "The reason"),
    responses(
        (status = 200, description = "It is waived", body = OutcomeReport),
        (status = 400, description = "This cannot be a job's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "The outcome has another verdict, or no outcome was expected", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn waive(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(waive): Body<Waive>,
) -> Result<Json<OutcomeReport>, Problem> {
    let reason = remark("reason", waive.reason, TEXT, (waive.by, &caller))?;
    let target = Target::find(&state, &caller, &act, &id).await?;
    let changed = state.ask(target.queue.waive(&target.id, &reason)).await?;
    checked(&target, changed, "waived")?;
    report_of(&state, &target, &links).await
}

/// Writes a note to an outcome, for the next person who looks at it.
///
/// The outcome shows the latest note; the job's timeline has all of them.
#[utoipa::path(
    post,
    path = "/v1/outcomes/{id}/note",
    operation_id = "note_outcome",
    extensions(("x-right" = json!("waive"))),
    tag = "outcomes",
    params(("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Note, description = "The note"),
    responses(
        (status = 200, description = "It is noted", body = OutcomeReport),
        (status = 400, description = "This cannot be a job's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (any more)", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn note(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(note): Body<Note>,
) -> Result<Json<OutcomeReport>, Problem> {
    let note = remark("note", note.note, TEXT, (note.by, &caller))?;
    let target = Target::find(&state, &caller, &act, &id).await?;
    let changed = state.ask(target.queue.note(&target.id, &note)).await?;
    checked(&target, changed, "noted")?;
    report_of(&state, &target, &links).await
}

/// Names the person or team in charge of an outcome.
#[utoipa::path(
    post,
    path = "/v1/outcomes/{id}/owner",
    operation_id = "own_outcome",
    extensions(("x-right" = json!("waive"))),
    tag = "outcomes",
    params(("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Own, description = "The owner"),
    responses(
        (status = 200, description = "The owner is noted", body = OutcomeReport),
        (status = 400, description = "This cannot be a job's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (any more)", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn own(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(own): Body<Own>,
) -> Result<Json<OutcomeReport>, Problem> {
    let owner = remark("owner", own.owner, NAME, (own.by, &caller))?;
    let target = Target::find(&state, &caller, &act, &id).await?;
    let changed = state.ask(target.queue.own(&target.id, &owner)).await?;
    checked(&target, changed, "owned")?;
    report_of(&state, &target, &links).await
}

/// A remark whose text has 1 to `most` bytes, by the given name where the caller is not known.
fn remark(name: &str, text: String, most: usize, (by, caller): (String, &Caller)) -> Result<Remark, Problem> {
    let is_usable = |text: &str, most: usize| text.len() <= most && !text.contains('\0');
    if text.trim().is_empty() || !is_usable(&text, most) {
        let remedy = format!("1 to {most} bytes are expected, not only blanks, and no NUL");
        return Err(Problem::parameter(name, &text, remedy));
    }
    if !is_usable(&by, NAME) {
        return Err(Problem::parameter("by", &by, format!("at most {NAME} bytes are expected, and no NUL")));
    }
    let mut by = caller.author(&by);
    by.truncate(by.floor_char_boundary(NAME));
    Ok(Remark { at: chrono::Utc::now().timestamp_millis(), text, by })
}

/// Checks that the outcome was changed.
fn checked(target: &Target<'_>, changed: Changed, did: &'static str) -> Result<(), Problem> {
    target.check(changed, did, |now| {
        let detail = format!(
            "job {} is {now}, and its outcome has a verdict that stays: only an outcome that is open, overdue, \
             reopened or missed can be waived",
            target.id
        );
        Problem::new(Code::AlreadyDecided, detail)
    })
}

async fn report_of(
    state: &Shared,
    target: &Target<'_>,
    links: &Links,
) -> Result<Json<OutcomeReport>, Problem> {
    let (known, now) = futures::future::try_join(target.after(), state.now()).await?;
    let found = [Found::Job(Box::new(known.job))];
    let report = report::reports(state, &found, now, links, &state.shown).await?.pop();
    report.map(Json).ok_or_else(|| crate::state::unknown(&target.id))
}
