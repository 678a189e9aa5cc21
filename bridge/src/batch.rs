//! Decides what a batch of deliveries becomes: jobs by queue, confirmations, and rejections.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use lapin::{
    Acker, BasicProperties,
    message::Delivery,
    types::{AMQPValue, ShortString},
};
use tokio::time::timeout;
use upshot_queue::{JobId, NewJob, QueueName};
use upshot_runtime::amqp::HEADER_UNREADABLE;
use upshot_shared::{
    Intake, Proof, Reason, Rejection, confirmation,
    event::{Envelope, Header},
    intake::Accepted,
};

/// A delivery from RabbitMQ.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) body: Bytes,
    pub(crate) properties: BasicProperties,
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: String,
    pub(crate) tag: u64,
    pub(crate) acker: Acker,
}

impl Arrived {
    /// A copy that shares the body.
    pub(crate) fn copy(&self) -> Self {
        let Self { body, properties, exchange, routing_key, tag, acker } = self;
        Self {
            body: body.clone(),
            properties: properties.clone(),
            exchange: exchange.clone(),
            routing_key: routing_key.clone(),
            tag: *tag,
            acker: acker.clone(),
        }
    }
}

impl From<Delivery> for Arrived {
    fn from(delivery: Delivery) -> Self {
        Self {
            body: delivery.data.into(),
            properties: delivery.properties,
            exchange: delivery.exchange,
            routing_key: delivery.routing_key.to_string(),
            tag: delivery.delivery_tag,
            acker: delivery.acker,
        }
    }
}

/// Why a delivery cannot be accepted, and which of its jobs other queues took all the same.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) rejection: Rejection,
    pub(crate) jobs: Vec<(QueueName, JobId)>,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, jobs: Vec::new() }
    }
}

/// The jobs of a batch for one queue.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    pub(crate) jobs: Vec<NewJob>,
    /// For each job, the position of its delivery in the batch.
    pub(crate) of: Vec<usize>,
}

/// A batch, sorted.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) jobs: HashMap<QueueName, Jobs>,
    /// For each confirmation, the position of its delivery in the batch.
    pub(crate) confirmations: Vec<(usize, Proof)>,
    /// What cannot be accepted, by position in the batch.
    pub(crate) refused: BTreeMap<usize, Refused>,
}

/// What the messages of a queue are.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    /// Events.
    Events(Arc<Intake>),
    /// Confirmations, for these queues.
    Confirmations { queues: Arc<[QueueName]>, max_bytes: usize },
}

/// What a delivery becomes.
#[derive(Debug, Default)]
struct Taken {
    jobs: Vec<(QueueName, NewJob)>,
    confirmations: Vec<Proof>,
}

impl Reading {
    fn read(&self, one: &Arrived) -> Result<Taken, Rejection> {
        let envelope = envelope(&one.properties);
        match self {
            Self::Events(intake) => {
                let Accepted { event, jobs, confirmations } = intake.accept(&envelope, &one.body)?;
                for (queue, job) in &jobs {
                    tracing::debug!(event_id = %event.id, event_type = %event.kind, job_id = %job.id, %queue, "accepted");
                }
                Ok(Taken { jobs, confirmations })
            }
            Self::Confirmations { queues, max_bytes } => {
                let confirmation = confirmation::decode(&envelope, &one.body, *max_bytes, queues)?;
                Ok(Taken { jobs: Vec::new(), confirmations: vec![confirmation] })
            }
        }
    }
}

/// Decides on a separate thread what each delivery becomes, because a team's contract may take any
/// time for some data. Refuses a delivery alone if its check takes longer than `limit`.
pub(crate) async fn sort(reading: &Reading, arrived: &Arc<Vec<Arrived>>, limit: Duration) -> Batch {
    let mut verdicts = Vec::with_capacity(arrived.len());
    match decide(reading, arrived, 0..arrived.len(), limit).await {
        Some(decided) => verdicts = decided,
        None => {
            for place in 0..arrived.len() {
                let decided = decide(reading, arrived, place..place + 1, limit).await;
                verdicts.extend(decided.unwrap_or_else(|| vec![Err(too_slow(limit))]));
            }
        }
    }
    let mut batch = Batch::default();
    for (place, verdict) in verdicts.into_iter().enumerate() {
        match verdict {
            Ok(Taken { jobs, confirmations }) => {
                for (queue, job) in jobs {
                    let jobs = batch.jobs.entry(queue).or_default();
                    jobs.jobs.push(job);
                    jobs.of.push(place);
                }
                batch.confirmations.extend(confirmations.into_iter().map(|each| (place, each)));
            }
            Err(rejection) => drop(batch.refused.insert(place, rejection.into())),
        }
    }
    batch
}

