//! `GET /v1/objectives`: how much of each route's budget of errors is left.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use futures::future;
use serde::Serialize;
use upshot_ledger::objective::{self, Moved, PERIOD_MS, Standing, Window};
use upshot_queue::{Client, Error};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    moment::Moment,
    problem::{Details, Problem},
    state::Shared,
};

/// How the routes with an objective stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct Objectives {
    /// The beginning of the period for which a budget must last.
    from: Moment,
    /// Its end.
    to: Moment,
    /// By queue and route.
    objectives: Vec<ObjectiveBody>,
}

/// How a route stands beside its objective.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Objective)]
pub struct ObjectiveBody {
    /// The route.
    #[schema(example = "order.completed.v1:invoice.issue")]
    route: String,
    /// Its queue.
    #[schema(example = "invoices")]
    queue: String,
    /// The share of its outcomes that should be achieved in time.
    #[schema(example = 0.999)]
    objective: f64,
    /// Outcomes of the period that were achieved in time. Each outcome counts once: with its first
    /// verdict, or when it becomes overdue. Cancelled and waived ones do not count.
    in_time: u64,
    /// Those that became overdue, or were achieved late, in part or not at all.
    not_in_time: u64,
    /// The share of the period's budget that is left; below 0 where more is used up than was allowed.
    #[schema(example = 0.4)]
    budget_left: f64,
    /// How fast it is used up: over 1 hour, 6 hours and 3 days.
    burn: Vec<Burn>,
    /// `fast` (within hours), `slow` (before the period ends) or `calm`.
    #[schema(example = "calm", pattern = "^(calm|slow|fast)$")]
    pace: &'static str,
}

/// How fast a budget is used up over a time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Burn {
    /// The time up to now.
    #[schema(example = "1h", pattern = "^(1h|6h|3d)$")]
    over: &'static str,
    /// Outcomes that were counted.
    outcomes: u64,
    /// Those of them that were not in time.
    not_in_time: u64,
    /// Their share, as a multiple of the share that is allowed: at 1 the budget lasts exactly for the
    /// period. Null without an outcome.
    #[schema(required, example = 3.5)]
    rate: Option<f64>,
}

/// Shows how much of each route's budget of errors is left, and how fast it is used up.
///
/// The objective of a route is in the settings. A budget is for 30 days. The pace is `fast` where the
/// burn is at least 14.4 over 1 hour and 5 minutes, or 6 over 6 hours and 30 minutes, and `slow` where
/// it is at least 1 over 3 days and 6 hours; in each case with 5 outcomes or more that were not in
/// time. The cost does not depend on the number of outcomes.
#[utoipa::path(
    get,
    path = "/v1/objectives",
    operation_id = "list_objectives",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("all-tenants"))),
    tag = "outcomes",
    responses(
        (status = 200, description = "The objectives", body = Objectives),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn objectives(State(state): State<Shared>, caller: Caller) -> Result<Json<Objectives>, Problem> {
    let now = state.now().await?;
    let queues = state.queues_of(&caller);
    let has_one = |queue: &Client| {
        state.intake.all_routes().any(|route| route.objective.is_some() && route.queue == *queue.name())
    };
    let queues: Vec<&Client> = queues.into_iter().filter(|queue| has_one(queue)).collect();
    let read = || future::try_join_all(queues.iter().map(|queue| read(queue, now)));
    let found = state.read(read).await?;
    let mut objectives = Vec::new();
    for (queue, (numbers, moved)) in queues.iter().zip(&found) {
        let routes = state.intake.all_routes().filter(|route| route.queue == *queue.name());
        for (route, objective) in routes.filter_map(|route| Some((route, route.objective?))) {
            let standing = moved.standing(numbers.get(&route.name).copied(), objective);
            objectives.push(ObjectiveBody::new(&route.name, queue.name().as_str(), &standing));
        }
    }
    objectives.sort_by(|a, b| (&a.queue, &a.route).cmp(&(&b.queue, &b.route)));
    Ok(Json(Objectives { from: Moment(now - PERIOD_MS), to: Moment(now), objectives }))
}

/// The numbers of a queue's routes, and what moved on them.
async fn read(queue: &Client, now: i64) -> Result<(BTreeMap<String, u32>, Moved), Error> {
    let (names, moved) = future::try_join(queue.routes(), objective::read(queue, now)).await?;
    Ok((names.into_iter().map(|(number, name)| (name, number)).collect(), moved))
}

impl ObjectiveBody {
    fn new(route: &str, queue: &str, standing: &Standing) -> Self {
        let burn = |window: Window| {
            let tally = standing.tally(window);
            Burn {
                over: window.as_str(),
                outcomes: tally.total(),
                not_in_time: tally.not_in_time,
                rate: standing.burn(window),
            }
        };
        Self {
            route: route.to_owned(),
            queue: queue.to_owned(),
            objective: standing.objective.share(),
            in_time: standing.period.in_time,
            not_in_time: standing.period.not_in_time,
            budget_left: standing.budget_left(),
            burn: Window::SHOWN.map(burn).into(),
            pace: standing.pace().as_str(),
        }
    }
}
