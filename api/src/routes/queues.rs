//! `GET /v1/queues`: shows how many jobs are in each state, and what delays them.

use axum::{Json, extract::State};
use futures::future;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    problem::{Details, Problem},
    state::Shared,
    view::{QueueBody, RabbitmqBody},
};

/// All queues.
#[derive(Debug, Serialize, ToSchema)]
pub struct Queues {
    /// By name.
    queues: Vec<QueueBody>,
    /// What waits in RabbitMQ, a few seconds old; null while RabbitMQ does not answer.
    #[schema(required)]
    rabbitmq: Option<RabbitmqBody>,
}

/// Shows all queues.
///
/// The cost does not depend on the number of jobs.
#[utoipa::path(
    get,
    path = "/v1/queues",
    operation_id = "list_queues",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("all-tenants"))),
    tag = "queues",
    responses(
        (status = 200, description = "The queues", body = Queues),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn queues(State(state): State<Shared>, caller: Caller) -> Result<Json<Queues>, Problem> {
    let queues = state.queues_of(&caller);
    let read = |queue| QueueBody::read(queue, &state.intake, &state.shown);
    let queues = state.read(|| future::try_join_all(queues.iter().copied().map(read))).await?;
    let rabbitmq = state.depths.borrow().map(RabbitmqBody::from);
    Ok(Json(Queues { queues, rabbitmq }))
}
