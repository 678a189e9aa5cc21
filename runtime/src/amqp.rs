//! RabbitMQ: names, connections, publishing with confirms.

mod address;
mod greeting;
mod line;
mod names;
mod publisher;
mod tls;
mod topology;
mod transport;
mod watch;

pub use address::{Address, Unusable};
pub use greeting::{Greeting, greeting};
pub use line::Line;
pub use names::*;
pub use publisher::{DeclareError, PublishError, Publisher};
pub use topology::{
    Declared, Depth, Depths, History, QUARANTINE_BYTES, TopologyError, declare, declare_audit, delete_former,
    is_refused, unbind_former,
};
pub use transport::{Budget, Link, connect};
pub use watch::watch;
