//! The codes of problems, each with its status and title.

use axum::http::StatusCode;

/// What went wrong, as a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The event violates its contract, or an attribute is missing or wrong.
    InvalidEvent,
    /// An event with the same identity was accepted with other data or another tenant.
    ConflictingDuplicate,
    /// The arguments violate the contract of the job's event type.
    InvalidArguments,
    /// The event is larger than `bridge.max_event_bytes`.
    EventTooLarge,
    /// The request is not a CloudEvent.
    NotACloudEvent,
    /// The body is not JSON.
    MalformedJson,
    /// A parameter has a value that it cannot have, or is not known.
    InvalidParameter,
    /// No queue knows the job.
    UnknownJob,
    /// No job of the event is known.
    UnknownEvent,
    /// No row of a message in quarantine has this id.
    UnknownMessage,
    /// No job about the subject is known.
    UnknownSubject,
    /// The job's outcome names no such file.
    UnknownFile,
    /// The file was there and is gone.
    FileGone,
    /// The address is unknown.
    UnknownAddress,
    /// The address does not take this method.
    MethodNotAllowed,
    /// Only a dead or parked job can be retried.
    NotDead,
    /// Other arguments would repeat completed steps that the request does not name.
    StepsCompleted,
    /// The dead job gave way to another with its idempotency key.
    Replaced,
    /// The job does not wait: it runs or has ended.
    NotWaiting,
    /// The job has ended already.
    AlreadyEnded,
    /// The job has no expectation.
    NoExpectation,
    /// The outcome has a verdict that stays.
    AlreadyDecided,
    /// The queue has another version of its configuration.
    VersionConflict,
    /// No queue of this name is in the settings.
    UnknownQueue,
    /// The queue's outbox has no group of this name.
    UnknownGroup,
    /// The body of a request other than an event is too large.
    BodyTooLarge,
    /// The queue keeps as many bytes of signals as it may.
    SignalsFull,
    /// The content type is wrong.
    UnsupportedMediaType,
    /// The request has no credential, or one that is refused.
    Unauthenticated,
    /// The principal lacks a right.
    MissingRight,
    /// A client does something too often.
    TooOften,
    /// A login over plain HTTP beyond loopback.
    InsecureLogin,
    /// The API has no identity provider.
    NoProvider,
    /// The identity provider does not answer.
    ProviderUnavailable,
    /// The identity provider, or the settings, do not let the person in.
    LoginRefused,
    /// A login is none of this browser, or took too long.
    UnknownLogin,
    /// No device waits with this code.
    UnknownDevice,
    /// The person has not answered yet.
    AuthorizationPending,
    /// The device polls too often.
    SlowDown,
    /// The person has refused the device.
    AccessDenied,
    /// The device waited too long.
    ExpiredToken,
    /// The id is none of a capability link.
    UnknownLink,
    /// As many capability links are revoked as may be.
    TooManyRevoked,
    /// The principal sees other jobs only.
    OutOfScope,
    /// No API token has this id.
    UnknownToken,
    /// There are as many API tokens as there may be.
    TooManyTokens,
    /// The request was sent to a name that is not the API's.
    UnknownHost,
    /// A page of another origin sent the request.
    ForeignOrigin,
    /// The body did not come in time.
    RequestTimeout,
    /// All allowed connections are in use.
    TooManyConnections,
    /// The request cannot be understood.
    BadRequest,
    /// RabbitMQ has not confirmed the event.
    RabbitmqUnavailable,
    /// Redis does not answer.
    RedisUnavailable,
    /// The file store does not answer.
    StoreUnavailable,
    /// The program is built without what the address needs.
    NotBuilt,
    /// Something that the API needs is missing.
    NotReady,
    /// A bug, or damaged data.
    Internal,
}

