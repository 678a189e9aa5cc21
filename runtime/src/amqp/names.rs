//! The one place that names exchanges, queues and headers.

/// Topic exchange: producers publish events here, routing key = event type.
pub const EVENTS: &str = "upshot.events";
/// Quorum queue that the bridge consumes.
pub const INTAKE: &str = "upshot.intake";
/// The intake of earlier versions. Nothing can change its arguments, so a bridge empties and
/// deletes it.
pub const FORMER_INTAKE: &str = "upshot.bridge";
/// Topic exchange and quorum queue: confirmations, which the bridge consumes. The routing key has no
/// meaning.
pub const CONFIRMATIONS: &str = "upshot.confirmations";
/// Fanout exchange and quorum queue: events that could not be accepted.
pub const QUARANTINE: &str = "upshot.quarantine";
/// Fanout exchange without a queue. RabbitMQ confirms and drops a message to it, so a confirm
/// proves that RabbitMQ takes messages.
pub const PROBE: &str = "upshot.probe";
/// Topic exchange: Upshot publishes receipts here, routing key = route and verdict.
pub const OUTCOMES: &str = "upshot.outcomes";
/// Stream that keeps the receipts on disk.
pub const HISTORY: &str = "upshot.outcomes.history";
/// Fanout exchange and stream: the entries of the audit log.
pub const AUDIT: &str = "upshot.audit";

/// Header of a quarantined message: the reason code.
pub const HEADER_REASON: &str = "x-upshot-reason";
/// Header of a quarantined message: a JSON pointer to the place.
pub const HEADER_PLACE: &str = "x-upshot-place";
/// Header of a quarantined message: what is wrong, for people.
pub const HEADER_DETAIL: &str = "x-upshot-detail";
/// Header of a quarantined message: the id of its row, for `upshot quarantine ID`.
pub const HEADER_ID: &str = "x-upshot-quarantine-id";
/// Header of a quarantined message: the user that published it.
pub const HEADER_USER: &str = "x-upshot-user-id";
/// Header of a quarantined message: its `reply_to`, if a broker would refuse it as a property.
pub const HEADER_REPLY_TO: &str = "x-upshot-reply-to";
/// Header of a quarantined message: its `expiration`, which would remove the copy.
pub const HEADER_EXPIRATION: &str = "x-upshot-expiration";
/// Header of a quarantined message: its `delivery_mode`, if it was not persistent.
pub const HEADER_DELIVERY_MODE: &str = "x-upshot-delivery-mode";
/// Header of a quarantined message: its header `CC`, which would send copies elsewhere.
pub const HEADER_CC: &str = "x-upshot-cc";
/// Header of a quarantined message: its header `BCC`, which would send copies elsewhere.
pub const HEADER_BCC: &str = "x-upshot-bcc";
/// Header of a quarantined message: which of its own headers are missing, and why.
pub const HEADER_DROPPED: &str = "x-upshot-headers-dropped";
/// Header of a quarantined message: the routing key with which it came.
pub const HEADER_ROUTING_KEY: &str = "x-upshot-routing-key";
/// Header of a quarantined message: the exchange to which it was published.
pub const HEADER_EXCHANGE: &str = "x-upshot-exchange";
/// Header of a quarantined message: jobs of its event that other queues took, `queue/id`, separated
/// by blanks.
pub const HEADER_JOBS: &str = "x-upshot-jobs";
/// Header of a message whose properties an AMQP client cannot parse: what was left out.
pub const HEADER_UNREADABLE: &str = "x-upshot-unreadable";
/// Header of such a message: all its properties, as the producer's client wrote them.
pub const HEADER_RAW_PROPERTIES: &str = "x-upshot-raw-properties";
