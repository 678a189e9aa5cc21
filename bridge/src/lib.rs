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
//!
//! What happens when:
//! | fault | then |
//! |---|---|
//! | an event cannot be accepted | it is published to quarantine, confirmed, then acked |
//! | Redis is away or slow | the batch is kept and tried again; nothing is acked; RabbitMQ holds the rest |
//! | an answer of Redis is lost | the batch is enqueued again; the job ids make that a no-op |
//! | RabbitMQ is away, the queue is deleted | the session ends; a new one declares and resubscribes; what was unacked comes again and is recognised |
//! | the process is killed between enqueue and ack | the same |

pub mod batch;
pub mod bridge;
mod enqueue;
mod quarantine;
mod session;

pub use bridge::{Bridge, Error};
