//! `PUT /v1/schedules/{queue}`: replaces the schedules of a queue that come from settings.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::json;
use upshot_queue::{NewSchedule, Operator, SchedulesSet};
use upshot_shared::Schedule;
use utoipa::ToSchema;

use super::{
    ScheduleList,
    change::{NOBODY, exists, full, refused},
    read_all,
};
use crate::{
    access::{Act, Caller},
    body::Body,
    links::Links,
    problem::{Details, Problem},
    state::Shared,
    view::ScheduleDefinition,
};

/// All schedules of a queue that come from settings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplySchedules {
    /// The schedules.
    #[schema(value_type = Vec<ScheduleDefinition>)]
    schedules: Vec<Schedule>,
    /// The version that they are based on, 0 for none: of the queue in `sets` of the list.
    expect_version: u64,
}

/// Replaces the schedules of a queue that come from settings.
///
/// `upshot schedule apply` sends those of a settings file. Those that are left out end. Those that differ keep
/// their next due time, unless `cron`, `zone` or `every` differ and that time has not come yet. Schedules that persons made stay.
#[utoipa::path(
    put,
    path = "/v1/schedules/{queue}",
    operation_id = "apply_schedules",
    extensions(("x-right" = json!("configure")), ("x-scope" = json!("all-tenants"))),
    tag = "schedules",
    params(("queue" = String, Path, description = "The queue", example = "reports")),
    request_body(content = ApplySchedules, description = "The schedules"),
    responses(
        (status = 200, description = "They are stored", body = ScheduleList),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "Another version is stored, or a person made a schedule of the same name", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
        (status = 507, description = "The queue would have too many schedules", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn apply(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(queue): Path<String>,
    Body(said): Body<ApplySchedules>,
) -> Result<Json<ScheduleList>, Problem> {
    let queue = state.queue_of_address(&caller, &queue)?;
    let there = state.read(|| queue.schedules()).await?;
    let (mut names, mut new) = (BTreeSet::new(), Vec::<NewSchedule>::new());
    for schedule in &said.schedules {
        if schedule.queue != *queue.name() {
            let remedy = format!("the address says `{}`: send each queue its own", queue.name());
            return Err(Problem::parameter("queue", schedule.queue.as_str(), remedy));
        }
        if !names.insert(&schedule.name) {
            return Err(Problem::parameter("name", &schedule.name, "it comes twice: give one another name"));
        }
        schedule.check(there.now).map_err(|error| refused(&error))?;
        let before = there.seen.iter().find(|stored| stored.name == schedule.name);
        new.push(schedule.define(before, there.now).map_err(|error| refused(&error))?);
    }
    let (operator, by) = (Operator::new(queue.clone()), caller.author(NOBODY));
    match state.ask(operator.set_schedules(&new, said.expect_version, &by)).await? {
        SchedulesSet::Done(version) => {
            act.before(json!({ "version": said.expect_version }));
            act.after(json!({ "version": version, "schedules": new.len() }));
            tracing::info!(queue = %queue.name(), version, by, "the schedules of settings were replaced");
        }
        SchedulesSet::Conflict(stored) => {
            let what = format!("the schedules of settings of queue {}", queue.name());
            return Err(Problem::version_of(&what, said.expect_version, stored));
        }
        SchedulesSet::Taken(name) => return Err(exists(queue, &name)),
        SchedulesSet::Full(_) => return Err(full(queue)),
    }
    Ok(Json(read_all(&state, queue, &caller, &links).await?))
}
