//! Small parts that several bodies share.

use std::borrow::Cow;

use serde::Serialize;
use upshot_queue::{FailureClass, Job, Priority, Progress, State};
use upshot_shared::intake::{LABEL_ID, LABEL_SOURCE, LABEL_TYPE};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type, schema::SchemaType},
};

use crate::shown::Shown;

/// The schema of a job's state, from the type that knows the states.
#[derive(Debug)]
pub enum JobState {}

impl PartialSchema for JobState {
    fn schema() -> RefOr<Schema> {
        words(
            "The state of a job: it waits for a time, for a worker or for something else, runs, or has ended.",
            State::ALL.map(State::as_str),
        )
    }
}

impl ToSchema for JobState {}

/// The schema of a failure's class, from the type that knows the classes.
#[derive(Debug)]
pub enum Class {}

impl PartialSchema for Class {
    fn schema() -> RefOr<Schema> {
        let description = "What kind of failure; it decides whether and when the job runs again.";
        words(description, FailureClass::ALL.map(FailureClass::as_str))
    }
}

impl ToSchema for Class {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("FailureClass")
    }
}

/// The schema of a job's priority, from the type that knows the classes.
#[derive(Debug)]
pub enum PriorityClass {}

impl PartialSchema for PriorityClass {
    fn schema() -> RefOr<Schema> {
        let description = "How urgent a job is, beside the other jobs of its queue.";
        words(description, Priority::ALL.map(Priority::as_str))
    }
}

impl ToSchema for PriorityClass {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Priority")
    }
}

/// Bytes of whatever type.
#[derive(Debug)]
pub enum Binary {}

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Binary {}

/// An event of a stream of progress, by the fields of server-sent events.
#[derive(Debug)]
pub enum ProgressEvent {}

impl PartialSchema for ProgressEvent {
    fn schema() -> RefOr<Schema> {
        let names = ["waiting", "snapshot", "change", "end", "gone"];
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let whole = ObjectBuilder::new().schema_type(Type::Integer);
        let description = "An event of a stream: its fields. `data` is JSON: of `snapshot`, `change` and `end` a \
                           Snapshot, of `waiting` a NotYet, of `gone` an empty object.";
        ObjectBuilder::new()
            .property("event", text().enum_values(Some(names)))
            .required("event")
            .property("data", text())
            .required("data")
            .property("id", text().description(Some("The job's revision; `waiting` and `gone` have none.")))
            .property("retry", whole.description(Some("When to connect again, in ms.")))
            .description(Some(description))
            .into()
    }
}

impl ToSchema for ProgressEvent {}

/// An event of the stream of many jobs.
#[derive(Debug)]
pub enum StreamEvent {}

impl PartialSchema for StreamEvent {
    fn schema() -> RefOr<Schema> {
        let names = ["snapshot", "change", "gone", "cut", "counts", "end"];
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let whole = ObjectBuilder::new().schema_type(Type::Integer);
        let description = "An event of a stream: its fields. `data` is JSON: of `snapshot` and `change` a Snapshot, \
                           of `gone` an object with the `id` of the job, of `cut` one with the number of jobs that are \
                           `followed`, of `counts` an Overview, of `end` an empty object.";
        ObjectBuilder::new()
            .property("event", text().enum_values(Some(names)))
            .required("event")
            .property("data", text())
            .required("data")
            .property(
                "id",
                text()
                    .description(Some("What was told of the jobs so far; only of `snapshot` and `change`.")),
            )
            .property("retry", whole.description(Some("When to connect again, in ms.")))
            .description(Some(description))
            .into()
    }
}

impl ToSchema for StreamEvent {}

/// Any CloudEvent in structured mode: the attributes that the specification demands, and any
/// others.
#[derive(Debug)]
pub enum CloudEvent {}

impl PartialSchema for CloudEvent {
    fn schema() -> RefOr<Schema> {
        let types = [Type::String, Type::Integer, Type::Number, Type::Boolean];
        let text = || {
            let types = SchemaType::from_iter(types.clone());
            ObjectBuilder::new().schema_type(types).min_length(Some(1)).max_length(Some(512))
        };
        let version = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["1.0"]));
        let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        let description = "A CloudEvent 1.0 in JSON, with `data`. Attributes are texts; a number or a boolean is \
                           taken as it is written. The event's type decides which contract the data has to \
                           keep: `contracts/events/`.";
        let event = ObjectBuilder::new().property("specversion", version).required("specversion");
        let event = ["id", "source", "type"]
            .into_iter()
            .fold(event, |event, name| event.property(name, text()).required(name));
        event.property("data", any).description(Some(description)).into()
    }
}

impl ToSchema for CloudEvent {}

pub(super) fn words<const N: usize>(description: &str, words: [&'static str; N]) -> RefOr<Schema> {
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    schema.description(Some(description)).into()
}

/// The event that a job came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventRef {
    /// The producer.
    #[schema(example = "/shops/berlin")]
    pub source: String,
    /// Unique within the source.
    #[schema(example = "5d0a1c0e-2f5b-4f0a-9a53-6a1f3c1b7e42")]
    pub id: String,
    /// The versioned type.
    #[serde(rename = "type")]
    #[schema(example = "order.completed.v1")]
    pub kind: String,
}

impl EventRef {
    /// The event that the job's labels name, if it came from one.
    pub fn of(job: &Job) -> Option<Self> {
        let label = |name: &str| job.labels.get(name).cloned();
        Some(Self { source: label(LABEL_SOURCE)?, id: label(LABEL_ID)?, kind: label(LABEL_TYPE)? })
    }
}

/// The progress of a running job.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub struct ProgressBody {
    /// 0 to 100.
    #[schema(minimum = 0, maximum = 100, example = 60)]
    pub percent: u8,
    /// The step that runs.
    #[schema(required, example = "send")]
    pub step: Option<String>,
    /// For people.
    #[schema(required, example = "sending the mail")]
    pub message: Option<String>,
}

impl ProgressBody {
    /// The body of a job's progress.
    pub fn new(progress: &Progress, shown: &Shown) -> Self {
        let message = shown.optional(progress.message.as_ref());
        Self { percent: progress.percent, step: progress.step.clone(), message }
    }
}
