//! Every answer that is not a success: problem details after RFC 9457.
//!
//! `type` is `/problems/<code>`: a reference with a full path, as RFC 9457, section 3.1.1, advises
//! for relative ones. It leads to the page about the problem, and is the same text in every
//! installation. Programs compare `code`. The codes are the variants of [`Code`].

mod code;
pub mod page;

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Response as HttpResponse, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use upshot_access::{self as access, Right};
use upshot_ledger::quarantine;
use upshot_queue::{JobId, QueueName};
use upshot_runtime::amqp::PublishError;
use upshot_shared::{Reason, Rejection};
use utoipa::ToSchema;

use crate::view::StepBody;

pub use code::{Code, ProblemCode};

/// The content type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The prefix of a problem's type.
const TYPE: &str = "/problems/";
/// How long a client should wait when a service is away, in seconds.
const RETRY_AFTER: u64 = 2;

/// An answer that is not a success. Boxed, because it travels as an error.
#[derive(Clone, Debug)]
pub struct Problem(Box<Details>);

/// Problem details after RFC 9457. Fields that do not apply are left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// The page about it, with cause and remedy: `/problems/<code>` of the API.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid-event")]
    kind: String,
    /// What went wrong, for programs. It is stable.
    #[schema(value_type = ProblemCode)]
    code: &'static str,
    /// The same for people.
    #[schema(example = "The event cannot be accepted")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// The value that is wrong and the remedy, for people.
    detail: String,
    /// The request's id, as in the header `x-request-id` and in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Of a rejected event, or of arguments: the reason code that a quarantined message carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "contract_violation")]
    reason: Option<Reason>,
    /// Of a rejected event, or of arguments: a JSON pointer to what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/data/lines/0/quantity")]
    place: Option<String>,
    /// The parameter that cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Of a configuration: the version that was expected, and the one that is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_version: Option<u64>,
    /// What the service waits for, with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<BTreeMap<String, String>>,
    /// The right that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "retry")]
    right: Option<Right>,
    /// When to try again, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// The completed steps that would run again: what they did stays done.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepBody>>,
}

impl Problem {
    /// A problem; `detail` names the thing, its value and the remedy.
    pub fn new(code: Code, detail: impl Display) -> Self {
        let (name, status, title) = code.parts();
        Self(Box::new(Details {
            kind: format!("{TYPE}{name}"),
            code: name,
            title,
            status: status.as_u16(),
            detail: detail.to_string(),
            request_id: None,
            reason: None,
            place: None,
            parameter: None,
            value: None,
            expected_version: None,
            stored_version: None,
            missing: None,
            retry_after: None,
            right: None,
            steps: None,
        }))
    }

    /// Whether this is the given problem.
    pub fn is(&self, code: Code) -> bool {
        self.0.code == code.as_str()
    }

    /// The code, as it is written.
    pub fn code(&self) -> &str {
        self.0.kind.strip_prefix(TYPE).unwrap_or(&self.0.kind)
    }

    /// A parameter that cannot be used.
    pub fn parameter(name: &str, value: &str, remedy: impl Display) -> Self {
        let shown: String = value.chars().take(100).collect();
        let mut problem = Self::new(Code::InvalidParameter, format!("`{name}` is `{shown}`: {remedy}"));
        problem.0.parameter = Some(name.to_owned());
        problem.0.value = Some(shown);
        problem
    }

    /// A change of a configuration that was made from another version than the stored one.
    pub fn version(queue: &QueueName, expected: u64, stored: u64) -> Self {
        Self::version_of(&format!("the configuration of queue {queue}"), expected, stored)
    }

    /// A change of something that was made from another version than the stored one.
    pub fn version_of(what: &str, expected: u64, stored: u64) -> Self {
        let detail = format!(
            "version {stored} is stored for {what}, and {expected} was expected: look at that version, and make \
             the change again"
        );
        let mut problem = Self::new(Code::VersionConflict, detail);
        problem.0.expected_version = Some(expected);
        problem.0.stored_version = Some(stored);
        problem
    }

    /// A right that the principal lacks.
    pub fn missing_right(right: Right, detail: impl Display) -> Self {
        let mut problem = Self::new(Code::MissingRight, detail);
        problem.0.right = Some(right);
        problem
    }