impl Code {
    /// The code as it is written, its HTTP status and its title.
    pub fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidEvent => {
                ("invalid-event", StatusCode::UNPROCESSABLE_ENTITY, "The event cannot be accepted")
            }
            Self::ConflictingDuplicate => {
                ("conflicting-duplicate", StatusCode::CONFLICT, "Another event has this identity")
            }
            Self::InvalidArguments => {
                ("invalid-arguments", StatusCode::UNPROCESSABLE_ENTITY, "The arguments cannot be accepted")
            }
            Self::EventTooLarge => {
                ("event-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The event is too large")
            }
            Self::NotACloudEvent => {
                ("not-a-cloudevent", StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is no CloudEvent")
            }
            Self::MalformedJson => ("malformed-json", StatusCode::BAD_REQUEST, "The body is not JSON"),
            Self::InvalidParameter => {
                ("invalid-parameter", StatusCode::BAD_REQUEST, "A parameter cannot be used")
            }
            Self::UnknownJob => ("unknown-job", StatusCode::NOT_FOUND, "The job is not known"),
            Self::UnknownEvent => ("unknown-event", StatusCode::NOT_FOUND, "The event is not known"),
            Self::UnknownMessage => ("unknown-message", StatusCode::NOT_FOUND, "The message is not known"),
            Self::UnknownSubject => ("unknown-subject", StatusCode::NOT_FOUND, "The subject is not known"),
            Self::UnknownFile => ("unknown-file", StatusCode::NOT_FOUND, "The file is not known"),
            Self::FileGone => ("file-gone", StatusCode::GONE, "The file is gone"),
            Self::UnknownAddress => ("unknown-address", StatusCode::NOT_FOUND, "The address is unknown"),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "The address does not take this method",
            ),
            Self::NotDead => ("not-dead", StatusCode::CONFLICT, "The job is not dead"),
            Self::StepsCompleted => {
                ("steps-completed", StatusCode::CONFLICT, "Completed steps would run again")
            }
            Self::Replaced => ("replaced", StatusCode::CONFLICT, "Another job took its place"),
            Self::NotWaiting => ("not-waiting", StatusCode::CONFLICT, "The job does not wait"),
            Self::AlreadyEnded => ("already-ended", StatusCode::CONFLICT, "The job has ended already"),
            Self::NoExpectation => ("no-expectation", StatusCode::CONFLICT, "No outcome is expected"),
            Self::AlreadyDecided => {
                ("already-decided", StatusCode::CONFLICT, "The outcome has a verdict already")
            }
            Self::VersionConflict => ("version-conflict", StatusCode::CONFLICT, "Another version is stored"),
            Self::UnknownQueue => ("unknown-queue", StatusCode::NOT_FOUND, "The queue is not known"),
            Self::UnknownGroup => ("unknown-group", StatusCode::NOT_FOUND, "The group is not known"),
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::SignalsFull => {
                ("signals-full", StatusCode::INSUFFICIENT_STORAGE, "The queue keeps no more signals")
            }
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The content type is wrong")
            }
            Self::Unauthenticated => {
                ("unauthenticated", StatusCode::UNAUTHORIZED, "The request comes from nobody known")
            }
            Self::MissingRight => ("missing-right", StatusCode::FORBIDDEN, "A right is missing"),
            Self::TooOften => ("too-often", StatusCode::TOO_MANY_REQUESTS, "That is too often"),
            Self::InsecureLogin => ("insecure-login", StatusCode::FORBIDDEN, "A login needs HTTPS"),
            Self::NoProvider => ("no-provider", StatusCode::NOT_FOUND, "There is no identity provider"),
            Self::ProviderUnavailable => (
                "provider-unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The identity provider does not answer",
            ),
            Self::LoginRefused => ("login-refused", StatusCode::FORBIDDEN, "The login is refused"),
            Self::UnknownLogin => ("unknown-login", StatusCode::BAD_REQUEST, "The login is not known"),
            Self::UnknownDevice => {
                ("unknown-device", StatusCode::NOT_FOUND, "No device waits with this code")
            }
            Self::AuthorizationPending => {
                ("authorization-pending", StatusCode::BAD_REQUEST, "The person has not answered yet")
            }
            Self::SlowDown => ("slow-down", StatusCode::BAD_REQUEST, "The device polls too often"),
            Self::AccessDenied => ("access-denied", StatusCode::BAD_REQUEST, "The person has refused"),
            Self::ExpiredToken => ("expired-token", StatusCode::BAD_REQUEST, "The device waited too long"),
            Self::UnknownLink => ("unknown-link", StatusCode::NOT_FOUND, "The capability link is not known"),
            Self::TooManyRevoked => (
                "too-many-revoked",
                StatusCode::INSUFFICIENT_STORAGE,
                "Too many capability links are revoked",
            ),
            Self::OutOfScope => ("out-of-scope", StatusCode::FORBIDDEN, "It belongs to others"),
            Self::UnknownToken => ("unknown-token", StatusCode::NOT_FOUND, "The API token is not known"),
            Self::TooManyTokens => {
                ("too-many-tokens", StatusCode::INSUFFICIENT_STORAGE, "There are too many API tokens")
            }
            Self::UnknownHost => {
                ("unknown-host", StatusCode::MISDIRECTED_REQUEST, "The request was sent to another host")
            }
            Self::ForeignOrigin => {
                ("foreign-origin", StatusCode::FORBIDDEN, "The request comes from a foreign page")
            }
            Self::RequestTimeout => {
                ("request-timeout", StatusCode::REQUEST_TIMEOUT, "The body did not come in time")
            }
            Self::TooManyConnections => {
                ("too-many-connections", StatusCode::SERVICE_UNAVAILABLE, "There are too many connections")
            }
            Self::BadRequest => ("bad-request", StatusCode::BAD_REQUEST, "The request cannot be understood"),
            Self::RabbitmqUnavailable => {
                ("rabbitmq-unavailable", StatusCode::SERVICE_UNAVAILABLE, "RabbitMQ has not confirmed")
            }
            Self::RedisUnavailable => {
                ("redis-unavailable", StatusCode::SERVICE_UNAVAILABLE, "Redis does not answer")
            }
            Self::StoreUnavailable => {
                ("store-unavailable", StatusCode::SERVICE_UNAVAILABLE, "The file store does not answer")
            }
            Self::NotBuilt => ("not-built", StatusCode::NOT_IMPLEMENTED, "The program is built without this"),
            Self::NotReady => ("not-ready", StatusCode::SERVICE_UNAVAILABLE, "The service is not ready"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The request ran into a bug"),
        }
    }
}
