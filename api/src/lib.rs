//! The HTTP API: events in, jobs, live progress, outcomes, files.
//!
//! It enqueues nothing: events go to RabbitMQ. What people decide about jobs and
//! queues is one call of the queue; everything else is read from Redis and from
//! the file store. Any number of
//! API processes may run beside each other.
//!
//! # Map
//! | module | its one thing |
//! |---|---|
//! | [`server`] | the service: addresses, background work, graceful end |
//! | [`routes`] | the addresses, one concern a file |
//! | [`view`] | the bodies of answers |
//! | [`live`] | changes of watched jobs, from Redis to streams |
//! | [`files`], [`evidence`] | stored files, and which of them a job names |
//! | [`binding`] | CloudEvents over HTTP |
//! | [`serve`], [`hosts`] | connections and their bounds; whom a request was sent to |
//! | [`problem`], [`layers`] | answers that are not a success; what every request passes through |
//! | [`query`], [`body`] | parameters and bodies in |
//! | [`links`], [`moment`] | addresses and times out |
//! | [`accepted`] | jobs that are accepted and not enqueued yet |
//! | [`state`], [`known`], [`target`] | what handlers share; a job as it is read; one that is to be changed |
//! | [`scrape`], `metrics`, [`upkeep`] | figures of queues; of this process; figures that nobody fetches |
//! | [`mod@openapi`] | the document that describes it all |

mod accepted;
mod binding;
mod body;
mod evidence;
mod files;
mod hosts;
mod known;
mod layers;
mod links;
mod live;
mod metrics;
mod moment;
mod openapi;
mod problem;
mod query;
mod routes;
mod scrape;
mod serve;
mod server;
mod state;
mod target;
mod upkeep;
mod view;

pub use openapi::openapi;
pub use server::{Api, serve_probes};

/// Why the API cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL of Redis cannot be used.
    #[error("`redis.url` cannot be used: {0}")]
    Redis(#[from] redis::RedisError),
    /// A contract cannot be used.
    #[error(transparent)]
    Contract(#[from] upshot_shared::contract::Error),
    /// The file store cannot be used.
    #[error(transparent)]
    Store(#[from] files::Error),
}
