//! RabbitMQ: names, connections, publishing with confirms.

mod names;
mod publisher;
mod topology;
mod transport;
mod watch;

pub use names::*;
pub use publisher::{DeclareError, PublishError, Publisher, short_string};
pub use topology::{Depth, Depths, QUARANTINE_BYTES, TopologyError, declare, delete_former, unbind_former};
pub use transport::{Budget, Link, connect};
pub use watch::watch;
