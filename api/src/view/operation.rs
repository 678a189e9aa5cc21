//! The views of operations on many jobs.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;
use serde_json::{Map, Value, json};
use upshot_access::Right;
use upshot_queue::{
    Operation, Phase, Plan, QueueName, Refusal,
    operation::{Act, Source, Tally, When},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{access::RightName, words::words};
use crate::{access::Caller, links::Links, moment::Moment, operations::right_of, shown::Shown};

/// Tenants, causes and reasons that an answer has: the busiest.
const ROWS: usize = 100;

/// The schema of an operation's state, from the type that knows the states.
#[derive(Debug)]
pub enum OperationState {}

impl PartialSchema for OperationState {
    fn schema() -> RefOr<Schema> {
        words(
            "The state of an operation: it counts jobs, waits for its start, changes jobs, is held, or is over.",
            Phase::ALL.map(Phase::as_str),
        )
    }
}

impl ToSchema for OperationState {}

/// An act on many jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationBody {
    /// Its id.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    id: String,
    /// The queue of the jobs.
    #[schema(example = "invoices")]
    queue: String,
    /// Its state.
    #[schema(value_type = OperationState)]
    state: &'static str,
    /// Since when it is in its state.
    since: Moment,
    /// What it does to each job. Null where another version of Upshot wrote the operation.
    #[schema(required, example = "retry")]
    act: Option<&'static str>,
    /// More about the act: `delay`, `at` or `priority`.
    #[schema(value_type = BTreeMap<String, String>)]
    details: BTreeMap<&'static str, String>,
    /// Which jobs, as the filter was given.
    #[schema(value_type = Object)]
    filter: Value,
    /// Why.
    #[schema(required)]
    reason: Option<String>,
    /// Who created it.
    by: String,
    /// The time between two jobs, in ms.
    pace_ms: u64,
    /// How many jobs must fail of one cause until it stops itself; 0 for never.
    same_cause: u32,
    /// The right that starts and steers it. Null where another version of Upshot wrote the operation.
    #[schema(required, value_type = Option<RightName>)]
    right: Option<Right>,
    /// When it was created. Jobs that came into their state later are left alone.
    created_at: Moment,
    /// When it first changed jobs; null if it never did.
    #[schema(required)]
    started_at: Option<Moment>,
    /// When it ended; null while it has not.
    #[schema(required)]
    ended_at: Option<Moment>,
    /// What the dry run counted, so far; null without one.
    #[schema(required)]
    counted: Option<CountedBody>,
    /// Entries that the present walk met, of jobs that are not selected too; null for a principal of
    /// some tenants, because jobs of others are among them.
    #[schema(required)]
    examined: Option<u64>,
    /// Jobs that it changed.
    changed: u64,
    /// Jobs that it could not change.
    refused: u64,
    /// Counted jobs that it has neither changed nor refused, at most: some may have left the selection.
    /// Null without a count.
    #[schema(required)]
    left: Option<u64>,
    /// Counted jobs that had left the selection when it came to them; null until it is done, and
    /// without a count.
    #[schema(required)]
    gone: Option<u64>,
    /// Jobs that it changes or refuses a second, since its start; null before it.
    #[schema(required)]
    rate: Option<f64>,
    /// Of the jobs that it set going: how many have failed again.
    failed_again: u64,
    /// The cause by which its stop rule stopped it last, and how many jobs failed of it again.
    #[schema(required)]
    stopped_by: Option<StoppedBy>,
    /// Why it failed.
    #[schema(required)]
    why: Option<String>,
    /// Who did what to it, oldest first; the newest 64.
    deeds: Vec<DeedBody>,
    /// Related addresses.
    links: OperationLinks,
}

/// What a dry run counted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationCount)]
pub struct CountedBody {
    /// Jobs that it would change.
    jobs: u64,
    /// The same by tenant, the busiest 100.
    tenants: Vec<TenantJobs>,
    /// Jobs of further tenants.
    other_tenants: u64,
    /// The same by the cause of the last death, the busiest 100.
    causes: Vec<CauseJobs>,
    /// Jobs of further causes, and of none.
    other_causes: u64,
    /// Jobs that it would refuse.
    refused: u64,
    /// The same by reason: a state, `newer`, `replaced`, `unexpected` or `unknown`.
    #[schema(example = json!({"ready": 2}))]
    reasons: BTreeMap<String, u64>,
}

