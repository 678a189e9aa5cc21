//! What a batch of deliveries becomes: jobs by queue, and rejections.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use lapin::{Acker, BasicProperties, message::Delivery, types::AMQPValue};
use upshot_queue::{NewJob, QueueName};
use upshot_shared::{Intake, Rejection, event::Envelope, intake::Accepted};

/// A delivery that cannot be accepted, as it came.
pub(crate) struct Rejected {
    pub(crate) body: Bytes,
    pub(crate) properties: BasicProperties,
    pub(crate) routing_key: String,
    pub(crate) rejection: Rejection,
}

/// A batch, sorted.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) jobs: HashMap<QueueName, Vec<NewJob>>,
    pub(crate) rejected: Vec<Rejected>,
    /// For the accepted ones, should they have to be acknowledged one by one.
    pub(crate) accepted: Vec<Acker>,
}

/// Decides for each delivery what it becomes.
pub(crate) fn sort(intake: &Intake, deliveries: Vec<Delivery>) -> Batch {
    let mut batch = Batch::default();
    for delivery in deliveries {
        let body = Bytes::from(delivery.data);
        match intake.accept(&envelope(&delivery.properties), &body) {
            Ok(Accepted { event, jobs }) => {
                batch.accepted.push(delivery.acker);
                for (queue, job) in jobs {
                    tracing::debug!(event_id = %event.id, event_type = %event.kind, job_id = %job.id, %queue, "accepted");
                    batch.jobs.entry(queue).or_default().push(job);
                }
            }
            Err(rejection) => batch.rejected.push(Rejected {
                body,
                properties: delivery.properties,
                routing_key: delivery.routing_key.to_string(),
                rejection,
            }),
        }
    }
    batch
}

/// How a message presents itself.
fn envelope(properties: &BasicProperties) -> Envelope {
    let content_type = properties.content_type().as_ref().map(ToString::to_string);
    let mut headers = BTreeMap::new();
    if let Some(table) = properties.headers() {
        for (name, value) in table {
            if let Some(text) = text(value) {
                headers.insert(name.to_string(), text);
            }
        }
    }
    Envelope { content_type, headers }
}

/// A header's value as text; lists and tables carry no attribute.
fn text(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(value) => value.to_string(),
        AMQPValue::ShortShortUInt(value) => value.to_string(),
        AMQPValue::ShortInt(value) => value.to_string(),
        AMQPValue::ShortUInt(value) => value.to_string(),
        AMQPValue::LongInt(value) => value.to_string(),
        AMQPValue::LongUInt(value) => value.to_string(),
        AMQPValue::LongLongInt(value) => value.to_string(),
        AMQPValue::Float(value) => value.to_string(),
        AMQPValue::Double(value) => value.to_string(),
        _ => return None,
    })
}
