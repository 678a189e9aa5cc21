//! `GET /v1/overview`: of each route, how the infrastructure and the outcomes stand, and where they
//! disagree.

use std::collections::{BTreeMap, HashMap};

use axum::{Json, extract::State};
use futures::future;
use serde::Serialize;
use upshot_ledger::{
    overview::{self, Infrastructure, Standing},
    summary::Figures,
};
use upshot_queue::{Account, Client, Counts, Error, Filter, NO_ROUTE};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    moment::Moment,
    problem::{Details, Problem},
    state::{Shared, State as ApiState},
    view::{FiguresBody, RabbitmqBody},
};

/// The time over which recent figures are counted, ms.
const HOUR_MS: i64 = 3_600_000;

/// How everything stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Overview {
    /// By queue and name.
    routes: Vec<RouteOverview>,
    /// What waits in RabbitMQ, a few seconds old; null while RabbitMQ does not answer.
    #[schema(required)]
    rabbitmq: Option<RabbitmqBody>,
}

/// How a route stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteOverview {
    /// The route.
    #[schema(example = "order.completed.v1:invoice.issue")]
    route: String,
    /// Its queue.
    #[schema(example = "invoices")]
    queue: String,
    /// The kind of work; null for a route that is not in the settings.
    #[schema(required, example = "invoice.issue")]
    kind: Option<String>,
    /// What the infrastructure says.
    infrastructure: InfrastructureBody,
    /// What the outcomes say.
    outcomes: StandingBody,
    /// Where the two disagree; empty where they do not.
    flags: Vec<FlagBody>,
}

/// What the infrastructure says about the queue of a route.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Infrastructure)]
pub struct InfrastructureBody {
    /// Whether nothing is wrong: nothing is paused, no ready job waits for more than a minute, and
    /// bridges have acknowledged every event.
    is_calm: bool,
    /// Whether the queue, or the kind of the route, is paused.
    is_paused: bool,
    /// Jobs of the queue that wait for a worker.
    ready: u64,
    /// Jobs of the queue that wait for a time.
    scheduled: u64,
    /// Jobs of the queue that run.
    running: u64,
    /// Jobs of the queue that wait for something else.
    parked: u64,
    /// Dead jobs of the queue.
    dead: u64,
    /// Since when the next ready job waits.
    #[schema(required)]
    next_ready_since: Option<Moment>,
    /// Events that wait in RabbitMQ for a bridge, of all routes; null while RabbitMQ does not answer.
    #[schema(required)]
    unread_events: Option<u32>,
    /// Bridges that read them.
    #[schema(required)]
    bridges: Option<u32>,
}

/// What the outcomes of a route say.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Standing)]
pub struct StandingBody {
    /// Without a verdict, and in time.
    open: u64,
    /// Those of them that will probably be late.
    at_risk: u64,
    /// Whether there may be more at risk than were looked at.
    at_risk_cut: bool,
    /// Without a verdict, and late.
    overdue: u64,
    /// When the oldest of these was due.
    #[schema(required)]
    oldest_due: Option<Moment>,
    /// Retried after a verdict, and not decided again.
    reopened: u64,
    /// The figures of the last hour.
    last_hour: FiguresBody,
}

/// Where infrastructure and outcomes disagree.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Flag)]
pub struct FlagBody {
    /// `calm_but_overdue`, `calm_but_missed`, `calm_but_at_risk` or `troubled_but_in_time`.
    #[schema(example = "calm_but_overdue")]
    flag: &'static str,
    /// For people.
    #[schema(
        example = "the queue is calm (0 ready, 3 running) and no event waits in RabbitMQ, yet 37 outcomes are overdue, the oldest by 2 h"
    )]
    words: String,
}

