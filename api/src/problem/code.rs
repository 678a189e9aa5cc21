//! The codes of problems, each with its status, its title and its page.

use std::fmt::Write;

use axum::http::StatusCode;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// Declares each code once. `docs/problems/` must have its page.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident: $name:literal, $status:ident, $title:literal;)*) => {
        /// What went wrong, as a stable code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// The code as it is written, its HTTP status and its title.
            pub const fn parts(self) -> (&'static str, StatusCode, &'static str) {
                match self {
                    $(Self::$code => ($name, StatusCode::$status, $title),)*
                }
            }

            /// The page about it, in Markdown: cause and remedy.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$code => include_str!(concat!("../../../docs/problems/", $name, ".md")),)*
                }
            }
        }
    };
}

codes! {
    /// The event violates its contract, or an attribute is missing or wrong.
    InvalidEvent: "invalid-event", UNPROCESSABLE_ENTITY, "The event cannot be accepted";
    /// An event with the same identity was accepted with other data or another tenant.
    ConflictingDuplicate: "conflicting-duplicate", CONFLICT, "Another event has this identity";
    /// The arguments violate the contract of the job's event type.
    InvalidArguments: "invalid-arguments", UNPROCESSABLE_ENTITY, "The arguments cannot be accepted";
    /// The event is larger than `bridge.max_event_bytes`.
    EventTooLarge: "event-too-large", PAYLOAD_TOO_LARGE, "The event is too large";
    /// The request is not a CloudEvent.
    NotACloudEvent: "not-a-cloudevent", UNSUPPORTED_MEDIA_TYPE, "This is no CloudEvent";
    /// The body is not JSON.
    MalformedJson: "malformed-json", BAD_REQUEST, "The body is not JSON";
    /// A parameter has a value that it cannot have, or is not known.
    InvalidParameter: "invalid-parameter", BAD_REQUEST, "A parameter cannot be used";
    /// No queue knows the job.
    UnknownJob: "unknown-job", NOT_FOUND, "The job is not known";
    /// No job of the event is known.
    UnknownEvent: "unknown-event", NOT_FOUND, "The event is not known";
    /// No row of a message in quarantine has this id.
    UnknownMessage: "unknown-message", NOT_FOUND, "The message is not known";
    /// No job about the subject is known.
    UnknownSubject: "unknown-subject", NOT_FOUND, "The subject is not known";
    /// The job's outcome names no such file.
    UnknownFile: "unknown-file", NOT_FOUND, "The file is not known";
    /// The file was there and is gone.
    FileGone: "file-gone", GONE, "The file is gone";
    /// No queue knows the operation.
    UnknownOperation: "unknown-operation", NOT_FOUND, "The operation is not known";
    /// The state of the operation does not allow it.
    OperationState: "operation-state", CONFLICT, "The operation's state does not allow it";
    /// The operation counted another number of jobs than the request confirms.
    CountDiffers: "count-differs", CONFLICT, "The number of jobs is another";
    /// As many operations of the queue count or run as may.
    TooManyOperations: "too-many-operations", CONFLICT, "Too many operations run";
    /// The address is unknown.
    UnknownAddress: "unknown-address", NOT_FOUND, "The address is unknown";
    /// The address does not take this method.
    MethodNotAllowed: "method-not-allowed", METHOD_NOT_ALLOWED, "The address does not take this method";
    /// Only a dead or parked job can be retried.
    NotDead: "not-dead", CONFLICT, "The job is not dead";
    /// Other arguments would repeat completed steps that the request does not name.
    StepsCompleted: "steps-completed", CONFLICT, "Completed steps would run again";
    /// The dead job gave way to another with its idempotency key.
    Replaced: "replaced", CONFLICT, "Another job took its place";
    /// The job does not wait: it runs or has ended.
    NotWaiting: "not-waiting", CONFLICT, "The job does not wait";
    /// The job has ended already.
    AlreadyEnded: "already-ended", CONFLICT, "The job has ended already";
    /// The job has no expectation.
    NoExpectation: "no-expectation", CONFLICT, "No outcome is expected";
    /// The outcome has a verdict that stays.
    AlreadyDecided: "already-decided", CONFLICT, "The outcome has a verdict already";
    /// The queue has another version of its configuration.
    VersionConflict: "version-conflict", CONFLICT, "Another version is stored";
    /// No queue of this name is in the settings.
    UnknownQueue: "unknown-queue", NOT_FOUND, "The queue is not known";
    /// The queue's outbox has no group of this name.
    UnknownGroup: "unknown-group", NOT_FOUND, "The group is not known";
    /// The queue has no schedule of this name.
    UnknownSchedule: "unknown-schedule", NOT_FOUND, "The schedule is not known";
    /// The queue has a schedule of this name.
    ScheduleExists: "schedule-exists", CONFLICT, "There is a schedule of this name";
    /// The schedule comes from the settings.
    ScheduleOfSettings: "schedule-of-settings", CONFLICT, "The settings say what the schedule is";
    /// The queue has as many schedules as it may.
    TooManySchedules: "too-many-schedules", INSUFFICIENT_STORAGE, "There are too many schedules";
    /// No queue knows a failure of this cause.
    UnknownFailures: "unknown-failures", NOT_FOUND, "No failure of this cause is known";
    /// The body of a request other than an event is too large.
    BodyTooLarge: "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The queue keeps as many bytes of signals as it may.
    SignalsFull: "signals-full", INSUFFICIENT_STORAGE, "The queue keeps no more signals";
    /// The content type is wrong.
    UnsupportedMediaType: "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The content type is wrong";
    /// The request has no credential, or one that is refused.
    Unauthenticated: "unauthenticated", UNAUTHORIZED, "The request comes from nobody known";
    /// The principal lacks a right.
    MissingRight: "missing-right", FORBIDDEN, "A right is missing";
    /// A client does something too often.
    TooOften: "too-often", TOO_MANY_REQUESTS, "That is too often";
    /// A login over plain HTTP beyond loopback.
    InsecureLogin: "insecure-login", FORBIDDEN, "A login needs HTTPS";
    /// The API has no identity provider.
    NoProvider: "no-provider", NOT_FOUND, "There is no identity provider";
    /// The identity provider does not answer.
    ProviderUnavailable: "provider-unavailable", SERVICE_UNAVAILABLE, "The identity provider does not answer";
    /// The identity provider, or the settings, do not let the person in.
    LoginRefused: "login-refused", FORBIDDEN, "The login is refused";
    /// This browser began no such login, or long ago.
    UnknownLogin: "unknown-login", BAD_REQUEST, "The login is not known";
    /// No device waits with this code.
    UnknownDevice: "unknown-device", NOT_FOUND, "No device waits with this code";
    /// The person has not answered yet.
    AuthorizationPending: "authorization-pending", BAD_REQUEST, "The person has not answered yet";
    /// The device polls too often.
    SlowDown: "slow-down", BAD_REQUEST, "The device polls too often";
    /// The person has refused the device.
    AccessDenied: "access-denied", BAD_REQUEST, "The person has refused";
    /// The device waited too long.
    ExpiredToken: "expired-token", BAD_REQUEST, "The device waited too long";
    /// No capability link can have this id.
    UnknownLink: "unknown-link", NOT_FOUND, "The capability link is not known";
    /// As many capability links are revoked as may be.
    TooManyRevoked: "too-many-revoked", INSUFFICIENT_STORAGE, "Too many capability links are revoked";
    /// The principal sees other jobs only.
    OutOfScope: "out-of-scope", FORBIDDEN, "It belongs to others";
    /// No API token has this id.
    UnknownToken: "unknown-token", NOT_FOUND, "The API token is not known";
    /// There are as many API tokens as there may be.
    TooManyTokens: "too-many-tokens", INSUFFICIENT_STORAGE, "There are too many API tokens";
    /// The request was sent to a name that is not the API's.
    UnknownHost: "unknown-host", MISDIRECTED_REQUEST, "The request was sent to another host";
    /// A page of another origin sent the request.
    ForeignOrigin: "foreign-origin", FORBIDDEN, "The request comes from a foreign page";
    /// The body did not come in time.
    RequestTimeout: "request-timeout", REQUEST_TIMEOUT, "The body did not come in time";
    /// All allowed connections are in use.
    TooManyConnections: "too-many-connections", SERVICE_UNAVAILABLE, "There are too many connections";
    /// The request cannot be understood.
    BadRequest: "bad-request", BAD_REQUEST, "The request cannot be understood";
    /// RabbitMQ has not confirmed the event.
    RabbitmqUnavailable: "rabbitmq-unavailable", SERVICE_UNAVAILABLE, "RabbitMQ has not confirmed";
    /// Redis does not answer.
    RedisUnavailable: "redis-unavailable", SERVICE_UNAVAILABLE, "Redis does not answer";
    /// The file store does not answer.
    StoreUnavailable: "store-unavailable", SERVICE_UNAVAILABLE, "The file store does not answer";
    /// The program is built without what the address needs.
    NotBuilt: "not-built", NOT_IMPLEMENTED, "The program is built without this";
    /// Something that the API needs is missing.
    NotReady: "not-ready", SERVICE_UNAVAILABLE, "The service is not ready";
    /// A bug, or damaged data.
    Internal: "internal", INTERNAL_SERVER_ERROR, "The request ran into a bug";
}

impl Code {
    /// The code as it is written.
    pub const fn as_str(self) -> &'static str {
        self.parts().0
    }

    /// The code that is written like this.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

/// The schema of a problem's code: all codes, each with its status and title.
#[derive(Debug)]
pub enum ProblemCode {}

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        let mut description =
            "What went wrong. `/problems/<code>` has the cause and the remedy of each.\n".to_owned();
        for (name, status, title) in Code::ALL.iter().map(|code| code.parts()) {
            // Writing to a string does not fail.
            let _ = write!(description, "\n- `{name}` ({}): {title}", status.as_u16());
        }
        let names = Code::ALL.iter().map(|code| code.as_str());
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
        schema.description(Some(description)).into()
    }
}

impl ToSchema for ProblemCode {}
