//! The HTTP API: events in, jobs, live progress, outcomes, files.
//!
//! The API enqueues nothing: events go to RabbitMQ. An operator's decision about a job or a queue
//! is one call of the queue. Everything else is a read from Redis or from the file store. Any
//! number of API processes may run at the same time.
//!
//! # Map
//! | module | its one thing |
//! |---|---|
//! | [`server`] | the service: addresses, background work, graceful end |
//! | [`routes`] | the addresses, one concern a file |
//! | [`view`] | the bodies of answers |
//! | [`live`] | changes of watched jobs, from Redis to streams |
//! | [`dashboard`] | the page for people, and the files that it loads |
//! | [`files`], [`evidence`] | stored files, and which of them a job names |
//! | [`binding`] | CloudEvents over HTTP |
//! | [`serve`], [`hosts`] | connections and their bounds; the host that a request names |
//! | [`problem`], [`layers`] | answers that are not a success; the layers around every request |
//! | [`query`], [`body`] | parameters and bodies in |
//! | [`access`] | which principal sends a request, and whether it may |
//! | [`links`], [`moment`] | addresses and times out |
//! | [`shown`], [`reveal`] | what answers hide; the requests that see all |
//! | [`accepted`] | jobs that are accepted and not enqueued yet |
//! | [`state`], [`known`], [`target`] | what handlers share; reading a job; changing a job |
//! | [`operations`] | walks operations on many jobs |
//! | [`alarms`] | looks for causes of alarms, and tells a webhook |
//! | [`scrape`], `metrics`, [`upkeep`] | metrics of queues; of this process; clean-up of metrics that are not fetched |
//! | [`mod@openapi`] | the document that describes it all |
//! | [`mod@asyncapi`] | the document that describes events, receipts and the audit log |

mod accepted;
mod access;
mod alarms;
mod asyncapi;
mod binding;
mod body;
mod dashboard;
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
mod operations;
mod problem;
mod query;
mod report;
mod reveal;
mod routes;
mod scrape;
mod serve;
mod server;
mod shown;
mod state;
mod tally;
mod target;
mod upkeep;
mod view;

pub use asyncapi::asyncapi;
pub use openapi::openapi;
pub use server::{Api, serve_probes};

/// Why the API cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL of Redis cannot be used.
    #[error("`redis.url` cannot be used: {0}")]
    Redis(#[from] redis::RedisError),
    /// A contract cannot be used.
    #[error(transparent)]
    Contract(#[from] upshot_shared::contract::Error),
    /// The API would be open to other machines.
    #[error(transparent)]
    Exposed(#[from] access::mode::Exposed),
    /// The identity provider's settings cannot be used.
    #[error(transparent)]
    Provider(#[from] access::fetch::Error),
    /// The webhook of alarms cannot be used.
    #[error(transparent)]
    Webhook(#[from] alarms::Unusable),
    /// The file store cannot be used.
    #[error(transparent)]
    Store(#[from] files::Error),
}