/// Shows how each route stands, and where infrastructure and outcomes disagree.
///
/// A calm queue does not mean that the outcomes are right, and a busy one not that they are late. The
/// cost does not depend on the number of jobs or outcomes.
#[utoipa::path(
    get,
    path = "/v1/overview",
    operation_id = "show_overview",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("all-tenants"))),
    tag = "outcomes",
    responses(
        (status = 200, description = "The overview", body = Overview),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn overview(State(state): State<Shared>, caller: Caller) -> Result<Json<Overview>, Problem> {
    Ok(Json(Overview::of(&state, &state.queues_of(&caller)).await?))
}

impl Overview {
    /// That of all queues.
    ///
    /// # Errors
    /// A 503 when Redis does not answer.
    pub async fn of_all(state: &ApiState) -> Result<Self, Problem> {
        Self::of(state, &state.lists.values().collect::<Vec<_>>()).await
    }

    async fn of(state: &ApiState, queues: &[&Client]) -> Result<Self, Problem> {
        let now = state.now().await?;
        let read = || future::try_join_all(queues.iter().map(|queue| of_queue(state, queue, now)));
        let routes = state.read(read).await?.into_iter().flatten().collect();
        let rabbitmq = state.depths.borrow().map(RabbitmqBody::from);
        Ok(Self { routes, rabbitmq })
    }

    /// The part that a caller of some queues sees.
    pub fn seen_by(&self, caller: &Caller) -> Self {
        let sees = |route: &&RouteOverview| route.queue.parse().is_ok_and(|queue| caller.has_queue(&queue));
        Self { routes: self.routes.iter().filter(sees).cloned().collect(), rabbitmq: self.rabbitmq.clone() }
    }
}

async fn of_queue(state: &ApiState, queue: &Client, now: i64) -> Result<Vec<RouteOverview>, Error> {
    let ready = Filter { state: Some(upshot_queue::State::Ready), ..Filter::default() };
    let figures = future::try_join4(
        queue.counts(),
        queue.paused_kinds(),
        queue.list(&ready, None, 1),
        state.run_times.count_at_risk(queue, now),
    );
    let books = future::try_join3(queue.routes(), queue.books(), queue.books_at(now - HOUR_MS));
    let ((counts, paused_kinds, ready, (at_risk, whole)), (names, books, before)) =
        future::try_join(figures, books).await?;
    let moved = books.since(&before.books);
    let numbers: Vec<u32> = names.keys().copied().filter(|number| *number != NO_ROUTE).collect();
    let oldest = queue.oldest_outcomes(&numbers, Account::Overdue).await?;
    let oldest: HashMap<u32, i64> =
        numbers.into_iter().zip(oldest).filter_map(|(number, due)| Some((number, due?))).collect();
    let numbers: BTreeMap<&str, u32> = names.iter().map(|(number, name)| (name.as_str(), *number)).collect();
    // Routes of the settings are shown before their first event, others while the books know them.
    let configured = state.intake.all_routes().filter(|route| route.queue == *queue.name());
    let kinds: BTreeMap<&str, &str> =
        configured.map(|route| (route.name.as_str(), route.job.as_str())).collect();
    let known = names.iter().filter(|(number, _)| **number != NO_ROUTE).map(|(_, name)| name.as_str());
    let routes: std::collections::BTreeSet<&str> = kinds.keys().copied().chain(known).collect();
    let next_ready_since = ready.jobs.first().map(|job| job.since);
    let route = |name: &&str| {
        let kind = kinds.get(name).copied();
        let is_paused =
            counts.paused || kind.is_some_and(|kind| paused_kinds.iter().any(|each| each == kind));
        let infrastructure = infrastructure(state, &counts, is_paused, next_ready_since);
        let number = numbers.get(name).copied().unwrap_or(NO_ROUTE);
        let hour = if number == NO_ROUTE { Figures::default() } else { Figures::of(number, &moved, &books) };
        let standing = Standing {
            open: hour.open,
            at_risk: at_risk.get(&number).copied().unwrap_or(0),
            overdue: hour.overdue,
            oldest_due: oldest.get(&number).copied(),
            missed: hour.missed,
        };
        let flags = overview::flags(&infrastructure, &standing, now);
        RouteOverview {
            route: (*name).to_owned(),
            queue: queue.name().to_string(),
            kind: kind.map(str::to_owned),
            outcomes: StandingBody {
                open: standing.open,
                at_risk: standing.at_risk,
                at_risk_cut: !whole,
                overdue: standing.overdue,
                oldest_due: standing.oldest_due.map(Moment),
                reopened: hour.reopened,
                last_hour: FiguresBody::whole(&hour),
            },
            infrastructure: InfrastructureBody::new(&infrastructure, &counts, now),
            flags: flags
                .into_iter()
                .map(|flag| FlagBody { flag: flag.sort.as_str(), words: flag.words })
                .collect(),
        }
    };
    Ok(routes.iter().map(route).collect())
}

fn infrastructure(
    state: &ApiState,
    counts: &Counts,
    is_paused: bool,
    next_ready_since: Option<i64>,
) -> Infrastructure {
    let depths = *state.depths.borrow();
    Infrastructure {
        is_paused,
        ready: counts.of(upshot_queue::State::Ready),
        scheduled: counts.of(upshot_queue::State::Scheduled),
        running: counts.of(upshot_queue::State::Running),
        parked: counts.of(upshot_queue::State::Parked),
        next_ready_since,
        backlog: depths.map(|depths| depths.intake.messages),
        bridges: depths.map(|depths| depths.intake.consumers),
    }
}

impl InfrastructureBody {
    fn new(of: &Infrastructure, counts: &Counts, now: i64) -> Self {
        Self {
            is_calm: of.trouble(now).is_none(),
            is_paused: of.is_paused,
            ready: of.ready,
            scheduled: of.scheduled,
            running: of.running,
            parked: of.parked,
            dead: counts.of(upshot_queue::State::Dead),
            next_ready_since: of.next_ready_since.map(Moment),
            unread_events: of.backlog,
            bridges: of.bridges,
        }
    }
}
