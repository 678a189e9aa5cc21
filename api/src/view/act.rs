//! The view of an act of the audit log.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use serde_json::Value;
use upshot_access::{
    Identity, Right,
    acts::{Act, Ended, Origin, Suppressed},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{access::RightName, words::words};
use crate::{moment::Moment, shown::Shown};

/// The schema of a result, from the type that knows the results.
#[derive(Debug)]
pub enum ActResult {}

impl PartialSchema for ActResult {
    fn schema() -> RefOr<Schema> {
        let what = "How an act ended. `unknown`: nothing is known of its end, because the process ended or Redis \
                    took no result. `suppressed`: refusals that are only counted.";
        words(what, Ended::ALL.map(Ended::as_str))
    }
}

impl ToSchema for ActResult {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ActResult")
    }
}

/// The principal of an act.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ActPrincipal)]
pub struct PrincipalBody {
    /// What it is: `local` (the API asks for no authentication), `token`, `person`, `link` or
    /// `first_administrator`.
    #[schema(example = "token")]
    kind: &'static str,
    /// The id of the token or the link, or the subject of the person at the issuer; null for the
    /// others.
    #[schema(required, example = "0f3a5b7c9d1e")]
    id: Option<String>,
    /// Its name, for people.
    #[schema(example = "token shop (0f3a5b7c9d1e)")]
    name: String,
}

impl From<&Identity> for PrincipalBody {
    fn from(identity: &Identity) -> Self {
        let (kind, id) = match identity {
            Identity::Local => ("local", None),
            Identity::Token { id, .. } => ("token", Some(id)),
            Identity::Person { subject, .. } => ("person", Some(subject)),
            Identity::Link { id } => ("link", Some(id)),
            Identity::FirstAdministrator => ("first_administrator", None),
        };
        Self { kind, id: id.cloned(), name: identity.to_string() }
    }
}

/// Refusals of about a minute that have no entries of their own.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SuppressedRefusals)]
pub struct SuppressedBody {
    /// How many.
    refusals: u64,
    /// Of these, by address; ten addresses at most.
    addresses: BTreeMap<String, u64>,
}

/// An act of a principal.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Act)]
pub struct ActBody {
    /// What identifies the act.
    #[schema(example = "1773480413589-0")]
    id: String,
    /// When it began.
    at: Moment,
    /// When it ended; null while that is not known.
    #[schema(required)]
    ended_at: Option<Moment>,
    /// How it ended.
    #[schema(value_type = ActResult)]
    result: Ended,
    /// The principal; null where nothing identified it.
    #[schema(required)]
    principal: Option<PrincipalBody>,
    /// The address of the client, or of the proxy before the API; null where it is not known.
    #[schema(required, example = "192.0.2.7")]
    address: Option<String>,
    /// What the header `x-forwarded-for` said, which any client can write; null without one.
    #[schema(required)]
    forwarded_for: Option<String>,
    /// The client's name for itself, which any client can write; null without one.
    #[schema(required, example = "upshot/0.1.0")]
    agent: Option<String>,
    /// The right that the operation needs; null if it needs none.
    #[schema(required, value_type = Option<RightName>)]
    right: Option<Right>,
    /// The operation, by its id in this document; null for counts.
    #[schema(required, example = "retry_job")]
    operation: Option<String>,
    /// What it was about, such as `id` (of a job), `queue`, `subject`, `tenant`, `token`.
    target: BTreeMap<String, String>,
    /// The parameters of the request.
    parameters: BTreeMap<String, String>,
    /// What the body asked for, without secrets, arguments and payloads; null for nothing.
    #[schema(required)]
    asked: Option<Value>,
    /// The reason that the principal gave; null without one.
    #[schema(required)]
    reason: Option<String>,
    /// The id of the request, as in its answer and in the log; null for counts.
    #[schema(required)]
    request_id: Option<String>,
    /// The HTTP status of the answer; null while there is none.
    #[schema(required, example = 202)]
    status: Option<u16>,
    /// The code of the problem, if the answer is one.
    #[schema(required)]
    problem: Option<String>,
    /// What was there before, as far as the operation knows.
    #[schema(required)]
    before: Option<Value>,
    /// What is there after it, as far as the operation knows.
    #[schema(required)]
    after: Option<Value>,
    /// Of `suppressed`: how many refusals.
    #[schema(required)]
    suppressed: Option<SuppressedBody>,
    /// What was cut, because an entry has a largest size.
    truncated: Vec<String>,
}

impl ActBody {
    /// The view of an act. Mail addresses are hidden, except for those of the principal: the log says
    /// who acts.
    pub fn new(act: Act, shown: &Shown) -> Self {
        let Origin { address, forwarded_for, agent } = act.origin;
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            id: act.id,
            at: Moment(act.at),
            ended_at: act.ended_at.map(Moment),
            result: act.result,
            principal: act.principal.as_ref().map(PrincipalBody::from),
            address,
            forwarded_for,
            agent,
            right: act.right,
            operation: some(act.operation),
            target: shown.facts(&act.target),
            parameters: shown.facts(&act.parameters),
            asked: act.asked.as_ref().map(|asked| shown.value(asked)),
            reason: shown.optional(act.reason.as_ref()),
            request_id: some(act.request_id),
            status: act.status,
            problem: act.problem,
            before: act.before.as_ref().map(|before| shown.value(before)),
            after: act.after.as_ref().map(|after| shown.value(after)),
            suppressed: act
                .suppressed
                .map(|Suppressed { refusals, addresses }| SuppressedBody { refusals, addresses }),
            truncated: act.truncated,
        }
    }
}
