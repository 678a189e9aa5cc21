//! `POST /v1/operations`: creates an operation on many jobs.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::json;
use upshot_queue::{
    Account, BadPlan, Condition, Created, JobId, Operator, Plan, Priority,
    operation::{Act as What, MAX_IDS, Selection, Source, When},
    state::State as JobStateName,
};
use upshot_shared::duration;
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    links::Links,
    operations::right_of,
    problem::{Code, Details, Problem},
    state::Shared,
    view::{JobState, OperationBody, OutcomeStatus, PriorityClass},
};

/// Bytes of a reason, and of the name of an operator, at most.
const TEXT: usize = 1_000;
const NAME: usize = 200;
/// The longest pace.
const SLOWEST: Duration = Duration::from_secs(3600);
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Failures of one cause that stop a retry, unless the request says otherwise.
const SAME_CAUSE: u32 = 10;

/// An operation to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperation {
    /// The queue of the jobs.
    #[schema(example = "invoices")]
    queue: String,
    /// What to do to each job.
    act: ActName,
    /// Which jobs.
    filter: Filter,
    /// Why, for people: up to 1000 bytes. `waive` needs it.
    #[serde(default)]
    #[schema(max_length = 1000, example = "the mail provider is back")]
    reason: Option<String>,
    /// The operator, where the API asks for no authentication: whatever the caller says. Otherwise
    /// the name of the principal is kept, and this is ignored.
    #[serde(default)]
    #[schema(max_length = 200, example = "ada")]
    by: String,
    /// The time between two jobs, at most 1h, so that a dependency that has just recovered is not
    /// overrun. Without it the operation goes as fast as Redis stays free for others.
    #[serde(default, with = "duration")]
    #[schema(value_type = String, required = false, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "100ms")]
    pace: Duration,
    /// When a retry, or a release of parked jobs, stops itself.
    #[serde(default)]
    stop_rule: Option<StopRule>,
    /// Whether it only counts the jobs and waits for its start; true if left out. `cancel` and `purge`
    /// always do.
    #[serde(default)]
    dry_run: Option<bool>,
    /// Of `reschedule`: how long after the change a job is to run; `0s` for at once.
    #[serde(default, with = "duration::optional")]
    #[schema(value_type = Option<String>, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "15m")]
    delay: Option<Duration>,
    /// Of `reschedule`: when the jobs are to run, instead of `delay`.
    #[serde(default)]
    #[schema(format = DateTime, example = "2026-03-14T09:30:00Z")]
    at: Option<String>,
    /// Of `prioritise`: the priority.
    #[serde(default)]
    #[schema(value_type = Option<PriorityClass>, example = "high")]
    priority: Option<Priority>,
}

/// What an operation does to each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OperationAct)]
pub enum ActName {
    /// Makes a dead job run again. Needs the right `replay`.
    Retry,
    /// Cancels a job that has not ended. Needs the right `cancel`.
    Cancel,
    /// Forgets a dead or cancelled job. Needs the right `purge`.
    Purge,
    /// Moves a scheduled or ready job to another time. Needs the right `schedule`.
    Reschedule,
    /// Gives a waiting job another priority. Needs the right `schedule`.
    Prioritise,
    /// Releases a parked job, whatever it waits for. Needs the right `pause`.
    Unpark,
    /// Settles an outcome that is overdue or missed. Needs the right `waive`.
    Waive,
}

/// The jobs of an operation. It names one of `state`, `outcome` and `ids`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OperationFilter)]
pub struct Filter {
    /// Jobs in this state.
    #[serde(default)]
    #[schema(value_type = Option<JobState>)]
    state: Option<JobStateName>,
    /// Jobs whose outcomes are `overdue` or `missed`.
    #[serde(default)]
    #[schema(value_type = Option<OutcomeStatus>)]
    outcome: Option<Account>,
    /// These jobs: up to 1000 ids.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 1000)]
    ids: Option<Vec<JobId>>,
    /// Of dead jobs: only those of this group.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512, example = "5f1d7a84db00d2fc")]
    group: Option<String>,
    /// Of parked jobs: only those that wait for this condition, by its name or as it is listed.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512, example = "breaker:smtp")]
    condition: Option<String>,
    /// Only jobs of this kind.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    kind: Option<String>,
    /// Only jobs of this tenant.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    tenant: Option<String>,
    /// Only jobs of this route.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512, example = "order.completed.v1:invoice.issue")]
    route: Option<String>,
    /// Only jobs that came into the state at this time, or later: of overdue outcomes when they were
    /// due, of missed ones when they were missed.
    #[serde(default)]
    #[schema(format = DateTime, example = "2026-03-14T09:00:00Z")]
    from: Option<String>,
    /// The same for a time that is earlier than this.
    #[serde(default)]
    #[schema(format = DateTime, example = "2026-03-14T10:00:00Z")]
    until: Option<String>,
}

