//! The view of messages in quarantine.

use std::collections::BTreeMap;

use serde::Serialize;
use upshot_ledger::quarantine::{Balance, Facts, Figures, Row};
use utoipa::ToSchema;

use crate::{links::Links, moment::Moment, shown::Shown};

/// A message in quarantine. The message itself, with all its properties, is in RabbitMQ, in the queue
/// `upshot.quarantine`; its header `x-upshot-quarantine-id` has this id.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = QuarantinedMessage)]
pub struct QuarantinedBody {
    /// The id, which follows from the content of the message.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    id: String,
    /// Why the message could not be accepted, as a stable code. `damaged` if another program changed
    /// what is known of the message.
    #[schema(example = "contract_violation")]
    reason: String,
    /// A JSON pointer to what is wrong; empty for the message as a whole.
    #[schema(example = "/data/lines/0/quantity")]
    place: String,
    /// What is wrong, for people: the beginning. It may quote the
    /// producer: mail addresses are shortened, unless `?reveal=true` asks for them.
    detail: String,
    /// The type of the event, if it could be read.
    #[schema(required, example = "order.completed.v1")]
    r#type: Option<String>,
    /// The source of the event, if it could be read.
    #[schema(required, example = "/shops/berlin")]
    source: Option<String>,
    /// The id of the event, if it could be read.
    #[schema(required)]
    event_id: Option<String>,
    /// The subject of the event, if it could be read.
    #[schema(required, example = "order-1042")]
    subject: Option<String>,
    /// The routing key with which the message came.
    #[schema(example = "order.completed.v1")]
    routing_key: String,
    /// The size of the message's body, in bytes.
    size: u64,
    /// How often the message came. RabbitMQ has a copy of each time.
    times: u64,
    /// When the message first came.
    first_seen: Moment,
    /// When the message last came.
    last_seen: Moment,
    /// The address of this message.
    link: String,
}

impl QuarantinedBody {
    /// The view of a row.
    pub fn new(row: Row, links: &Links, shown: &Shown) -> Self {
        let Row { id, reason, first_seen, last_seen, times, facts } = row;
        let Facts { place, detail, size, routing_key, kind, source, event_id, subject } = facts;
        Self {
            link: links.quarantined(&id),
            id: id.into(),
            reason,
            place,
            detail: shown.text(&detail),
            r#type: kind,
            source,
            event_id,
            subject,
            routing_key,
            size,
            times,
            first_seen: Moment(first_seen),
            last_seen: Moment(last_seen),
        }
    }
}

/// The messages of one reason.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = QuarantineReason)]
pub struct ReasonBody {
    /// Messages that are listed.
    listed: u64,
    /// Messages that were ever counted. It never falls.
    received: u64,
}

/// How many messages are in quarantine: those that are listed, beside RabbitMQ's own count.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QuarantineSummary {
    /// Messages that are listed.
    listed: u64,
    /// Copies of them in RabbitMQ, as far as known: a message that came twice has two.
    copies: u64,
    /// Messages in the queue `upshot.quarantine`, as RabbitMQ counts them, a few seconds old; null
    /// while RabbitMQ does not answer.
    #[schema(required)]
    in_rabbitmq: Option<u64>,
    /// Messages in RabbitMQ that are not listed: from before there was a list, of a row that is
    /// forgotten, or of a bridge that was killed. Null while RabbitMQ does not answer.
    #[schema(required)]
    unlisted: Option<u64>,
    /// Copies that are not in RabbitMQ any more: someone took them out. Null while RabbitMQ does not
    /// answer.
    #[schema(required)]
    missing: Option<u64>,
    /// When the oldest listed message first came.
    #[schema(required)]
    oldest: Option<Moment>,
    /// The counts of each reason that ever occurred.
    reasons: BTreeMap<String, ReasonBody>,
}

impl QuarantineSummary {
    /// The summary of the list beside the depth of RabbitMQ's queue.
    pub fn new(figures: &Figures, depth: Option<u64>) -> Self {
        let reason = |(reason, Balance { listed, received }): (&str, Balance)| {
            (reason.to_owned(), ReasonBody { listed: u64::try_from(listed).unwrap_or_default(), received })
        };
        let reconciled = depth.map(|depth| figures.reconcile(depth));
        Self {
            listed: figures.rows,
            copies: figures.copies,
            in_rabbitmq: depth,
            unlisted: reconciled.map(|reconciled| reconciled.unlisted),
            missing: reconciled.map(|reconciled| reconciled.missing),
            oldest: figures.oldest.map(Moment),
            reasons: figures.by_reason().into_iter().map(reason).collect(),
        }
    }
}