/// `None` when the check took too long. The thread then continues to its end, and nothing waits for
/// it.
async fn decide(
    reading: &Reading,
    arrived: &Arc<Vec<Arrived>>,
    places: std::ops::Range<usize>,
    limit: Duration,
) -> Option<Vec<Result<Taken, Rejection>>> {
    let (reading, arrived) = (reading.clone(), Arc::clone(arrived));
    let deciding = tokio::task::spawn_blocking(move || {
        arrived.get(places).unwrap_or_default().iter().map(|one| reading.read(one)).collect()
    });
    // A contract that panics counts as one that takes for ever.
    timeout(limit, deciding).await.ok()?.ok()
}

fn too_slow(limit: Duration) -> Rejection {
    let detail = format!(
        "the check against the contract takes longer than {limit:?}: simplify the contract of this type, or \
         raise `bridge.contract_timeout`"
    );
    Rejection::new(Reason::ContractTimeout, "/data", detail)
}

/// The form in which a message states its content type.
pub(crate) fn envelope(properties: &BasicProperties) -> Envelope {
    let content_type = properties.content_type().as_ref().map(ToString::to_string);
    let mut headers = BTreeMap::new();
    let mut unreadable = None;
    for (name, value) in properties.headers().iter().flatten() {
        if name.as_str() == HEADER_UNREADABLE {
            unreadable = header(value).text().map(str::to_owned);
        }
        headers.insert(name.to_string(), header(value));
    }
    Envelope { content_type, headers, unreadable }
}

/// A header's value, or nothing if the conversion would lose information.
fn header(value: &AMQPValue) -> Header {
    let integer = |value: i64| Header::Integer(value.into());
    let utf8 = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Header::from(text),
        Err(_) => Header::Other("bytes that are not UTF-8"),
    };
    match value {
        AMQPValue::LongString(text) => utf8(text.as_bytes()),
        AMQPValue::ByteArray(bytes) => utf8(bytes.as_slice()),
        AMQPValue::ShortString(text) => Header::from(text.as_str()),
        AMQPValue::Boolean(value) => Header::Text(value.to_string()),
        AMQPValue::ShortShortInt(value) => integer((*value).into()),
        AMQPValue::ShortShortUInt(value) => integer((*value).into()),
        AMQPValue::ShortInt(value) => integer((*value).into()),
        AMQPValue::ShortUInt(value) => integer((*value).into()),
        AMQPValue::LongInt(value) => integer((*value).into()),
        AMQPValue::LongUInt(value) => integer((*value).into()),
        AMQPValue::LongLongInt(value) => integer(*value),
        AMQPValue::Timestamp(value) => Header::Time(milliseconds(*value)),
        AMQPValue::DecimalValue(value) if value.scale == 0 => Header::Integer(value.value.into()),
        AMQPValue::DecimalValue(_) => Header::Other("a decimal fraction"),
        AMQPValue::Float(_) | AMQPValue::Double(_) => Header::Other("a floating-point number"),
        AMQPValue::FieldArray(_) => Header::Other("a list"),
        AMQPValue::FieldTable(_) => Header::Other("a table"),
        AMQPValue::Void => Header::Other("nothing"),
    }
}

/// A timestamp has seconds (AMQP 0-9-1, section 4.2.5.4); some clients write milliseconds. A value
/// that would be later than the year 5000 in seconds counts as milliseconds.
fn milliseconds(timestamp: u64) -> i64 {
    const YEAR_5000: u64 = 95_617_584_000;
    let ms = if timestamp < YEAR_5000 { timestamp * 1000 } else { timestamp };
    i64::try_from(ms).unwrap_or(i64::MAX)
}