/// The jobs of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantJobs {
    /// The tenant; null for jobs without one.
    #[schema(required, example = "acme")]
    tenant: Option<String>,
    /// How many.
    jobs: u64,
}

/// The jobs that died of one cause.
#[derive(Debug, Serialize, ToSchema)]
pub struct CauseJobs {
    /// The name of the group.
    #[schema(example = "5f1d7a84db00d2fc")]
    group: String,
    /// The class of the failure.
    #[schema(example = "transient")]
    class: String,
    /// The kind of the jobs.
    #[schema(example = "invoice.issue")]
    kind: String,
    /// The message that they share.
    message: String,
    /// How many.
    jobs: u64,
}

/// The cause by which an operation stopped itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoppedBy {
    /// The name of the group.
    #[schema(example = "5f1d7a84db00d2fc")]
    group: String,
    /// Jobs that failed of it again.
    jobs: u64,
}

/// What somebody did to an operation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationDeed)]
pub struct DeedBody {
    /// When.
    at: Moment,
    /// What: created, started, paused, resumed or aborted.
    did: String,
    /// Who.
    by: String,
}

/// The addresses of an operation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationLinks {
    /// The operation.
    #[serde(rename = "self")]
    own: String,
    /// The jobs that it did not change.
    refusals: String,
}

/// A job that an operation did not change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refusal)]
pub struct RefusalBody {
    /// The job.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    job: String,
    /// Why: the state that it was in, `newer` where it came into its state after the operation was
    /// created, `replaced` where another job took its place, `unexpected` where no outcome was
    /// expected, or `unknown`.
    #[schema(example = "ready")]
    reason: String,
    /// The job's address.
    link: String,
}

impl RefusalBody {
    /// The body of a refusal.
    pub fn new(refusal: Refusal, links: &Links) -> Self {
        Self { link: links.job(&refusal.id), job: refusal.id.to_string(), reason: refusal.reason }
    }
}

impl OperationBody {
    /// The body of an operation of a queue.
    pub fn new(
        queue: &QueueName,
        operation: &Operation,
        caller: &Caller,
        links: &Links,
        shown: &Shown,
    ) -> Self {
        let plan = operation.plan.as_ref();
        let settled = operation.changed + operation.refused;
        let would = operation.tally.as_ref().map(|tally| tally.would + tally.refusals());
        let rest = would.map(|would| would.saturating_sub(settled));
        let is_done = operation.phase == Phase::Done;
        let stopped_by = operation.stopped_by.as_ref().map(|group| StoppedBy {
            jobs: operation.again_by_cause.get(group).copied().unwrap_or_default(),
            group: group.clone(),
        });
        Self {
            id: operation.id.to_string(),
            queue: queue.to_string(),
            state: operation.phase.as_str(),
            since: Moment(operation.since),
            act: plan.map(|plan| plan.act.as_str()),
            details: plan.map(|plan| details(plan.act)).unwrap_or_default(),
            filter: plan.map(filter).unwrap_or_default(),
            reason: plan.and_then(|plan| plan.reason.as_ref()).map(|reason| shown.text(reason)),
            by: plan.map(|plan| plan.by.clone()).unwrap_or_default(),
            pace_ms: plan.map_or(0, |plan| plan.pace),
            same_cause: plan.map_or(0, |plan| plan.same_cause),
            right: plan.map(|plan| right_of(plan.act)),
            created_at: Moment(operation.created),
            started_at: operation.started.map(Moment),
            ended_at: operation.ended.map(Moment),
            counted: operation.tally.as_ref().map(|tally| CountedBody::new(tally, shown)),
            examined: caller.sees_everything().then_some(operation.examined),
            changed: operation.changed,
            refused: operation.refused,
            left: if is_done { would.map(|_| 0) } else { rest },
            gone: rest.filter(|_| is_done),
            rate: rate(operation, settled),
            failed_again: operation.again,
            stopped_by,
            why: operation.why.clone(),
            deeds: operation
                .deeds
                .iter()
                .map(|deed| DeedBody { at: Moment(deed.at), did: deed.did.clone(), by: deed.by.clone() })
                .collect(),
            links: OperationLinks {
                own: links.operation(&operation.id),
                refusals: links.refusals(&operation.id),
            },
        }
    }
}

