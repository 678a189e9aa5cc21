//! `POST /v1/tickets`: a credential for one address.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use upshot_access::once::Kind;
use utoipa::ToSchema;

use crate::{
    access::{
        Caller,
        ticket::{SECONDS, Ticket},
    },
    body::Body,
    problem::{Details, Problem},
    state::Shared,
};

/// Bytes of a path at most.
const LONGEST: usize = 2_048;

/// The address that a ticket is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeTicket {
    /// Its path, without the parameters.
    #[schema(example = "/v1/jobs/mrtu2hq6wcbcvkoxmzkhxbs7da/progress")]
    path: String,
}

/// A ticket.
#[derive(Serialize, ToSchema)]
pub struct MadeTicket {
    /// The value of the parameter `ticket`.
    ticket: String,
    /// How long it is taken, in seconds.
    #[schema(example = 30)]
    expires_in: u64,
}

/// Makes a ticket for one address.
///
/// An `EventSource` of another origin can send neither a header nor a cookie. It adds
/// `?ticket=…` to the address. A ticket counts once, and stands for the principal that made it.
#[utoipa::path(
    post,
    path = "/v1/tickets",
    operation_id = "create_ticket",
    extensions(("x-right" = json!("any"))),
    tag = "access",
    request_body(content = MakeTicket, description = "The address"),
    responses(
        (status = 201, description = "The ticket", body = MadeTicket),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn make(
    State(state): State<Shared>,
    caller: Caller,
    Body(MakeTicket { path }): Body<MakeTicket>,
) -> Result<(StatusCode, Json<MadeTicket>), Problem> {
    if !path.starts_with('/') || path.len() > LONGEST || path.contains(['?', '#']) {
        let remedy =
            "use the path of an address of this API, such as /v1/jobs/…/progress, without parameters";
        return Err(Problem::parameter("path", &path, remedy));
    }
    let ticket = match caller.proof() {
        Some(proof) => {
            let ticket = Ticket { path, proof: proof.clone() };
            state.access(state.people.once.put(Kind::Ticket, &ticket, SECONDS * 1_000)).await?
        }
        // Without authentication no address needs one, and a client need not know.
        None => upshot_access::Secret::new(),
    };
    let ticket = ticket.expose().to_owned();
    Ok((StatusCode::CREATED, Json(MadeTicket { ticket, expires_in: SECONDS })))
}