    /// Something that a client does too often.
    pub fn too_often(what: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        let mut problem =
            Self::new(Code::TooOften, format!("there were too many {what}: try again in {seconds} s"));
        // At most some minutes, and at least one second.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is small and positive"
        )]
        let seconds = seconds as u64;
        problem.0.retry_after = Some(seconds);
        problem
    }

    /// Arguments that violate the contract of their job's event type.
    pub fn arguments(id: &JobId, violation: Rejection) -> Self {
        let Rejection { reason, place, detail } = violation;
        let detail = format!("`{place}`: {detail}; mend it and retry again: job {id} stays as it was");
        let mut problem = Self::new(Code::InvalidArguments, detail);
        problem.0.reason = Some(reason);
        problem.0.place = Some(place);
        problem
    }

    /// Other arguments would repeat these steps of a job, and these effects, which may have happened.
    pub fn steps_completed(id: &JobId, steps: Vec<StepBody>, begun: &[&str]) -> Self {
        let completed = steps.iter().map(|step| format!("`{}`", step.name));
        let begun = begun.iter().map(|name| format!("`{name}` (begun, without a receipt)"));
        let names: Vec<String> = completed.chain(begun).collect();
        let detail = format!(
            "job {id} has completed {}: their results were made from its arguments, so with others they \
             run again, and what they did is done twice; `steps` says what that was. To agree, name \
             them in `repeat_steps`; the job stays as it was",
            names.join(", ")
        );
        let mut problem = Self::new(Code::StepsCompleted, detail);
        problem.0.steps = Some(steps);
        problem
    }

    /// The problem that the service waits for something.
    pub fn not_ready(missing: BTreeMap<String, String>) -> Self {
        let names: Vec<&str> = missing.keys().map(String::as_str).collect();
        let detail = format!("not there: {}; `missing` says why and what to do", names.join(", "));
        let mut problem = Self::new(Code::NotReady, detail);
        problem.0.missing = Some(missing);
        problem
    }

    /// A bug or damaged data; the log says more than the answer does.
    pub fn internal(why: impl Display) -> Self {
        tracing::error!(%why, "a request failed");
        Self::new(Code::Internal, "the log says what happened: look for the request id")
    }

    /// The problem that an answer without a body means, by its status.
    pub fn of_status(status: StatusCode, said: &str) -> Self {
        let known = match status {
            StatusCode::NOT_FOUND => Code::UnknownAddress,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Code::EventTooLarge,
            _ if status.is_server_error() => Code::Internal,
            _ => Code::BadRequest,
        };
        let said = if said.is_empty() {
            "see `/v1` for the addresses and `/openapi.json` for their use"
        } else {
            said
        };
        let mut problem = Self::new(known, said);
        problem.0.status = status.as_u16();
        problem
    }

    /// The status, the title and the detail, for a page.
    pub fn for_people(&self) -> (StatusCode, &str, &str) {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, self.0.title, &self.0.detail)
    }

    /// The answer, with the request's id where one is known.
    pub fn render(mut self, request_id: Option<&str>) -> Response {
        self.0.request_id = request_id.map(str::to_owned);
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Strings and numbers always serialise.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = HttpResponse::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        let is_away = status == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(seconds) = self.0.retry_after.or_else(|| is_away.then_some(RETRY_AFTER)) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// The answer also holds the problem as a value, so the outermost layer can write it again with
    /// the request's id.
    fn into_response(self) -> Response {
        let mut response = self.clone().render(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.reason {
            Reason::Oversize => Code::EventTooLarge,
            Reason::NotACloudEvent => Code::NotACloudEvent,
            Reason::MalformedJson => Code::MalformedJson,
            Reason::ConflictingDuplicate => Code::ConflictingDuplicate,
            Reason::MissingAttribute
            | Reason::InvalidAttribute
            | Reason::UnknownType
            | Reason::ContractViolation
            | Reason::MissingValue
            | Reason::InvalidValue
            | Reason::Unreadable
            | Reason::ContractTimeout
            | Reason::RefusedByQueue => Code::InvalidEvent,
        };
        let mut problem = Self::new(code, rejection.detail);
        problem.0.reason = Some(rejection.reason);
        problem.0.place = Some(rejection.place);
        problem
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        Self::new(Code::RabbitmqUnavailable, error)
    }
}

impl From<quarantine::Error> for Problem {
    fn from(error: quarantine::Error) -> Self {
        match error {
            quarantine::Error::Redis(error) => upshot_queue::Error::Redis(error).into(),
            quarantine::Error::Damaged { .. } | quarantine::Error::Layout { .. } => {
                Self::new(Code::NotReady, error)
            }
        }
    }
}

impl From<access::Error> for Problem {
    fn from(error: access::Error) -> Self {
        match error {
            access::Error::Redis(error) => upshot_queue::Error::Redis(error).into(),
            access::Error::Refused(refusal) => Self::new(Code::Unauthenticated, refusal),
            access::Error::UnknownToken(_) => Self::new(Code::UnknownToken, error),
            access::Error::Full(_) => Self::new(Code::TooManyTokens, error),
            access::Error::FullOfRevoked(_) => Self::new(Code::TooManyRevoked, error),
            access::Error::NoTarget => Self::internal(error),
            access::Error::Contended => Self::new(Code::RedisUnavailable, error),
            access::Error::Damaged { .. } | access::Error::Unsealable => Self::new(Code::NotReady, error),
        }
    }
}

impl From<upshot_queue::Error> for Problem {
    fn from(error: upshot_queue::Error) -> Self {
        match error {
            upshot_queue::Error::Redis(error) => {
                tracing::debug!(%error, "Redis failed");
                Self::new(Code::RedisUnavailable, "nothing could be read; ask again later")
            }
            upshot_queue::Error::Unreadable(unreadable) => Self::internal(unreadable),
            upshot_queue::Error::BadConfiguration(bad) => {
                Self::parameter(&format!("configuration.{}", bad.key), &bad.value, bad.remedy)
            }
            upshot_queue::Error::Configuration { .. } | upshot_queue::Error::Layout { .. } => {
                Self::new(Code::NotReady, error)
            }
            upshot_queue::Error::NotReplicated { .. } | upshot_queue::Error::Contended(_) => {
                Self::new(Code::RedisUnavailable, error)
            }
            upshot_queue::Error::Rejected(rejection) => Self::new(Code::BodyTooLarge, rejection),
            upshot_queue::Error::Cursor(bad) => {
                let mut problem = Self::new(Code::InvalidParameter, bad);
                problem.0.parameter = Some("cursor".to_owned());
                problem
            }
            upshot_queue::Error::Signal(bad) => {
                let code = match bad {
                    upshot_queue::BadSignal::TooLarge(_) => Code::BodyTooLarge,
                    upshot_queue::BadSignal::Full(_) => Code::SignalsFull,
                };
                Self::new(code, bad)
            }
            upshot_queue::Error::Limit(bad) => Self::parameter(bad.part(), &bad.value(), &bad),
        }
    }
}
