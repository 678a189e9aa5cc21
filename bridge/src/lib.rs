//! RabbitMQ to Redis: takes each event over and acknowledges it within
//! milliseconds, once a durable job stands in Redis.
//!
//! | module | its one thing |
//! |---|---|
//! | [`bridge`] | the service: sessions, one after another, until it is stopped |
//! | [`session`] | one connection: consume, gather a batch, hand it over, ack |
//! | [`batch`] | what a batch of deliveries becomes: jobs by queue, rejections |
//! | [`enqueue`] | jobs into Redis, waiting while Redis is away |
//! | [`quarantine`] | what could not be accepted, kept with the reason |
//! | `metrics` | what a bridge counts |
//! | [`former`] | the intake of an earlier version: emptied, then deleted |
//!
//! What happens when:
//! | fault | then |
//! |---|---|
//! | an event cannot be accepted, or its queue refuses a job | it is published to quarantine, confirmed, then acked; the others go on meanwhile |
//! | quarantine takes nothing (full, a memory alarm) | bad deliveries wait unacknowledged, good ones go on |
//! | a client cannot digest a message | what it cannot digest is left out on the way in; the message goes to quarantine as `unreadable` |
//! | a contract takes too long | the event goes to quarantine as `contract_timeout`, alone |
//! | large messages wait | they are read while `prefetch_bytes` has room, or one at a time |
//! | an exchange, a queue or a binding is deleted | it is declared again within seconds; readiness says what cannot be |
//! | Redis is away or slow | the batch is kept and tried again; nothing is acked; RabbitMQ holds the rest |
//! | an answer of Redis is lost | the batch is enqueued again; the job ids make that a no-op |
//! | RabbitMQ is away, the queue is deleted | the session ends; a new one declares and resubscribes; what was unacked comes again and is recognised |
//! | the process is killed between enqueue and ack | the same |

mod batch;
pub mod bridge;
mod enqueue;
mod former;
mod metrics;
mod quarantine;
mod session;

pub use bridge::{Bridge, Error};
