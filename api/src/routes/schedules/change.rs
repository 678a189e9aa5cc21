//! Changes of one schedule.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use upshot_queue::{Client, Operator, ScheduleChanged, StoredSchedule};
use upshot_shared::Schedule;
use utoipa::ToSchema;

use super::{Found, bodies, only, sees, unknown};
use crate::{
    access::{Act, Caller},
    body::Body,
    links::Links,
    problem::{Code, Details, Problem},
    state::Shared,
    view::{ScheduleBody, ScheduleDefinition},
};

/// The author of a change that names none.
pub(super) const NOBODY: &str = "api";

/// The most schedules of a queue that a principal of some tenants sees and makes, so that it leaves room for others.
const MOST_OF_SOME: usize = 100;

/// Nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A run that a person asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedRun {
    /// Its job.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    job: String,
    /// The address of the job.
    href: String,
}

/// A schedule that is gone.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemovedSchedule {
    /// Its name.
    #[schema(example = "nightly-report")]
    removed: String,
}

/// Makes a schedule.
///
/// Executors of its queue notice it within seconds. The same request again finds it.
#[utoipa::path(
    post,
    path = "/v1/schedules",
    operation_id = "create_schedule",
    extensions(("x-right" = json!("configure"))),
    tag = "schedules",
    request_body(content = ScheduleDefinition, description = "The schedule"),
    responses(
        (status = 201, description = "It is there", body = ScheduleBody),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "The queue has a schedule of this name", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
        (status = 507, description = "The queue has as many schedules as it may", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Body(schedule): Body<Schedule>,
) -> Result<(StatusCode, Json<ScheduleBody>), Problem> {
    let queue = state.queue_of_parameter(&caller, schedule.queue.as_str())?;
    caller.require_tenant(schedule.tenant.as_deref())?;
    let now = state.now().await?;
    schedule.check(now).map_err(|error| refused(&error))?;
    let new = schedule.define(None, now).map_err(|error| refused(&error))?;
    require_room(&state, &caller, queue, &schedule.name).await?;
    let operator = Operator::new(queue.clone());
    let by = caller.author(NOBODY);
    match state.ask(operator.put_schedule(&new, 0, &by)).await? {
        ScheduleChanged::Done(version) => act.after(json!({ "version": version })),
        ScheduleChanged::Conflict(_) => return Err(exists(queue, &schedule.name)),
        other => return Err(not_done(queue, &schedule.name, other, 0)),
    }
    tracing::info!(queue = %queue.name(), schedule = schedule.name, by, "a schedule was made");
    Ok((StatusCode::CREATED, again(&state, &caller, queue, &schedule.name, &links).await?))
}

/// Changes what a schedule says.
///
/// It keeps its next due time, unless `cron`, `zone` or `every` differ and that time has not come yet. A schedule
/// of the settings is changed there.
#[utoipa::path(
    put,
    path = "/v1/schedules/{queue}/{name}",
    operation_id = "replace_schedule",
    extensions(("x-right" = json!("configure"))),
    tag = "schedules",
    params(
        ("queue" = String, Path, description = "The queue", example = "reports"),
        ("name" = String, Path, description = "The schedule", example = "nightly-report"),
        ("if-match" = Option<String>, Header, description = "The `version` that the change was made from"),
    ),
    request_body(content = ScheduleDefinition, description = "The whole schedule"),
    responses(
        (status = 200, description = "It is changed", body = ScheduleBody),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue, or no schedule of this name", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "It comes from the settings, or has another version", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn replace(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path((queue, name)): Path<(String, String)>,
    headers: HeaderMap,
    Body(schedule): Body<Schedule>,
) -> Result<Json<ScheduleBody>, Problem> {
    let Found { queue, stored, now, .. } = Found::find(&state, &caller, &queue, &name).await?;
    for (parameter, said, address) in
        [("name", &schedule.name, &name), ("queue", &schedule.queue.to_string(), &queue.name().to_string())]
    {
        if said != address {
            return Err(Problem::parameter(
                parameter,
                said,
                format!("the address says `{address}`: make another schedule instead"),
            ));
        }
    }
    caller.require_tenant(schedule.tenant.as_deref())?;
    schedule.check(now).map_err(|error| refused(&error))?;
    let expected = expected(&headers)?.unwrap_or(stored.version);
    let new = schedule.define(Some(&stored), now).map_err(|error| refused(&error))?;
    let (operator, by) = (Operator::new(queue.clone()), caller.author(NOBODY));
    match state.ask(operator.put_schedule(&new, expected, &by)).await? {
        ScheduleChanged::Done(version) => {
            act.before(json!({ "version": stored.version }));
            act.after(json!({ "version": version }));
        }
        other => return Err(not_done(queue, &name, other, expected)),
    }
    tracing::info!(queue = %queue.name(), schedule = name, by, "a schedule was changed");
    again(&state, &caller, queue, &name, &links).await
}

/// Pauses a schedule: it is not due until it is resumed.
///
/// Jobs that it enqueued continue.
#[utoipa::path(
    post,
    path = "/v1/schedules/{queue}/{name}/pause",
    operation_id = "pause_schedule",
    extensions(("x-right" = json!("pause"))),
    tag = "schedules",
    params(
        ("queue" = String, Path, description = "The queue", example = "reports"),
        ("name" = String, Path, description = "The schedule", example = "nightly-report"),
    ),
    request_body(content = Nothing, description = "Nothing, or `{}`"),
    responses(
        (status = 200, description = "It is paused", body = ScheduleBody),
        (status = 404, description = "No queue, or no schedule of this name", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "It was changed at the same time: send the same again", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn pause(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path((queue, name)): Path<(String, String)>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<ScheduleBody>, Problem> {
    let Found { queue, stored, .. } = Found::find(&state, &caller, &queue, &name).await?;
    let (operator, by) = (Operator::new(queue.clone()), caller.author(NOBODY));
    match state.ask(operator.pause_schedule(&stored, &by)).await? {
        ScheduleChanged::Done(_) => {
            act.before(json!({ "paused": stored.paused.is_some() }));
            act.after(json!({ "paused": true }));
        }
        other => return Err(not_done(queue, &name, other, stored.version)),
    }
    tracing::info!(queue = %queue.name(), schedule = name, by, "a schedule was paused");
    again(&state, &caller, queue, &name, &links).await
}

/// Resumes a paused schedule.
///
/// It is due again from now on. Due times of the pause get no job; one that waited before the pause does.
#[utoipa::path(
    post,
    path = "/v1/schedules/{queue}/{name}/resume",
    operation_id = "resume_schedule",
    extensions(("x-right" = json!("pause"))),
    tag = "schedules",
    params(
        ("queue" = String, Path, description = "The queue", example = "reports"),
        ("name" = String, Path, description = "The schedule", example = "nightly-report"),
    ),
    request_body(content = Nothing, description = "Nothing, or `{}`"),
    responses(
        (status = 200, description = "It is not paused", body = ScheduleBody),
        (status = 400, description = "Its due times cannot be computed", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue, or no schedule of this name", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "It was changed at the same time: send the same again", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn resume(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path((queue, name)): Path<(String, String)>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<ScheduleBody>, Problem> {
    let found = Found::find(&state, &caller, &queue, &name).await?;
    let schedule = found.readable()?;
    let timing = schedule.timing().map_err(|error| refused(&error))?;
    let Found { queue, stored, now, .. } = &found;
    let operator = Operator::new((*queue).clone());
    let next = schedule.resumed(stored, &timing, *now);
    match state.ask(operator.resume_schedule(stored, next)).await? {
        ScheduleChanged::Done(_) => {
            act.before(json!({ "paused": stored.paused.is_some() }));
            act.after(json!({ "paused": false }));
        }
        other => return Err(not_done(queue, &name, other, stored.version)),
    }
    tracing::info!(queue = %queue.name(), schedule = name, "a schedule was resumed");
    again(&state, &caller, queue, &name, &links).await
}

/// Runs a schedule now, beside its due times.
///
/// Each request enqueues a job. The next due time stays. A paused schedule may run so.
#[utoipa::path(
    post,
    path = "/v1/schedules/{queue}/{name}/run",
    operation_id = "run_schedule",
    extensions(("x-right" = json!("schedule"))),
    tag = "schedules",
    params(
        ("queue" = String, Path, description = "The queue", example = "reports"),
        ("name" = String, Path, description = "The schedule", example = "nightly-report"),
    ),
    request_body(content = Nothing, description = "Nothing, or `{}`"),
    responses(
        (status = 202, description = "The job is enqueued", body = StartedRun),
        (status = 400, description = "Its definition cannot be read", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue, or no schedule of this name", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "It was changed at the same time: send the same again", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer; the job may be enqueued", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn run(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path((queue, name)): Path<(String, String)>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<(StatusCode, Json<StartedRun>), Problem> {
    let found = Found::find(&state, &caller, &queue, &name).await?;
    let job = found.readable()?.job_now(found.stored.is_of_settings);
    let Found { queue, stored, .. } = found;
    if !state.ask(queue.run_schedule(&stored, &job)).await? {
        return Err(not_done(queue, &name, ScheduleChanged::Conflict(0), stored.version));
    }
    act.after(json!({ "job": job.id.as_str() }));
    tracing::info!(queue = %queue.name(), schedule = name, job = %job.id, "a schedule runs because somebody asked");
    Ok((StatusCode::ACCEPTED, Json(StartedRun { href: links.job(&job.id), job: job.id.to_string() })))
}

/// Removes a schedule that a person made.
///
/// Its jobs stay. A schedule of the settings is removed there, or paused here.
#[utoipa::path(
    delete,
    path = "/v1/schedules/{queue}/{name}",
    operation_id = "remove_schedule",
    extensions(("x-right" = json!("configure"))),
    tag = "schedules",
    params(
        ("queue" = String, Path, description = "The queue", example = "reports"),
        ("name" = String, Path, description = "The schedule", example = "nightly-report"),
    ),
    responses(
        (status = 200, description = "It is gone", body = RemovedSchedule),
        (status = 404, description = "No queue, or no schedule of this name", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "It comes from the settings, or was changed at the same time", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn remove(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path((queue, name)): Path<(String, String)>,
) -> Result<Json<RemovedSchedule>, Problem> {
    let Found { queue, stored, .. } = Found::find(&state, &caller, &queue, &name).await?;
    match state.ask(Operator::new(queue.clone()).remove_schedule(&stored)).await? {
        ScheduleChanged::Done(version) => act.before(json!({ "version": version })),
        other => return Err(not_done(queue, &name, other, stored.version)),
    }
    tracing::info!(queue = %queue.name(), schedule = name, "a schedule was removed");
    Ok(Json(RemovedSchedule { removed: name }))
}

/// Refuses another schedule of a principal of some tenants that has many.
async fn require_room(state: &Shared, caller: &Caller, queue: &Client, name: &str) -> Result<(), Problem> {
    if caller.sees_everything() {
        return Ok(());
    }
    let there = state.read(|| queue.schedules()).await?;
    let is_other = |stored: &&StoredSchedule| {
        !stored.is_of_settings && stored.name != name && sees(caller, queue, stored)
    };
    if there.seen.iter().filter(is_other).count() < MOST_OF_SOME {
        return Ok(());
    }
    let detail = format!(
        "queue {} has {MOST_OF_SOME} schedules of your tenants, and a principal of some tenants makes no more: \
         remove some",
        queue.name()
    );
    Err(Problem::new(Code::TooManySchedules, detail))
}

impl Found<'_> {
    fn readable(&self) -> Result<&Schedule, Problem> {
        self.schedule.as_ref().ok_or_else(|| {
            let remedy = "this build cannot read its definition: replace it";
            Problem::parameter("name", &self.stored.name, remedy)
        })
    }
}

/// The schedule after a change.
async fn again(
    state: &Shared,
    caller: &Caller,
    queue: &Client,
    name: &str,
    links: &Links,
) -> Result<Json<ScheduleBody>, Problem> {
    let found = Found::find(state, caller, queue.name().as_str(), name).await?;
    let seen = [&found.stored];
    Ok(Json(only(bodies(state, queue, found.now, &seen, links, &state.shown, false).await?, name)?))
}

pub(super) fn refused(why: &impl std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidParameter, why)
}

pub(super) fn exists(queue: &Client, name: &str) -> Problem {
    let detail = format!(
        "queue {} has a schedule `{name}` that somebody made: change it, or use another name",
        queue.name()
    );
    Problem::new(Code::ScheduleExists, detail)
}

pub(super) fn full(queue: &Client) -> Problem {
    let most = upshot_queue::MAX_SCHEDULES;
    let detail =
        format!("queue {} may have {most} schedules: remove some, or use another queue", queue.name());
    Problem::new(Code::TooManySchedules, detail)
}

/// Why a change was not made.
fn not_done(queue: &Client, name: &str, came: ScheduleChanged, expected: u64) -> Problem {
    match came {
        ScheduleChanged::OfSettings => {
            let detail = format!(
                "the schedule `{name}` comes from the settings: change it there and run `upshot schedule apply`, or \
                 pause it"
            );
            Problem::new(Code::ScheduleOfSettings, detail)
        }
        ScheduleChanged::Full => full(queue),
        ScheduleChanged::Conflict(0) if expected != 0 => unknown(queue, name),
        ScheduleChanged::Conflict(stored) if stored == expected => {
            let detail =
                format!("the schedule `{name}` was paused or resumed at the same time: send the same again");
            Problem::new(Code::VersionConflict, detail)
        }
        ScheduleChanged::Conflict(stored) | ScheduleChanged::Done(stored) => {
            Problem::version_of(&format!("the schedule `{name}`"), expected, stored)
        }
    }
}

/// The version that a change is based on, if the request says one.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().unwrap_or_default();
    let version = tag.trim().trim_matches('"').parse().ok().filter(|version| *version > 0);
    version
        .map(Some)
        .ok_or_else(|| Problem::parameter("if-match", tag, "send the `version` of the schedule: \"3\""))
}
