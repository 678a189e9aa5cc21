//! RabbitMQ to Redis: acknowledges each event within milliseconds, once Redis has its durable job.
//!
//! | module | its one thing |
//! |---|---|
//! | [`bridge`] | the service, with the relay of receipts: sessions, one after another, until it is stopped |
//! | [`session`] | one connection: consume, gather a batch, hand it over, ack |
//! | [`acts`] | copies the audit log to RabbitMQ |
//! | [`batch`] | what a batch of deliveries becomes: jobs by queue, confirmations, rejections |
//! | [`enqueue`] | enqueues jobs, and waits while Redis is away |
//! | [`confirm`] | hands confirmations to queues, and waits while Redis is away |
//! | [`full`] | what becomes of a delivery whose queue has no room for its confirmations |
//! | [`waiting`] | the deliveries that wait alone |
//! | [`quarantine`] | what could not be accepted, kept with the reason |
//! | `metrics` | the metrics of a bridge |
//! | [`former`] | empties and deletes the intake of an earlier version |
//!
//! What happens when:
//! | fault | then |
//! |---|---|
//! | an event cannot be accepted, or its queue refuses a job | it is published to quarantine, confirmed, listed in Redis, then acked; the other events continue |
//! | quarantine takes nothing (full, a memory alarm) | bad deliveries wait unacknowledged, good ones continue |
//! | Redis takes no row of a quarantined message | the same; if another program damaged the list, the message gets no row and a warning says so |
//! | the AMQP client cannot parse a message | the transport leaves out what it cannot parse; the message goes to quarantine as `unreadable` |
//! | a queue has no room for a confirmation | it waits in `upshot.confirmations` and is tried again; the others continue |
//! | a contract takes too long | the event goes to quarantine as `contract_timeout`, alone |
//! | large messages wait | the bridge reads them while `prefetch_bytes` has room, or one at a time |
//! | an exchange, a queue or a binding is deleted | the bridge declares it again within seconds; readiness says what cannot be declared |
//! | Redis is away or slow | the batch is kept and tried again; nothing is acked; RabbitMQ holds the rest |
//! | a reply of Redis is lost | the bridge enqueues the batch again; the job ids make that a no-op |
//! | RabbitMQ is away, the queue is deleted | the session ends; a new one declares and resubscribes; unacked events come again and find their jobs |
//! | RabbitMQ does not take the audit log | its entries wait in Redis, within their bounds; a warning says so |
//! | the process is killed between enqueue and ack | the same |

pub mod acts;
mod batch;
pub mod bridge;
mod confirm;
mod enqueue;
mod former;
mod full;
mod metrics;
mod quarantine;
mod session;
mod waiting;

pub use bridge::{Bridge, Error};