/// When an operation stops itself.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRule {
    /// When this many of the jobs that it set going have failed of one cause again; 0 for never. 10 if
    /// left out.
    #[schema(minimum = 0, maximum = 1_000_000, example = 10)]
    same_cause: u32,
}

/// Creates an operation on many jobs.
///
/// The selection is frozen: jobs that come into the state later are left alone. Without `dry_run:
/// false` the operation counts what it would change and refuse, changes nothing, and waits for
/// `POST /v1/operations/{id}/start`. One API process walks it; another one continues after a crash. The
/// content type `application/json` is required, so that no page of another origin can send this from a
/// user's browser.
#[utoipa::path(
    post,
    path = "/v1/operations",
    operation_id = "create_operation",
    extensions(("x-right" = json!("see"))),
    tag = "operations",
    request_body(content = NewOperation, description = "The act and the jobs"),
    responses(
        (status = 202, description = "It counts, or runs without a dry run", body = OperationBody, headers(("location" = String, description = "Its address"))),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The act needs a right that the principal lacks, or the tenant belongs to others", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "As many operations of the queue count or run as may", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer; it may be created: look at the list", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Body(mut new): Body<NewOperation>,
) -> Result<Response, Problem> {
    let what = new.act()?;
    caller.require(right_of(what))?;
    let queue = state.queue_of_parameter(&caller, &new.queue)?;
    act.target("queue", queue.name().as_str());
    let is_dry = new.dry_run.unwrap_or(true);
    if what.destroys() && !is_dry {
        let remedy = format!(
            "{} cannot be undone: leave it out, and start the operation with the number that it counted",
            what.as_str()
        );
        return Err(Problem::parameter("dry_run", "false", remedy));
    }
    let plan = Plan {
        act: what,
        pace: new.pace()?,
        same_cause: new.same_cause(what)?,
        reason: new.reason()?,
        by: by(&caller, &new.by)?,
        selection: new.filter.selection(&caller)?,
    };
    plan.check().map_err(|why| {
        let name = match why {
            BadPlan::NoReason => "reason",
            BadPlan::Ids(_) => "ids",
            BadPlan::Source { .. } => "filter",
        };
        Problem::parameter(name, "", why)
    })?;
    let operator = Operator::new(queue.clone());
    let id = match state.ask(operator.create_operation(&plan, is_dry)).await? {
        Created::Done(id) => id,
        Created::Full(active) => {
            let detail = format!(
                "{active} operations of queue {} count or run, and no more may: wait for one, or abort one",
                queue.name()
            );
            return Err(Problem::new(Code::TooManyOperations, detail));
        }
    };
    act.target("operation", id.as_str());
    state.operations.wake();
    tracing::info!(queue = %queue.name(), operation = %id, act = what.as_str(), is_dry, "an operator created an operation");
    let (_, operation) = super::find(&state, &caller, id.as_str()).await?;
    act.after(json!({ "state": operation.phase.as_str() }));
    let body = OperationBody::new(queue.name(), &operation, &caller, &links, &state.shown);
    let mut answer = (StatusCode::ACCEPTED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(&links.operation(&id)) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// The name that an operation notes.
pub(super) fn by(caller: &Caller, said: &str) -> Result<String, Problem> {
    if said.len() > NAME || said.contains('\0') {
        let remedy = format!("at most {NAME} bytes are expected, and no NUL");
        return Err(Problem::parameter("by", said, remedy));
    }
    let mut by = caller.author(said);
    by.truncate(by.floor_char_boundary(NAME));
    Ok(by)
}

impl NewOperation {
    fn act(&self) -> Result<What, Problem> {
        let is_set = [
            ("delay", self.delay.is_some(), ActName::Reschedule),
            ("at", self.at.is_some(), ActName::Reschedule),
            ("priority", self.priority.is_some(), ActName::Prioritise),
        ];
        if let Some((name, ..)) = is_set.iter().find(|(_, is_set, of)| *is_set && self.act != *of) {
            return Err(Problem::parameter(name, "", "this act does not take it: leave it out"));
        }
        Ok(match self.act {
            ActName::Retry => What::Retry,
            ActName::Cancel => What::Cancel,
            ActName::Purge => What::Purge,
            ActName::Unpark => What::Unpark,
            ActName::Waive => What::Waive,
            ActName::Prioritise => {
                let remedy = "prioritise needs it: critical, high, normal or low";
                let priority = self.priority.ok_or_else(|| Problem::parameter("priority", "", remedy))?;
                What::Prioritise { priority }
            }
            ActName::Reschedule => What::Reschedule { to: self.when()? },
        })
    }

    fn when(&self) -> Result<When, Problem> {
        match (self.delay, &self.at) {
            (Some(delay), None) if delay <= LONGEST => {
                Ok(When::After(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
            }
            (Some(delay), None) => {
                Err(Problem::parameter("delay", &format!("{delay:?}"), "use at most 3650d"))
            }
            (None, Some(at)) => Ok(When::At(moment("at", at)?)),
            _ => Err(Problem::parameter("delay", "", "reschedule needs one of `delay` and `at`")),
        }
    }

    fn pace(&self) -> Result<u64, Problem> {
        if self.pace > SLOWEST {
            return Err(Problem::parameter("pace", &format!("{:?}", self.pace), "use at most 1h"));
        }
        Ok(u64::try_from(self.pace.as_millis()).unwrap_or(u64::MAX))
    }

    fn same_cause(&self, act: What) -> Result<u32, Problem> {
        let sets_going = matches!(act, What::Retry | What::Unpark);
        match self.stop_rule {
            None => Ok(if sets_going { SAME_CAUSE } else { 0 }),
            Some(StopRule { same_cause }) if !sets_going && same_cause > 0 => {
                let remedy = "only retry and unpark set jobs going: leave it out";
                Err(Problem::parameter("stop_rule", &same_cause.to_string(), remedy))
            }
            Some(StopRule { same_cause }) if same_cause > 1_000_000 => {
                Err(Problem::parameter("stop_rule", &same_cause.to_string(), "use 0 to 1000000"))
            }
            Some(StopRule { same_cause }) => Ok(same_cause),
        }
    }

    fn reason(&mut self) -> Result<Option<String>, Problem> {
        match self.reason.take() {
            Some(reason) if reason.len() > TEXT || reason.contains('\0') => Err(Problem::parameter(
                "reason",
                &reason,
                format!("at most {TEXT} bytes are expected, and no NUL"),
            )),
            reason => Ok(reason.filter(|reason| !reason.trim().is_empty())),
        }
    }
}

impl Filter {
    /// The selection. A misspelt or empty filter must not select everything.
    fn selection(self, caller: &Caller) -> Result<Selection, Problem> {
        let Self { state, outcome, ids, group, condition, kind, tenant, route, from, until } = self;
        for (name, value) in [
            ("group", &group),
            ("condition", &condition),
            ("kind", &kind),
            ("tenant", &tenant),
            ("route", &route),
        ] {
            if value.as_ref().is_some_and(|value| value.is_empty() || value.len() > 512) {
                let remedy = "1 to 512 characters are expected; leave it out for all";
                return Err(Problem::parameter(name, value.as_deref().unwrap_or_default(), remedy));
            }
        }
        if let Some(group) = group.as_ref().filter(|group| !group.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(Problem::parameter("group", group, "give a `fingerprint` of `GET /v1/dead`"));
        }
        let refuse = |name: &str, value: &str, of: &str| {
            Err(Problem::parameter(name, value, format!("only {of} have it: leave it out")))
        };
        if let Some(group) = group.as_ref().filter(|_| state != Some(JobStateName::Dead)) {
            return refuse("group", group, "jobs with `state` dead");
        }
        if let Some(condition) = condition.as_ref().filter(|_| state != Some(JobStateName::Parked)) {
            return refuse("condition", condition, "jobs with `state` parked");
        }
        let condition = match condition {
            Some(named) => {
                let parsed: Condition =
                    named.parse().map_err(|why| Problem::parameter("condition", &named, why))?;
                Some(parsed.stored())
            }
            None => None,
        };
        let source = match (state, outcome, ids) {
            (Some(state), None, None) => Source::State { state, group, condition },
            (None, Some(outcome), None) => Source::Outcome(outcome),
            (None, None, Some(mut ids)) => {
                for (name, value) in [("kind", &kind), ("route", &route), ("from", &from), ("until", &until)]
                {
                    if let Some(value) = value {
                        return refuse(name, value, "jobs that are not named by `ids`");
                    }
                }
                if ids.len() > MAX_IDS {
                    let remedy = format!("name at most {MAX_IDS}, or select them by `state`");
                    return Err(Problem::parameter("ids", &ids.len().to_string(), remedy));
                }
                let mut seen = std::collections::HashSet::new();
                ids.retain(|id| seen.insert(id.clone()));
                Source::Ids(ids)
            }
            _ => {
                let remedy =
                    "name one of `state`, `outcome` and `ids`, so that nothing selects everything by mistake";
                return Err(Problem::parameter("filter", "", remedy));
            }
        };
        let at = |name: &str, text: Option<String>| text.map(|text| moment(name, &text)).transpose();
        let (from, until) = (at("from", from)?, at("until", until)?);
        if let (Some(begin), Some(end)) = (from, until)
            && end <= begin
        {
            return Err(Problem::parameter("until", "", "it is not later than `from`: exchange the two"));
        }
        Ok(Selection { source, kind, tenant: caller.tenant(tenant)?, route, from, until })
    }
}

/// A time in a body, UTC ms.
fn moment(name: &str, text: &str) -> Result<i64, Problem> {
    /// The last ms of the year 9999.
    const LATEST: i64 = 253_402_300_799_999;
    let ms = DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis());
    ms.filter(|ms| (0..=LATEST).contains(ms)).ok_or_else(|| {
        let remedy = "a time such as 2026-03-14T09:30:00Z is expected (RFC 3339, from 1970 to 9999)";
        Problem::parameter(name, text, remedy)
    })
}
