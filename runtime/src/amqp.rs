//! RabbitMQ: names, connections, publishing with confirms.

mod address;
mod greeting;
mod names;
mod publisher;
mod tls;
mod topology;
mod transport;
mod watch;

pub use address::{Address, Unusable};
pub use greeting::{Greeting, greeting};
pub use names::*;
pub use publisher::{DeclareError, PublishError, Publisher};
pub use topology::{Depth, Depths, QUARANTINE_BYTES, TopologyError, declare, delete_former, unbind_former};
pub use transport::{Budget, Link, connect};
pub use watch::watch;
