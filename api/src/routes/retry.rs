//! `POST /v1/jobs/{id}/retry`: runs a dead or parked job again.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use upshot_access::Right;
use upshot_queue::Changed;
use upshot_shared::redact;
use utoipa::ToSchema;

use crate::{
    access::{
        Act, Caller,
        acts::changed::{changed, digest},
    },
    body::{Body, raw},
    links::Links,
    problem::{Code, Details, Problem},
    state::Shared,
    target::{RetriedJob, Target},
};

/// How to run a job again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Other arguments; the job keeps the previous ones. They must keep the contract of the job's
    /// event type, if there is one. If left out, the job runs with its present arguments.
    #[serde(default, deserialize_with = "raw::deserialize")]
    #[schema(value_type = serde_json::Value)]
    args: Option<Box<RawValue>>,
    /// The completed steps that may run again. With other arguments all completed steps run again,
    /// because their results came from the previous arguments. Their effects, such as a mail, then
    /// happen twice. So each of these steps must be named here; otherwise nothing changes. `steps`
    /// of the job and of the problem show what was done.
    #[serde(default)]
    #[schema(example = json!(["render"]))]
    repeat_steps: Vec<String>,
}

/// Makes a dead or parked job ready again.
///
/// The job keeps its completed steps and its history. A dead job gets fresh budgets for failures; a
/// parked job continues whatever it waits for. With `args` in the body the job also gets other
/// arguments. Its completed steps then run again, if `repeat_steps` names them. The same bytes are
/// not other arguments. The content type `application/json` is required, so that no page of another
/// origin can send this from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/retry",
    operation_id = "retry_job",
    extensions(("x-right" = json!("retry"))),
    tag = "jobs",
    params(("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Option<Retry>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 202, description = "It is ready to run", body = RetriedJob),
        (status = 400, description = "This cannot be a job's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "The job is neither dead nor parked, or has completed steps that `repeat_steps` does not name", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 422, description = "The arguments violate the contract of the job's event type; the job stays as it was", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn retry(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(retry): Body<Retry>,
) -> Result<(StatusCode, Json<RetriedJob>), Problem> {
    let target = Target::find(&state, &caller, &act, &id).await?;
    let (changed, did) = match retry.args {
        Some(args) => {
            caller.require(Right::EditArguments)?;
            refuse_hidden(&args)?;
            let args = Bytes::from(Box::<str>::from(args).into_string());
            if let Some(kind) = &target.event_type {
                state
                    .intake
                    .check_arguments(kind, &args)
                    .map_err(|violation| Problem::arguments(&target.id, violation))?;
            }
            act.before(json!({ "arguments": digest(&target.args) }));
            let differences = changed(&target.args, &args);
            act.after(json!({ "arguments": { "digest": digest(&args), "changed": differences } }));
            let retrying = target.queue.retry_repeating(&target.id, &args, &retry.repeat_steps);
            (state.ask(retrying).await?, "edited and retried")
        }
        None => (state.ask(target.queue.retry(&target.id)).await?, "retried"),
    };
    if changed == Changed::Stepped {
        return Err(target.steps_completed().await);
    }
    target.check(changed, did, |now| {
        let detail = format!("job {} is {now}: only a dead or parked job can be retried", target.id);
        Problem::new(Code::NotDead, detail)
    })?;
    target.retried(&links).await
}

/// Refuses arguments that were copied from an answer with hidden values: the job would run with the
/// marks.
fn refuse_hidden(args: &RawValue) -> Result<(), Problem> {
    let read = serde_json::from_str(args.get()).ok();
    let Some(place) = read.as_ref().and_then(redact::hidden) else { return Ok(()) };
    let detail = format!(
        "`/args{place}` is the mark of a hidden value: read the arguments with `?args=true&reveal=true`, and send \
         them complete; the job stays as it was"
    );
    Err(Problem::new(Code::InvalidArguments, detail))
}
