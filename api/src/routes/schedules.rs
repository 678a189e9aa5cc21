//! `/v1/schedules`: shows, makes, changes, pauses and removes schedules, and runs one now.

mod change;
mod set;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use futures::future;
use serde::Serialize;
use upshot_access::Facts;
use upshot_queue::{Client, Error, JobId, Schedules, StoredSchedule};
use upshot_shared::{Schedule, schedule::stored::not_stored};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    links::Links,
    problem::{Code, Details, Problem},
    query::Query,
    reveal::{REVEAL, Reveal},
    shown::Shown,
    state::Shared,
    view::{BesideSchedules, ScheduleBody},
};

pub use change::{__path_create, __path_pause, __path_remove, __path_replace, __path_resume, __path_run};
pub use change::{create, pause, remove, replace, resume, run};
pub use set::{__path_apply, apply};

/// Schedules.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleList {
    /// The schedules, by queue and by when they are due.
    schedules: Vec<ScheduleBody>,
    /// Of each queue, the version of the schedules that come from settings.
    sets: Vec<ScheduleSet>,
}

/// The schedules of a queue that come from settings.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleSet {
    /// The queue.
    #[schema(example = "reports")]
    queue: String,
    /// The version, counted from 1; 0 while none were stored.
    version: u64,
    /// Schedules of this API's settings that do not run, because no executor that works on the queue stored them,
    /// or because somebody made one of the same name (trouble `not_stored`).
    not_stored: Vec<String>,
}

/// Lists schedules, with their next due times, their last runs, and what keeps them from running.
///
/// A queue has at most 500.
#[utoipa::path(
    get,
    path = "/v1/schedules",
    operation_id = "list_schedules",
    extensions(("x-right" = json!("see"))),
    tag = "schedules",
    params(("queue" = Option<String>, Query, description = "Only those of this queue", example = "reports")),
    responses(
        (status = 200, description = "The schedules", body = ScheduleList),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    RawQuery(raw): RawQuery,
) -> Result<Json<ScheduleList>, Problem> {
    let query = Query::parse(raw.as_deref(), &["queue"])?;
    let queues = match query.text("queue") {
        Some(name) => vec![state.queue_of_parameter(&caller, name)?],
        None => state.queues_of(&caller),
    };
    let read = |queue| read_all(&state, queue, &caller, &links);
    let found = future::try_join_all(queues.into_iter().map(read)).await?;
    let mut list = ScheduleList { schedules: Vec::new(), sets: Vec::new() };
    for part in found {
        list.schedules.extend(part.schedules);
        list.sets.extend(part.sets);
    }
    Ok(Json(list))
}

/// Shows a schedule.
///
/// Its arguments are left out, unless `reveal` is `true`.
#[utoipa::path(
    get,
    path = "/v1/schedules/{queue}/{name}",
    operation_id = "show_schedule",
    extensions(("x-right" = json!("see"))),
    tag = "schedules",
    params(
        ("queue" = String, Path, description = "The queue", example = "reports"),
        ("name" = String, Path, description = "The schedule", example = "nightly-report"),
        ("reveal" = Option<bool>, Query, description = "`true` for its arguments too"),
    ),
    responses(
        (status = 200, description = "The schedule", body = ScheduleBody),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue, or no schedule of this name", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    Path((queue, name)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
) -> Result<Json<ScheduleBody>, Problem> {
    let query = Query::parse(raw.as_deref(), &[REVEAL])?;
    let reveal = Reveal::of(&query, &caller)?;
    let found = Found::find(&state, &caller, &queue, &name).await?;
    let shown = state.shown.with(reveal);
    let (seen, with_arguments) = ([&found.stored], reveal.is_all());
    let bodies = bodies(&state, found.queue, found.now, &seen, &links, &shown, with_arguments).await?;
    Ok(Json(only(bodies, &name)?))
}

/// A schedule that the caller sees.
struct Found<'a> {
    queue: &'a Client,
    stored: StoredSchedule,
    /// What it says, if this build can read it.
    schedule: Option<Schedule>,
    now: i64,
}

impl<'a> Found<'a> {
    async fn find(state: &'a Shared, caller: &Caller, queue: &str, name: &str) -> Result<Self, Problem> {
        let queue = state.queue_of_address(caller, queue)?;
        let Schedules { now, seen, .. } = state.read(|| queue.schedule(name)).await?;
        let stored = seen.into_iter().next().filter(|stored| sees(caller, queue, stored));
        let stored = stored.ok_or_else(|| unknown(queue, name))?;
        let schedule = Schedule::read(&stored).ok();
        Ok(Self { queue, stored, schedule, now })
    }
}

/// Whether the caller sees a schedule: whether it sees its jobs.
fn sees(caller: &Caller, queue: &Client, stored: &StoredSchedule) -> bool {
    Schedule::read(stored)
        .map_or_else(|_| caller.sees_everything(), |schedule| sees_jobs(caller, queue, &schedule))
}

fn sees_jobs(caller: &Caller, queue: &Client, schedule: &Schedule) -> bool {
    caller.scope().sees(&Facts {
        id: "",
        queue: queue.name().as_str(),
        tenant: schedule.tenant.as_deref(),
        source: None,
        subject: schedule.subject.as_deref(),
    })
}

fn unknown(queue: &Client, name: &str) -> Problem {
    let name: String = name.chars().take(100).collect();
    let detail = format!(
        "queue {} has no schedule `{name}`: `GET /v1/schedules` lists those that are there",
        queue.name()
    );
    Problem::new(Code::UnknownSchedule, detail)
}

/// The schedules of a queue that the caller sees.
async fn read_all(
    state: &Shared,
    queue: &Client,
    caller: &Caller,
    links: &Links,
) -> Result<ScheduleList, Problem> {
    let there = state.read(|| queue.schedules()).await?;
    let seen: Vec<&StoredSchedule> = there.seen.iter().filter(|stored| sees(caller, queue, stored)).collect();
    let schedules = bodies(state, queue, there.now, &seen, links, &state.shown, false).await?;
    let mut own = state.schedules_of(queue.name());
    own.retain(|schedule| sees_jobs(caller, queue, schedule));
    let not_stored = not_stored(&own, &there).into_iter().map(str::to_owned).collect();
    let set = ScheduleSet { queue: queue.name().to_string(), version: there.set_version, not_stored };
    Ok(ScheduleList { schedules, sets: vec![set] })
}

async fn bodies(
    state: &Shared,
    queue: &Client,
    now: i64,
    seen: &[&StoredSchedule],
    links: &Links,
    shown: &Shown,
    with_arguments: bool,
) -> Result<Vec<ScheduleBody>, Problem> {
    if seen.is_empty() {
        return Ok(Vec::new());
    }
    let last: Vec<JobId> = seen.iter().filter_map(|stored| Some(stored.last.as_ref()?.job.clone())).collect();
    let read = || async { Ok::<_, Error>((queue.workers().await?, queue.jobs(&last).await?)) };
    let (workers, jobs) = state.read(read).await?;
    let queue = queue.name().as_str();
    let beside = BesideSchedules { queue, workers: &workers, now, jobs: &jobs, shown, with_arguments, links };
    Ok(seen.iter().map(|stored| ScheduleBody::new(stored, &beside)).collect())
}

fn only(bodies: Vec<ScheduleBody>, name: &str) -> Result<ScheduleBody, Problem> {
    bodies.into_iter().next().ok_or_else(|| Problem::internal(format!("the schedule `{name}` is gone")))
}