impl CountedBody {
    fn new(tally: &Tally, shown: &Shown) -> Self {
        let mut tenants: Vec<TenantJobs> = tally
            .tenants
            .iter()
            .map(|(tenant, jobs)| TenantJobs {
                tenant: Some(tenant.clone()).filter(|tenant| !tenant.is_empty()),
                jobs: *jobs,
            })
            .collect();
        tenants.sort_by_key(|row| Reverse(row.jobs));
        let further: u64 = tenants.iter().skip(ROWS).map(|row| row.jobs).sum();
        tenants.truncate(ROWS);
        let mut causes: Vec<CauseJobs> = tally
            .causes
            .iter()
            .map(|(group, cause)| CauseJobs {
                group: group.clone(),
                class: cause.class.clone(),
                kind: cause.kind.clone(),
                message: shown.text(&cause.message),
                jobs: cause.jobs,
            })
            .collect();
        causes.sort_by_key(|row| Reverse(row.jobs));
        let beyond: u64 = causes.iter().skip(ROWS).map(|row| row.jobs).sum();
        causes.truncate(ROWS);
        Self {
            jobs: tally.would,
            tenants,
            other_tenants: tally.other_tenants + further,
            causes,
            other_causes: tally.other_causes + beyond,
            refused: tally.refusals(),
            reasons: tally.refused.clone(),
        }
    }
}

fn details(act: Act) -> BTreeMap<&'static str, String> {
    let detail = match act {
        Act::Reschedule { to: When::After(ms) } => {
            ("delay", humantime::format_duration(std::time::Duration::from_millis(ms)).to_string())
        }
        Act::Reschedule { to: When::At(at) } => ("at", text(at)),
        Act::Prioritise { priority } => ("priority", priority.to_string()),
        Act::Retry | Act::Cancel | Act::Purge | Act::Unpark | Act::Waive => return BTreeMap::new(),
    };
    BTreeMap::from([detail])
}

/// The filter as a request writes it; of named jobs their number instead of the ids.
fn filter(plan: &Plan) -> Value {
    let selection = &plan.selection;
    let mut filter = Map::new();
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            filter.insert(name.to_owned(), value);
        }
    };
    match &selection.source {
        Source::State { state, group, condition } => {
            add("state", json!(state.as_str()));
            add("group", json!(group));
            add("condition", json!(condition));
        }
        Source::Outcome(account) => add("outcome", json!(account.as_str())),
        Source::Ids(ids) => add("ids", json!(ids.len())),
    }
    add("kind", json!(selection.kind));
    add("tenant", json!(selection.tenant));
    add("route", json!(selection.route));
    add("from", json!(selection.from.map(text)));
    add("until", json!(selection.until.map(text)));
    Value::Object(filter)
}

fn text(ms: i64) -> String {
    serde_json::to_value(Moment(ms)).ok().and_then(|text| Some(text.as_str()?.to_owned())).unwrap_or_default()
}

fn rate(operation: &Operation, settled: u64) -> Option<f64> {
    let end = match operation.phase {
        Phase::Running => return running_rate(operation, settled),
        _ => operation.ended.unwrap_or(operation.since),
    };
    per_second(settled, end - operation.started?)
}

/// The clocks of this machine and of Redis may differ by a little.
fn running_rate(operation: &Operation, settled: u64) -> Option<f64> {
    per_second(settled, chrono::Utc::now().timestamp_millis() - operation.started?)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(jobs: u64, ms: i64) -> Option<f64> {
    (ms > 0).then(|| (jobs as f64 * 10_000.0 / ms as f64).round() / 10.0)
}
